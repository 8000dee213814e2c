import pytest
from sqlalchemy import create_engine

from directory.errors import DirectoryError
from directory.finding import Severity
from directory.model import PinUse
from directory.rows import rows_of_bundle
from directory.store import DirectoryStore
from directory.tables import create_tables

KEY = "AB:" * 31 + "AB"


@pytest.fixture
def network(store, sphd, now):
    """A QHIN with two participants, one of which has a child; all under one source."""
    qhin = sphd.organization(
        "q", hcid="urn:oid:2.999.1", level="QHIN", endpoints=[sphd.endpoint("q1", "XCPD")]
    )
    near = sphd.organization(
        "p1",
        hcid="urn:oid:2.999.2",
        name="Saint Élise Medical Center",
        partOf={"reference": "Organization/q"},
        endpoints=[sphd.endpoint("e1", "XCA Query", purposes=("T-TRTMNT", "T-IAS"))],
        identifiers=[sphd.identifier("TEFCAID", "urn:uuid:ab12")],
    )
    far = sphd.organization(
        "p2",
        hcid="urn:oid:2.999.3",
        name="Medical Associates of Elim",
        npi="1245319599",
        partOf={"reference": "Organization/q"},
        endpoints=[sphd.endpoint("e2", "XCA Query")],
    )
    child = sphd.organization(
        "c", hcid=None, level="Child", partOf={"reference": "Organization/p1"}
    )
    rows = rows_of_bundle(sphd.bundle(qhin, near, far, child))
    store.import_rows(rows, source="rce", now=now)
    return store


def ids(found):
    return [organization.id for organization in found]


def test_lookups_find_by_id_hcid_and_host(network):
    assert network.by_id("p1").name == "Saint Élise Medical Center"
    assert ids(network.by_home_community_id("urn:oid:2.999.2")) == ["p1"]
    assert ids(network.by_host("GW.E2.example.")) == ["p2"]
    assert network.by_id("none") is None
    assert network.by_home_community_id("urn:oid:2.999.9") == ()
    assert network.by_host("none.example") == ()


def test_responders_answer_the_transaction_for_the_purpose(network, now):
    assert ids(network.responders("ITI-38")) == ["p1", "p2"]
    assert ids(network.responders("ITI-38", "T-IAS")) == ["p1"]
    assert ids(network.responders("ITI-55")) == ["q"]
    assert network.responders("ITI-39") == ()
    network.local.suspend("p1", "inquiry", now=now)
    assert ids(network.responders("ITI-38")) == ["p2"]


def test_inactive_entries_are_no_responders(store, sphd, now):
    entry = sphd.organization("a", active=False, endpoints=[sphd.endpoint("e", "XCPD")])
    store.import_rows(rows_of_bundle(sphd.bundle(entry)), source="x", now=now)
    assert store.responders("ITI-55") == ()


def test_of_several_entries_with_an_hcid_the_active_one_with_endpoints_is_first(store, sphd, now):
    hcid = "urn:oid:2.999.1"
    entries = [
        sphd.organization("a", hcid=hcid, active=False, endpoints=[sphd.endpoint("ea")]),
        sphd.organization("b", hcid=hcid),
        sphd.organization("c", hcid=hcid, endpoints=[sphd.endpoint("ec")]),
    ]
    store.import_rows(rows_of_bundle(sphd.bundle(*entries)), source="x", now=now)
    assert ids(store.by_home_community_id(hcid)) == ["c", "b", "a"]


def test_the_hierarchy_is_walked_both_ways(network):
    assert ids(network.ancestors("c")) == ["p1", "q"]
    assert ids(network.children("q").organizations) == ["p1", "p2"]
    assert network.managing_organization(network.by_id("c")).id == "q"
    assert network.managing_organization(network.by_id("q")) is None
    first = network.children("q", limit=1)
    assert ids(network.children("q", limit=1, after=first.after).organizations) == ["p2"]


def test_the_stated_managing_organisation_wins(network, sphd, now):
    stated = sphd.extension("org-managing-org", valueReference={"reference": "Organization/p2"})
    entry = sphd.organization("x", extensions=[stated], partOf={"reference": "Organization/p1"})
    network.import_rows(rows_of_bundle(sphd.bundle(entry)), source="two", now=now)
    assert network.managing_organization(network.by_id("x")).id == "p2"


def test_a_circle_of_parents_ends(store, sphd, now):
    entries = [
        sphd.organization(a, partOf={"reference": f"Organization/{b}"}) for a, b in ("ab", "ba")
    ]
    store.import_rows(rows_of_bundle(sphd.bundle(*entries)), source="x", now=now)
    assert ids(store.ancestors("a")) == ["b"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("p1", ["p1"]),
        ("urn:oid:2.999.2", ["p1"]),
        ("2.999.2", ["p1"]),
        ("1245319599", ["p2"]),
        ("AB12", ["p1"]),
        ("gw.e2.example", ["p2"]),
        ("https://gw.e2.example/other", ["p2"]),
        ("medical", ["p2", "p1"]),
        ("ELI med", ["p2", "p1"]),
        ("elise", ["p1"]),
        ("élise", ["p1"]),
        ("lise", []),
        ("medical hospital", []),
        ("%", []),
        ("", ["c", "q", "p2", "p1"]),
    ],
)
def test_search_finds_by_identifier_host_or_beginnings_of_words(network, text, found):
    assert ids(network.search(text).organizations) == found


def test_search_goes_on_page_by_page(network):
    seen, after = [], None
    while True:
        page = network.search("", limit=1, after=after)
        seen += ids(page.organizations)
        after = page.after
        if after is None:
            break
    assert seen == ["c", "q", "p2", "p1"]


@pytest.mark.parametrize(
    "options", [{"limit": 0}, {"limit": 1001}, {"text": "x" * 201}, {"after": "x"}]
)
def test_search_refuses_what_it_cannot_answer(network, options):
    with pytest.raises(DirectoryError) as caught:
        network.search(**{"text": "x", **options})
    assert caught.value.code == "search-invalid"


def test_findings_are_filtered_and_paged(network):
    everything = network.findings(source="rce")
    assert {f.code for _, f in everything} == {"no-hcid"}
    assert network.findings(severity=Severity.ERROR) == []
    first = network.findings(limit=1)
    rest = network.findings(after=first[0][0])
    assert len(first) + len(rest) == sum(network.finding_counts().values())


def test_pins_are_kept_once_and_found_by_key(network, now):
    local = network.local
    assert local.pin("p1", KEY, PinUse.TLS, now=now)
    assert not local.pin("p1", KEY.lower(), PinUse.TLS, now=now)
    assert local.pin("p1", KEY, PinUse.HOLDER, now=now)
    pins = local.pins("p1")
    assert [(p.spki, p.use) for p in pins] == [
        ("ab" * 32, PinUse.HOLDER),
        ("ab" * 32, PinUse.TLS),
    ]
    assert pins[0].pinned_at == "2026-11-20T12:00:00.000+00:00"
    assert ids(network.by_pin("AB" * 32)) == ["p1"]
    assert local.unpin("p1", KEY, PinUse.TLS)
    assert not local.unpin("p1", KEY, PinUse.TLS)
    assert [p.use for p in local.pins("p1")] == [PinUse.HOLDER]


@pytest.mark.parametrize("key", ["", "ab", "g" * 64, "a" * 65])
def test_a_pin_is_a_sha_256(network, now, key):
    with pytest.raises(DirectoryError) as caught:
        network.local.pin("p1", key, PinUse.TLS, now=now)
    assert caught.value.code == "pin-invalid"


def test_local_settings_need_a_known_organisation(network, now):
    for act in (
        lambda: network.local.pin("none", KEY, PinUse.TLS, now=now),
        lambda: network.local.suspend("none", "x", now=now),
        lambda: network.local.set_profile("none", "timeout", 3, now=now),
    ):
        version = network.version()
        with pytest.raises(DirectoryError) as caught:
            act()
        assert caught.value.code == "unknown-organization"
        assert network.version() == version


def test_suspending_needs_a_reason_and_resuming_forgets_it(network, now):
    with pytest.raises(DirectoryError) as caught:
        network.local.suspend("p1", "  ", now=now)
    assert caught.value.code == "reason-missing"
    network.local.suspend("p1", "inquiry", now=now)
    assert network.by_id("p1").suspended_reason == "inquiry"
    network.local.resume("p1", now=now)
    assert not network.by_id("p1").suspended
    assert network.by_id("p1").suspended_reason is None


def test_a_peer_profile_is_set_key_by_key_and_taken_back(network, now):
    local = network.local
    assert local.set_profile("p1", "documents_per_retrieve", "3", now=now) == 3
    local.set_profile("p1", "tls_profile", "legacy", now=now)
    local.suspend("p1", "inquiry", now=now)
    assert network.by_id("p1").profile == {"documents_per_retrieve": 3, "tls_profile": "legacy"}
    local.set_profile("p1", "tls_profile", None, now=now)
    assert network.by_id("p1").profile == {"documents_per_retrieve": 3}
    assert network.by_id("p1").suspended
    with pytest.raises(DirectoryError, match="one of strict, legacy"):
        local.set_profile("p1", "tls_profile", "off", now=now)


def test_every_local_change_gives_a_new_version(network, now):
    versions = [network.version()]
    network.local.pin("p1", KEY, PinUse.TLS, now=now)
    versions.append(network.version())
    network.local.suspend("p1", "x", now=now)
    versions.append(network.version())
    assert versions == ["1.0", "1.1", "1.2"]


def test_a_database_that_is_locked_or_has_no_tables_is_a_directory_error(tmp_path, store, now):
    bare = DirectoryStore(create_engine(f"sqlite:///{tmp_path / 'bare.db'}"))
    for act in (bare.version, lambda: bare.local.suspend("a", "x", now=now)):
        with pytest.raises(DirectoryError) as caught:
            act()
        assert caught.value.code == "directory-unavailable"
        assert caught.value.retryable


def test_tables_are_made_once_and_kept(directory_engine, network):
    create_tables(directory_engine)
    assert network.by_id("p1") is not None
