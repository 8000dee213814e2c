import pytest
from sqlalchemy import event

from directory.model import PinUse
from directory.rows import rows_of_bundle
from directory.store import DirectoryStore
from directory.view import DirectoryView

HCID = "urn:oid:2.999.1"


@pytest.fixture
def filled(store, sphd, now):
    def load(name="First"):
        endpoint = sphd.endpoint("e", "XCPD", connection="ihe-xcpd", purposes=("T-IAS",))
        entry = sphd.organization("a", hcid=HCID, name=name, endpoints=[endpoint])
        store.import_rows(rows_of_bundle(sphd.bundle(entry)), source="x", now=now)

    load()
    store.reload = load
    return store


@pytest.fixture
def statements(directory_engine):
    seen = []
    event.listen(directory_engine, "before_cursor_execute", lambda *args: seen.append(args[2]))
    return seen


def test_a_cached_lookup_asks_the_database_nothing(filled, statements):
    view = DirectoryView(filled)
    assert view.by_home_community_id(HCID).name == "First"
    assert view.by_home_community_id("urn:oid:2.999.9") is None
    view.responders("ITI-55")
    statements.clear()
    assert view.by_home_community_id(HCID).name == "First"
    assert view.by_home_community_id("urn:oid:2.999.9") is None
    assert [o.id for o in view.responders("ITI-55", "T-IAS")] == ["a"]
    assert view.responders("ITI-55", "T-TRTMNT") == ()
    assert view.version == "1.0"
    assert statements == []


def test_an_import_in_this_process_is_seen_at_once(filled):
    view = DirectoryView(filled)
    view.by_home_community_id(HCID)
    filled.reload("Second")
    assert view.version == "2.0"
    assert view.by_home_community_id(HCID).name == "Second"


def test_a_suspension_in_this_process_is_seen_at_once(filled, now):
    view = DirectoryView(filled)
    assert not view.by_home_community_id(HCID).suspended
    assert len(view.responders("ITI-55")) == 1
    filled.local.suspend("a", "inquiry", now=now)
    assert view.by_home_community_id(HCID).suspended
    assert view.responders("ITI-55") == ()


def test_a_pin_in_this_process_is_seen_at_once(filled, now):
    view = DirectoryView(filled)
    assert view.pins("a") == ()
    filled.local.pin("a", "ab" * 32, PinUse.TLS, now=now)
    assert [pin.use for pin in view.pins("a")] == [PinUse.TLS]


def test_a_change_of_another_process_is_seen_after_a_refresh(filled, directory_engine, now):
    view = DirectoryView(filled)
    view.by_home_community_id(HCID)
    other = DirectoryStore(directory_engine)
    other.local.suspend("a", "inquiry", now=now)
    assert view.refresh()
    assert view.by_home_community_id(HCID).suspended
    assert not view.refresh()


def test_a_lookup_that_is_not_cached_sees_other_processes_changes_for_all(
    filled, directory_engine, now
):
    view = DirectoryView(filled)
    view.by_home_community_id(HCID)
    DirectoryStore(directory_engine).local.suspend("a", "inquiry", now=now)
    view.by_id("something else")
    assert view.by_home_community_id(HCID).suspended


def test_what_was_read_while_somebody_wrote_is_not_kept(filled, monkeypatch):
    view = DirectoryView(filled)
    real = filled.by_home_community_id

    def slow(hcid):
        found = real(hcid)
        monkeypatch.setattr(filled, "by_home_community_id", real)
        filled.reload("Second")
        return found

    monkeypatch.setattr(filled, "by_home_community_id", slow)
    assert view.by_home_community_id(HCID).name == "First"
    assert view.by_home_community_id(HCID).name == "Second"


def test_the_cache_is_bounded_and_forgets_what_was_not_used_for_longest(filled, statements):
    view = DirectoryView(filled, capacity=2)
    view.by_home_community_id(HCID)
    view.by_home_community_id("urn:oid:1.1")
    view.by_home_community_id(HCID)
    view.by_home_community_id("urn:oid:1.2")
    statements.clear()
    view.by_home_community_id(HCID)
    assert statements == []
    view.by_home_community_id("urn:oid:1.1")
    assert statements != []


def test_an_endless_id_is_not_remembered(filled, statements):
    view = DirectoryView(filled)
    assert view.by_home_community_id("x" * 10_000) is None
    statements.clear()
    assert view.by_home_community_id("x" * 10_000) is None
    assert statements != []


def test_the_view_knows_the_managing_organisation_and_hosts(filled):
    view = DirectoryView(filled)
    assert view.managing_organization(view.by_id("a")) is None
    assert [o.id for o in view.by_host("gw.e.example")] == ["a"]
    assert [o.id for o in view.all_by_home_community_id(HCID)] == ["a"]
