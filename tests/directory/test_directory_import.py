import json
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import event

from directory.errors import DirectoryError
from directory.importing import NETWORK, Counts
from directory.mapping import community_mapping
from directory.model import PinUse
from directory.rows import Row, rows_of_bundle, rows_of_files, rows_of_lines
from directory.store import DirectoryStore

SYNTHETIC = Path(__file__).parent / "synthetic.toml"


@pytest.fixture
def load(store, sphd, now):
    def run(*resources, source="rce", **options):
        rows = rows_of_bundle(sphd.bundle(*resources))
        return store.import_rows(rows, source=source, now=now, **options)

    return run


def test_an_import_says_what_was_added_changed_removed_and_unchanged(load, store, sphd):
    first = load(*(sphd.organization(x, endpoints=[sphd.endpoint(x)]) for x in "abc"))
    assert first.organizations == Counts(added=3)
    second = load(
        sphd.organization("a", endpoints=[sphd.endpoint("a")]),
        sphd.organization("b", endpoints=[sphd.endpoint("b", "XCPD")]),
        sphd.organization("d"),
    )
    assert second.organizations == Counts(added=1, changed=1, removed=1, unchanged=1)
    assert store.by_id("c") is None
    assert store.by_id("b").endpoints[0].transactions == {"ITI-55"}
    assert [o.id for o in store.responders("ITI-38")] == ["a"]
    assert [o.id for o in store.responders("ITI-55")] == ["b"]
    assert (first.version, second.version, store.version()) == ("1.0", "2.0", "2.0")


def test_a_second_import_of_the_same_rows_changes_nothing_but_the_version(load, store, sphd):
    entry = sphd.organization("a", endpoint=[{"reference": "Endpoint/e"}])
    load(entry, sphd.endpoint("e", "XCPD"))
    report = load(entry, sphd.endpoint("e", "XCPD"))
    assert report.organizations == Counts(unchanged=1)
    assert report.endpoints == Counts(unchanged=1)
    assert store.by_id("a").endpoint_for("ITI-55").id == "e"


def test_standalone_endpoints_come_in_any_order_and_change_alone(load, store, sphd):
    managed = {"managingOrganization": {"reference": "Organization/a"}}
    entry = sphd.organization("a", endpoint=[{"reference": "Endpoint/e"}])
    load(sphd.endpoint("m", "XCPD", **managed), sphd.endpoint("e", "XCA Query"), entry)
    assert [e.id for e in store.by_id("a").endpoints] == ["e", "m"]
    report = load(entry, sphd.endpoint("e", "XCA Retrieve"))
    assert report.endpoints == Counts(changed=1, removed=1)
    assert [sorted(e.transactions) for e in store.by_id("a").endpoints] == [["ITI-39"]]
    assert store.responders("ITI-38") == ()
    assert store.by_host("gw.m.example") == ()


def test_sources_are_replaced_apart(load, store, sphd):
    load(sphd.organization("a"), source="one")
    load(sphd.organization("b"), source="two")
    load(sphd.organization("c"), source="one")
    assert [o.id for o in store.search("").organizations] == ["b", "c"]
    assert [(s.name, s.organizations) for s in store.sources()] == [("one", 1), ("two", 1)]


def test_a_source_cannot_take_over_an_entry_of_another(load, store, sphd):
    load(sphd.organization("a"), source="rce")
    report = load(sphd.organization("a", name="Evil"), sphd.organization("b"), source="peer")
    assert store.by_id("a").name == "Hospital a"
    assert report.left_out == 1
    assert report.findings["id-of-other-source"] == 1


def test_a_source_cannot_add_endpoints_to_an_entry_of_another(load, store, sphd):
    load(sphd.organization("a"), source="rce")
    managed = {"managingOrganization": {"reference": "Organization/a"}}
    report = load(sphd.organization("b"), sphd.endpoint("x", "XCPD", **managed), source="peer")
    assert store.by_id("a").endpoints == ()
    assert report.findings["endpoint-without-organization"] == 1


def test_broken_rows_are_kept_as_findings_with_their_place(store, sphd, now):
    good = json.dumps(sphd.organization("a")).encode()
    lines = [b"{oops", good, b'{"resourceType":"Organization"}', good, b'{"resourceType":"X"}']
    report = store.import_rows(rows_of_lines(lines), source="rce", now=now)
    assert (report.rows, report.left_out) == (5, 4)
    found = {f.code: f for _, f in store.findings(source="rce")}
    assert set(found) == {"not-json", "no-id", "duplicate-id", "ignored-resource"}
    assert found["not-json"].where == "line 1"
    assert found["duplicate-id"].where == "line 4"
    assert report.errors == 3


def test_a_duplicate_id_in_a_later_batch_is_found_too(store, sphd, now):
    entries = [sphd.organization(f"o{i}") for i in range(1200)]
    rows = rows_of_bundle(sphd.bundle(*entries, sphd.organization("o0", name="Later")))
    report = store.import_rows(rows, source="rce", now=now)
    assert report.findings["duplicate-id"] == 1
    assert store.by_id("o0").name == "Hospital o0"
    assert report.organizations == Counts(added=1200)


def test_findings_are_replaced_with_their_source(load, store, sphd):
    load(sphd.organization("a", npi="1234567890"))
    assert store.finding_counts()["npi-check-digit"] == 1
    load(sphd.organization("a"))
    assert "npi-check-digit" not in store.finding_counts()


def test_the_network_is_checked_over_all_sources(load, store, sphd):
    load(sphd.organization("a", hcid="urn:oid:2.999.1"), source="one")
    load(sphd.organization("b", hcid="urn:oid:2.999.1"), source="two")
    found = [f for _, f in store.findings(source=NETWORK, code="duplicate-hcid")]
    assert [f.resource_id for f in found] == ["a", "b"]
    store.remove_source("two")
    assert store.findings(code="duplicate-hcid") == []
    assert [f.code for _, f in store.findings(resource_id="b")] == []


def test_a_child_with_a_standalone_endpoint_is_found(load, store, sphd):
    entry = sphd.organization("a", level="Child", endpoint=[{"reference": "Endpoint/e"}])
    report = load(entry, sphd.endpoint("e"))
    assert report.findings["leaf-with-endpoint"] == 1


def test_an_expired_endpoint_is_found(load, sphd):
    endpoint = sphd.endpoint("e", period={"end": "2020-01-01"})
    assert load(sphd.organization("a", endpoints=[endpoint])).findings["endpoint-expired"] == 1


def test_an_import_without_any_organisation_changes_nothing(load, store, sphd):
    load(sphd.organization("a"))
    with pytest.raises(DirectoryError) as caught:
        load(sphd.endpoint("e"))
    assert caught.value.code == "empty-import"
    assert store.by_id("a") is not None
    assert store.version() == "1.0"


def test_an_import_that_removes_too_much_changes_nothing(load, store, sphd):
    load(*(sphd.organization(x) for x in "abcd"))
    with pytest.raises(DirectoryError) as caught:
        load(sphd.organization("a"), max_removed=0.5)
    assert caught.value.code == "import-removes-too-much"
    assert store.by_id("d") is not None


def test_an_import_that_fails_half_way_changes_nothing(store, sphd, now):
    def rows():
        yield from rows_of_bundle(sphd.bundle(*(sphd.organization(f"n{i}") for i in range(1500))))
        raise DirectoryError("file-unreadable", "The file cannot be read.")

    store.import_rows(rows_of_bundle(sphd.bundle(sphd.organization("a"))), source="x", now=now)
    with pytest.raises(DirectoryError):
        store.import_rows(rows(), source="x", now=now)
    assert store.by_id("n1") is None
    assert store.by_id("a") is not None
    assert store.version() == "1.0"


def test_readers_never_see_half_an_import(directory_engine, store, sphd, now):
    with directory_engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA journal_mode=WAL")
    reader = DirectoryStore(directory_engine)
    seen = []
    entries = [sphd.organization(f"n{i}") for i in range(2500)]
    store.import_rows(
        rows_of_bundle(sphd.bundle(*entries)),
        source="x",
        now=now,
        progress=lambda rows: seen.append((rows, reader.by_id("n0"), reader.version())),
    )
    assert seen == [(1000, None, "0.0"), (2000, None, "0.0"), (2500, None, "0.0")]
    assert reader.by_id("n0") is not None


@pytest.mark.parametrize("name", ["", "a b", "x" * 65, "(network)", "../x"])
def test_a_source_needs_a_plain_name(load, sphd, name):
    with pytest.raises(DirectoryError) as caught:
        load(sphd.organization("a"), source=name)
    assert caught.value.code == "source-invalid"


def test_an_unknown_source_cannot_be_removed(store):
    with pytest.raises(DirectoryError) as caught:
        store.remove_source("none")
    assert caught.value.code == "unknown-source"


def test_local_settings_survive_an_import_and_a_removal(load, store, sphd, now):
    load(sphd.organization("a"), sphd.organization("b"))
    store.local.pin("a", "ab" * 32, PinUse.TLS, now=now)
    store.local.suspend("a", "investigation", now=now)
    store.local.set_profile("a", "documents_per_retrieve", "3", now=now + timedelta(1))
    load(sphd.organization("b"))
    load(sphd.organization("a", name="New"), sphd.organization("b"))
    found = store.by_id("a")
    assert (found.name, found.suspended, found.suspended_reason) == ("New", True, "investigation")
    assert found.profile == {"documents_per_retrieve": 3}
    assert [pin.spki for pin in store.local.pins("a")] == ["ab" * 32]


def test_memory_is_bounded_rows_are_read_as_they_are_written(directory_engine, store, sphd, now):
    """Never more than one batch is read before it is written."""
    read, gaps = 0, []

    def rows():
        nonlocal read
        for i in range(5000):
            read += 1
            yield Row(resource=sphd.organization(f"n{i}"), where="x")

    written = 0

    def count(conn, cursor, statement, parameters, context, executemany):
        nonlocal written
        if statement.startswith("INSERT INTO directory_organization"):
            written += len(parameters)
            gaps.append(read - written)

    event.listen(directory_engine, "after_cursor_execute", count)
    store.import_rows(rows(), source="x", now=now)
    assert written == 5000
    assert max(gaps) == 0


@pytest.mark.shared
def test_the_first_rows_of_a_directory_of_60000_are_imported(store, shared_data, now):
    folder = shared_data / "directory"
    files = ("synthetic_Organization_60k.ndjson.gz", "synthetic_Endpoint_60k.ndjson.gz")

    def rows():
        for name in files:
            for number, row in enumerate(rows_of_files(folder / name)):
                if number == 6_000:
                    break
                yield row

    report = store.import_rows(
        rows(), source="synthetic", now=now, mapping=community_mapping(SYNTHETIC)
    )
    assert report.organizations == Counts(added=6_000)
    assert set(report.findings).isdisjoint(
        {"unknown-purpose", "missing-type", "no-purposes", "no-hcid", "unknown-connection-type"}
    )
    responders = store.responders("ITI-38")
    assert responders
    for organization in responders[:200]:
        assert organization.endpoint_for("ITI-38").name.endswith("(ITI-38)")
        assert organization.endpoint_for("ITI-39").name.endswith("(ITI-39)")
        assert organization.responds("ITI-38") == organization.initiates
    qhin = store.by_home_community_id("urn:oid:2.16.840.1.113883.3.99999.1")[0]
    assert store.children(qhin.id, limit=5).organizations
