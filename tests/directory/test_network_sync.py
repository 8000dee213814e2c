"""What a running node does with its network's list in the background."""

from __future__ import annotations

import asyncio

import pytest
from structlog.testing import capture_logs

from node.errors import OurFault
from node.network_list import (
    KeptSynced,
    approve_list,
    keep_synced,
    leave_network,
    sync_network,
)
from tests.network_world import NetworkWorld
from tests.trust_recorder import Recorded
from trust.errors import TrustError


@pytest.fixture
def world(tmp_path):
    world = NetworkWorld(tmp_path / "net")
    world.publish()
    return world


@pytest.fixture
def trust():
    return Recorded()


async def synced(world, member, store, trust, done):
    """Runs the background task until a condition holds."""
    keeping = keep_synced(member, store, trust, minutes=60, now=lambda: world.now)
    task = asyncio.create_task(keeping)
    while not done():  # noqa: ASYNC110  a thread does it
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_running_node_takes_the_list_at_its_start(world, store, trust):
    member = world.joined()
    await synced(world, member, store, trust, lambda: store.by_id("north-2") is not None)


async def test_a_sync_that_fails_is_logged_and_the_list_in_use_stays(world, store, trust):
    member = world.joined()
    (world.public / "metadata" / "timestamp.json").unlink()
    with capture_logs() as logs:
        await synced(world, member, store, trust, lambda: bool(logs))
    assert logs[0]["code"] == "network-list-unreachable"
    assert store.by_id("north-2").active


def test_without_a_network_for_more_than_a_week_its_members_are_inactive(world, store, trust):
    member = world.joined()
    sync_network(member, store, trust, now=world.now)
    world.later(days=9)
    with pytest.raises(TrustError) as caught:
        sync_network(member, store, trust, now=world.now)
    assert caught.value.code == "network-list-expired"
    assert not store.by_id("north-2").active
    world.publish()
    sync_network(member, store, trust, now=world.now)
    assert store.by_id("north-2").active


# --- every change of trust is an entry of its own (issue 3, point 8; facts: pki B3.3 rule 6) ------


def test_a_list_that_is_used_has_its_entries_with_version_digest_and_counts(world, store, trust):
    member = world.member()
    member.join(str(world.public), world.publisher.root_fingerprint())
    report, taken = sync_network(member, store, trust, now=world.now)
    assert trust.steps() == [("list-apply", "begun"), ("list-apply", "done")]
    done = trust.entries[1][1]
    assert done.thing == report.change.after
    assert done.version == member.applied().version
    assert done.counts == {"added": taken.added, "changed": 0, "removed": 0}
    assert done.private["changes"] == list(report.change.sentences)


def test_a_list_that_was_used_already_has_no_further_entry(world, store, trust):
    member = world.member()
    member.join(str(world.public), world.publisher.root_fingerprint())
    sync_network(member, store, trust, now=world.now)
    for _ in range(8):  # the snapshot's own signature is renewed too
        world.later(days=1)
        world.publish()
        sync_network(member, store, trust, now=world.now)
    assert len(trust.entries) == 2


def test_a_list_is_not_used_while_the_log_cannot_be_written(world, store, trust):
    member = world.member()
    member.join(str(world.public), world.publisher.root_fingerprint())
    trust.works = False
    with pytest.raises(OurFault) as caught:
        sync_network(member, store, trust, now=world.now)
    assert caught.value.code == "trust-change-unrecorded"
    assert member.applied() is None
    assert store.by_id("north-2") is None
    trust.works = True
    sync_network(member, store, trust, now=world.now)
    assert store.by_id("north-2").active
    assert trust.steps() == [("list-apply", "begun"), ("list-apply", "done")]


def test_entries_that_become_too_old_leave_the_directory_with_an_entry(world, store, trust):
    member = world.joined()
    sync_network(member, store, trust, now=world.now)
    trust.entries.clear()
    world.later(days=9)
    with pytest.raises(TrustError):
        sync_network(member, store, trust, now=world.now)
    assert trust.steps() == [("list-follow", "done")]


def test_a_running_node_writes_down_each_new_refusal_and_age_once(world, store, trust):
    member = world.joined()
    kept = KeptSynced(member, store, trust)
    kept.sync(world.now)
    trust.entries.clear()
    world.later(days=9)
    for _ in range(3):
        with pytest.raises(TrustError):
            kept.sync(world.now)
    met = [(c.act, c.reason) for _, c in trust.entries if c.act != "list-follow"]
    assert met == [("list-refuse", "network-list-expired"), ("list-age", "network-list-stale")]
    world.publish()
    trust.entries.clear()
    kept.sync(world.now)
    assert ("list-age", "network-list-fresh") in [(c.act, c.reason) for _, c in trust.entries]


def test_a_list_that_waits_and_its_approval_have_their_entries(world, store, trust):
    member = world.joined()
    sync_network(member, store, trust, now=world.now)
    trust.entries.clear()
    for number in range(13, 30):
        world.add("north", f"north-{number}")
    world.publish()
    for _ in range(2):
        report, _ = sync_network(member, store, trust, now=world.now)
        assert not report.applied
    assert trust.steps() == [("list-wait", "done")]
    approve_list(member, store, trust, report.change.after, now=world.now)
    assert trust.steps()[1:] == [("list-approve", "begun"), ("list-approve", "done")]
    with pytest.raises(TrustError) as caught:
        approve_list(member, store, trust, report.change.after, now=world.now)
    assert caught.value.code == "network-nothing-waits"
    assert len(trust.entries) == 3


def test_leaving_takes_the_list_out_of_the_directory(world, store, trust):
    member = world.joined()
    sync_network(member, store, trust, now=world.now)
    ends, taken = leave_network(member, store, trust)
    assert len(ends.organizations) == taken.removed == 24
    assert store.by_id("north-2") is None
    assert (member.joined(), store.listed_ids()) == (None, frozenset())
    assert trust.steps()[-2:] == [("network-leave", "begun"), ("network-leave", "done")]
    with pytest.raises(TrustError, match="network-not-joined"):
        leave_network(member, store, trust)


def test_nobody_leaves_unrecorded(world, store, trust):
    member = world.joined()
    sync_network(member, store, trust, now=world.now)
    trust.works = False
    with pytest.raises(OurFault):
        leave_network(member, store, trust)
    assert member.joined() is not None
    assert store.by_id("north-2") is not None


def test_a_list_that_is_taken_in_while_the_network_is_left_does_not_stay(
    world, store, trust, monkeypatch
):
    """The running node follows the list while an operator's command leaves it."""
    member, operators = world.joined(), world.member()
    genuine = store.take_list

    def overtaken(listed, *, now):
        operators.leave()
        store.drop_list()
        return genuine(listed, now=now)

    monkeypatch.setattr(store, "take_list", overtaken)
    sync_network(member, store, trust, now=world.now)
    assert store.listed_ids() == frozenset()
    assert store.by_id("north-2") is None


def test_nobody_leaves_during_a_sync(world):
    member, operators = world.joined(), world.member()
    world.add("north", "north-2", name="Another name")
    world.publish()
    with pytest.raises(TrustError, match="network-busy"):
        member.sync(now=world.now, deciding=lambda *_: operators.leave())
    assert operators.joined() is not None


def test_a_network_that_was_left_is_joined_again_from_its_root(world, store, trust):
    member = world.joined()
    leave_network(member, store, trust)
    member.join(str(world.public), world.publisher.root_fingerprint())
    assert member.applied() is None
    sync_network(member, store, trust, now=world.now)
    assert store.by_id("north-2") is not None
