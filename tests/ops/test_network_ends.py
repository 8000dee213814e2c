"""The ends of members' keys in the signed network list (issue 3, point 2)."""

from __future__ import annotations

from datetime import UTC, timedelta

import pytest
from prometheus_client.parser import text_string_to_metric_families

from node import network_ends
from node.expiry_calendar import expiring, seconds_left
from node.listed_facts import listed_facts
from node.ops.metrics import Metrics
from node.peer_ends import peer_ends
from node.settings import NodeHome
from tests.network_world import BEGIN, NetworkWorld
from trust.expiry import Expiring, Kind, calendar
from trust.network_list.member import Membership

DAY = timedelta(days=1)


@pytest.fixture
def world(tmp_path) -> NetworkWorld:
    return NetworkWorld(tmp_path)


def key(number: int, ends: float | None = None, begins: float | None = None, **more) -> dict:
    bounds = {"not_after": ends, "not_before": begins}
    given = {
        name: (BEGIN + days * DAY).isoformat() for name, days in bounds.items() if days is not None
    }
    return {"spki_sha256": f"{number:064x}", **given, **more}


def home_of(world: NetworkWorld) -> NodeHome:
    world.publish()
    home = NodeHome(world.folder / "home")
    home.anchors.mkdir(parents=True)
    member = Membership(home.network)
    member.join(str(world.public), world.publisher.root_fingerprint())
    member.sync(now=world.now)
    return home


def keys_of(home: NodeHome, now=BEGIN) -> list[Expiring]:
    return [item for item in expiring(home, now=now) if item.kind is Kind.LISTED_KEY]


def test_a_members_key_is_named_with_its_organisation_and_judged_by_the_ladder(world):
    world.add("north", "north-2", name="Hill Clinic", tls_pins=[key(1, 2)])
    (item,) = keys_of(home_of(world))
    assert item.name == f"Hill Clinic (north-2) TLS server, TLS client {'0' * 8}"
    assert item.not_after == BEGIN + 2 * DAY
    (due,) = calendar([item], now=BEGIN)
    assert (due.rung, due.in_order) == ("3 days", False)


def test_that_another_peer_is_about_to_renew_is_usual(world):
    world.add("north", "north-2", tls_pins=[key(1, 10)])
    (due,) = calendar(keys_of(home_of(world)), now=BEGIN)
    assert (due.rung, due.in_order) == ("14 days", True)


@pytest.mark.parametrize(
    ("fields", "counts"),
    [
        ({}, True),
        ({"status": "inactive"}, False),
        ({"valid_to": (BEGIN - DAY).isoformat()}, False),
        ({"valid_from": (BEGIN + DAY).isoformat()}, False),
        ({"valid_to": (BEGIN + DAY).isoformat()}, True),
    ],
)
def test_only_members_that_count_now_are_in_the_calendar(world, fields, counts):
    world.add("north", "north-2", tls_pins=[key(1, 30)], **fields)
    assert len(keys_of(home_of(world))) == counts


@pytest.mark.parametrize(
    ("keys", "shown"),
    [
        ([key(1, 10)], [10]),
        ([key(1, 10), key(2, 300)], [300]),
        ([key(1, 10), key(2, 300, 9)], [300]),
        ([key(1, 10), key(2, 300, 11)], [10, 300]),
        ([key(1, 10), key(2)], []),
        ([key(1, 10, role="server"), key(2, 300, role="client")], [10, 300]),
        ([key(1, 10, role="server"), key(2, 300)], [300]),
        ([key(1)], []),
    ],
)
def test_a_key_that_another_takes_over_in_time_is_no_event(world, keys, shown):
    world.add("north", "north-2", tls_pins=keys)
    assert [(item.not_after - BEGIN) / DAY for item in keys_of(home_of(world))] == shown


def test_saml_keys_end_as_well(world):
    world.add("north", "north-2", tls_pins=[key(1)], saml_signers=[key(2, 5)])
    (item,) = keys_of(home_of(world))
    assert " SAML " in item.name


def test_the_soonest_are_listed_and_the_rest_is_counted(world, monkeypatch):
    monkeypatch.setattr(network_ends, "MOST", 3)
    for number in range(1, 11):
        world.add("north", f"north-{number}", tls_pins=[key(number, 100 - number)])
    home = home_of(world)
    *listed, rest = keys_of(home)
    assert [(item.not_after - BEGIN) / DAY for item in listed] == [90, 91, 92]
    assert rest.name == "other keys of the network list"
    assert ((rest.not_after - BEGIN) / DAY, rest.others) == (93, 6)
    metrics = Metrics()
    metrics.watch_expiry(lambda: seconds_left(home, BEGIN))
    (family,) = (
        family
        for family in text_string_to_metric_families(metrics.text().decode())
        if family.name == "tefca_expiry_seconds"
    )
    exported = [s.value for s in family.samples if s.labels["kind"] == "listed-key"]
    assert sorted(exported) == [days * 86400 for days in (90, 91, 92, 93)]


def test_another_list_has_other_ends(world):
    world.add("north", "north-2", tls_pins=[key(1, 10)])
    home = home_of(world)
    assert len(keys_of(home)) == 1
    world.add("north", "north-2", tls_pins=[key(1, 20)])
    world.publish()
    member = Membership(home.network)
    report = member.sync(now=world.now)
    if not report.applied:
        member.approve(report.change.after, now=world.now)
    (item,) = keys_of(home)
    assert item.not_after.astimezone(UTC) == BEGIN + 20 * DAY


def test_what_is_listed_of_one_member_is_found_for_its_page(world):
    world.add("north", "north-2", name="Hill Clinic", tls_pins=[key(1, 2)])
    world.add("north", "north-3", tls_pins=[key(2, 5)])
    found = peer_ends(home_of(world), ["north-2", "north-9"], now=BEGIN)
    assert set(found) == {"north-2"}
    assert [due.rung for due in found["north-2"]] == ["3 days"]


def test_the_list_in_use_is_told_in_numbers(world):
    world.add("north", "north-2")
    home = home_of(world)
    facts = listed_facts(home)
    listed = Membership(home.network).applied()
    assert facts is not None
    assert listed is not None
    assert (facts.version, facts.digest, facts.waiting) == (listed.version, listed.digest, None)
    assert facts.entries == sum(1 for _ in listed.entries())
    assert facts.ends == min(listed.expires.values())
    assert listed_facts(NodeHome(world.folder / "alone")) is None
