"""The directory on PostgreSQL: the same statements, another server."""

import threading

import pytest
from sqlalchemy import text

from directory.importing import Counts
from directory.model import PinUse
from directory.rows import rows_of_bundle
from directory.store import DirectoryStore
from directory.tables import create_tables
from directory.view import DirectoryView

pytestmark = pytest.mark.postgres


@pytest.fixture
def on_postgres(postgres_engine):
    create_tables(postgres_engine)
    return DirectoryStore(postgres_engine)


def entries(sphd):
    return [
        sphd.organization(
            "q", hcid="urn:oid:2.999.1", level="QHIN", endpoints=[sphd.endpoint("q1", "XCPD")]
        ),
        sphd.organization(
            "p",
            hcid="urn:oid:2.999.2",
            name="Saint Élise\x00 Medical Center",
            partOf={"reference": "Organization/q"},
            endpoint=[{"reference": "Endpoint/e"}],
        ),
        sphd.endpoint("e", "XCA Query"),
        sphd.endpoint("m", "XCA Retrieve", managingOrganization={"reference": "Organization/p"}),
        {"resourceType": "Organization"},
    ]


def test_import_lookups_and_local_settings(on_postgres, sphd, now):
    store = on_postgres
    report = store.import_rows(rows_of_bundle(sphd.bundle(*entries(sphd))), source="x", now=now)
    assert report.organizations == Counts(added=2)
    assert report.findings["no-id"] == 1
    view = DirectoryView(store)
    assert view.by_home_community_id("urn:oid:2.999.2").name == "Saint Élise Medical Center"
    assert [e.id for e in view.by_id("p").endpoints] == ["e", "m"]
    assert [o.id for o in view.responders("ITI-39")] == ["p"]
    assert [o.id for o in view.by_host("gw.q1.example")] == ["q"]
    assert [o.id for o in store.search("eli medic").organizations] == ["p"]
    assert [o.id for o in store.search("", limit=1).organizations] == ["q"]
    page = store.search("", limit=1)
    assert [o.id for o in store.search("", limit=1, after=page.after).organizations] == ["p"]
    assert [o.id for o in store.children("q").organizations] == ["p"]
    store.local.pin("p", "ab" * 32, PinUse.TLS, now=now)
    store.local.suspend("p", "inquiry", now=now)
    store.local.set_profile("p", "timeout", 5, now=now)
    again = store.import_rows(rows_of_bundle(sphd.bundle(*entries(sphd)[:3])), source="x", now=now)
    assert again.organizations == Counts(unchanged=2)
    assert again.endpoints == Counts(unchanged=1, removed=1)
    found = view.by_id("p")
    assert (found.suspended, found.profile) == (True, {"timeout": 5.0})
    assert [o.id for o in store.by_pin("ab" * 32)] == ["p"]
    assert store.findings(limit=5)
    assert store.remove_source("x") == (2, 1)
    assert view.by_id("p") is None


def test_long_values_fit_the_columns(on_postgres, sphd, now):
    long = "ß" * 3000
    entry = sphd.organization(
        "a",
        name=long,
        hcid=long,
        npi=long,
        partOf={"reference": f"Organization/{long}"},
        endpoints=[{**sphd.endpoint("e", "XCPD"), "address": f"https://{'a' * 1900}.example/"}],
    )
    on_postgres.import_rows(rows_of_bundle(sphd.bundle(entry)), source="x", now=now)
    assert on_postgres.by_id("a").type == "Participant"


def test_imports_at_the_same_time_queue_up(on_postgres, sphd, now):
    started = threading.Event()
    reports = []

    def slow_rows():
        yield from rows_of_bundle(sphd.bundle(sphd.organization("a")))
        started.set()

    def other():
        started.wait(10)
        rows = rows_of_bundle(sphd.bundle(sphd.organization("b")))
        reports.append(on_postgres.import_rows(rows, source="two", now=now))

    thread = threading.Thread(target=other)
    thread.start()
    reports.append(on_postgres.import_rows(slow_rows(), source="one", now=now))
    thread.join(20)
    assert sorted(report.version for report in reports) == ["1.0", "2.0"]
    assert [s.name for s in on_postgres.sources()] == ["one", "two"]


def test_key_columns_compare_byte_by_byte(on_postgres, postgres_engine):
    with postgres_engine.connect() as connection:
        collations = connection.execute(
            text(
                "SELECT DISTINCT collation_name FROM information_schema.columns "
                "WHERE table_name = 'directory_word' AND column_name = 'word'"
            )
        ).scalars()
        assert list(collations) == ["C"]
