"""A checked network list in the directory: entries, keys, precedence over unsigned sources."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from directory.errors import DirectoryError
from directory.export import export_bundle
from directory.model import Organization, PinUse
from directory.rows import rows_of_bundle
from directory.view import DirectoryView
from node.model import Transaction
from node.peer_directory import PeerDirectory
from tests.network_world import NetworkWorld
from trust.network_list.registrar import set_policy


@pytest.fixture
def world(tmp_path):
    return NetworkWorld(tmp_path / "net")


def taken(world, store, **pins):
    world.add("north", "north-2", initiates=["T-TRTMNT"], **pins)
    world.publish()
    return store.take_list(world.joined().applied(), now=world.now)


def test_entries_of_the_list_are_organisations_of_their_own_source(world, store):
    counts = taken(world, store)
    assert (counts.added, counts.removed) == (24, 0)
    found = store.by_id("north-2")
    assert found.initiates == {"T-TRTMNT"}
    assert found.endpoint_for("ITI-55").address == "https://north-2.example/xcpd"
    assert [(s.name, s.organizations) for s in store.sources()] == [("network-list", 24)]


def test_the_qhin_that_signed_an_entry_manages_it(world, store):
    taken(world, store)
    assert store.by_id("north-2").managing_organization == "north-1"
    assert store.by_id("south-2").managing_organization == "south-1"


def test_keys_of_the_list_are_pins_marked_as_such_beside_the_operators(world, store):
    taken(
        world,
        store,
        tls_pins=[{"spki_sha256": "ab" * 32}],
        saml_signers=[{"spki_sha256": "cd" * 32}],
    )
    store.local.pin("north-2", "ef" * 32, PinUse.TLS, now=world.now)
    found = {(pin.spki[:2], pin.use, pin.listed) for pin in store.local.pins("north-2")}
    assert found == {
        ("ef", PinUse.TLS, False),
        ("ab", PinUse.TLS, True),
        ("cd", PinUse.ASSERTION, True),
        ("cd", PinUse.HOLDER, True),
    }
    assert [o.id for o in store.by_pin("ab" * 32)] == ["north-2"]


def test_a_key_out_of_its_time_is_no_pin_while_another_counts(world, store):
    over = (world.now - timedelta(days=1)).isoformat()
    taken(
        world,
        store,
        tls_pins=[{"spki_sha256": "ab" * 32, "not_after": over}, {"spki_sha256": "cd" * 32}],
    )
    assert {pin.spki for pin in store.local.pins("north-2")} == {"cd" * 32}


def test_keys_that_are_all_out_of_their_time_stay_pinned(world, store):
    """Without a pin the organisation would be bound by anchor and name, which is weaker."""
    over = (world.now - timedelta(days=1)).isoformat()
    taken(world, store, tls_pins=[{"spki_sha256": "ab" * 32, "not_after": over}])
    assert {pin.spki for pin in store.local.pins("north-2")} == {"ab" * 32}


def test_a_pin_that_left_the_list_is_gone_and_the_operators_stays(world, store):
    taken(world, store, tls_pins=[{"spki_sha256": "ab" * 32}])
    store.local.pin("north-2", "ef" * 32, PinUse.TLS, now=world.now)
    world.later(hours=1)
    world.add("north", "north-2", tls_pins=[{"spki_sha256": "cd" * 32}])
    world.publish()
    member = world.member()
    member.sync(now=world.now)
    counts = store.take_list(member.applied(), now=world.now)
    assert (counts.changed, counts.pins_added, counts.pins_removed) == (1, 1, 1)
    assert {pin.spki for pin in store.local.pins("north-2")} == {"cd" * 32, "ef" * 32}


def test_the_signed_list_takes_an_entry_over_from_an_unsigned_source(world, store):
    unsigned = Organization(id="north-2", name="Unsigned")
    rows = list(rows_of_bundle(export_bundle(unsigned)))
    store.import_rows(rows, source="network", now=world.now)
    assert taken(world, store).taken_over == 1
    assert store.by_id("north-2").name == "Clinic north-2"
    with pytest.raises(DirectoryError):  # every row of it is the signed source's now
        store.import_rows(rows, source="network", now=world.now)
    assert store.by_id("north-2").name == "Clinic north-2"


def test_nobody_imports_unsigned_rows_as_the_signed_list(world, store):
    with pytest.raises(DirectoryError) as caught:
        store.import_rows([], source="network-list", now=world.now)
    assert caught.value.code == "source-invalid"


def test_an_entry_that_left_the_list_leaves_the_directory(world, store):
    taken(world, store)
    world.later(hours=1)
    assert world.publisher.workspace.remove("north", "north-3")
    world.publish()
    member = world.member()
    member.sync(now=world.now)
    assert store.take_list(member.applied(), now=world.now).removed == 1
    assert store.by_id("north-3") is None


def test_entries_of_a_qhin_whose_role_lapsed_a_week_ago_are_inactive(world, store):
    world.publish()
    listed = world.joined().applied()
    listed = replace(listed, expires={"timestamp": world.now + timedelta(days=99)})
    store.take_list(listed, now=world.now + timedelta(days=37, hours=-1))
    assert store.by_id("north-2").active
    store.take_list(listed, now=world.now + timedelta(days=37, hours=1))
    assert not store.by_id("north-2").active


def test_entries_of_a_list_that_is_a_week_too_old_are_inactive(world, store):
    world.publish()
    listed = world.joined().applied()
    store.take_list(listed, now=world.now + timedelta(days=8))
    assert store.by_id("north-2").active
    store.take_list(listed, now=world.now + timedelta(days=8, seconds=1))
    assert not store.by_id("north-2").active


def test_of_two_entries_with_one_home_community_the_signed_one_stands_first(world, store):
    hcid = "urn:oid:2.999.42"
    unsigned = Organization(id="a", name="A", home_community_ids=(hcid,))
    store.import_rows(rows_of_bundle(export_bundle(unsigned)), source="network", now=world.now)
    taken(world, store, home_community_id=hcid)
    assert [(o.id, o.source) for o in store.by_home_community_id(hcid)] == [
        ("north-2", "network-list"),
        ("a", "network"),
    ]


@pytest.mark.parametrize("allowed", [True, False])
def test_unsigned_entries_are_refused_where_the_settings_say_so(world, store, allowed):
    unsigned = Organization(id="a", name="A")
    store.import_rows(rows_of_bundle(export_bundle(unsigned)), source="network", now=world.now)
    taken(world, store)
    peers = PeerDirectory(DirectoryView(store), "me", allow_unsigned=allowed)
    assert peers.by_organization_id("a").unsigned_refused is not allowed
    assert not peers.by_organization_id("north-2").unsigned_refused
    answering = {e.organization_id for e in peers.responders(Transaction.ITI_55)}
    assert "north-2" in answering


def test_an_entry_outside_its_time_is_inactive(world, store):
    taken(world, store, valid_to=(world.now - timedelta(days=1)).isoformat())
    assert not store.by_id("north-2").active


def test_a_suspension_survives_the_list(world, store):
    taken(world, store)
    store.local.suspend("north-2", "audit", now=world.now)
    store.take_list(world.member().applied(), now=world.now)
    assert store.by_id("north-2").suspended


def test_purposes_that_the_network_does_not_have_in_use_count_for_nobody(world, store):
    endpoints = [
        {"kind": "ITI-55", "url": "https://a.example/1", "responds": ["T-TRTMNT", "T-PYMNT"]},
        {"kind": "ITI-38", "url": "https://a.example/2", "responds": ["T-PYMNT"]},
        {"kind": "ITI-39", "url": "https://a.example/3"},
    ]
    world.add("north", "north-2", initiates=["T-TRTMNT", "T-PYMNT"], endpoints=endpoints)
    set_policy(world.publisher.workspace, purposes=("T-TRTMNT", "T-PH"))
    world.publish()
    store.take_list(world.joined().applied(), now=world.now)
    found = store.by_id("north-2")
    assert found.initiates == {"T-TRTMNT"}
    assert found.endpoint_for("ITI-55").responds == {"T-TRTMNT"}
    assert found.endpoint_for("ITI-38") is None  # not "any purpose": nothing is left
    assert found.endpoint_for("ITI-39").responds == {"T-TRTMNT", "T-PH"}


def test_anchors_of_the_list_may_vouch_for_its_entries_and_for_no_others(world, store):
    taken(world, store)
    unsigned = Organization(id="other", name="Other", source="")
    rows = rows_of_bundle(export_bundle(unsigned), where="other")
    store.import_rows(rows, source="hand", now=world.now)
    peers = PeerDirectory(DirectoryView(store), "north-1")
    listed = {
        name: peers.organization_trust(peers.by_organization_id(name)).listed
        for name in ("north-2", "other")
    }
    assert listed == {"north-2": True, "other": False}
