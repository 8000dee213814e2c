"""What a running node does with its network's list in the background."""

from __future__ import annotations

import asyncio

import pytest
from structlog.testing import capture_logs

from node.network_list import keep_synced, sync_network
from tests.network_world import NetworkWorld
from trust.errors import TrustError


@pytest.fixture
def world(tmp_path):
    world = NetworkWorld(tmp_path / "net")
    world.publish()
    return world


async def synced(world, member, store, done):
    """Runs the background task until a condition holds."""
    task = asyncio.create_task(keep_synced(member, store, minutes=60, now=lambda: world.now))
    while not done():  # noqa: ASYNC110  a thread does it
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_running_node_takes_the_list_at_its_start(world, store):
    member = world.joined()
    await synced(world, member, store, lambda: store.by_id("north-2") is not None)


async def test_a_sync_that_fails_is_logged_and_the_list_in_use_stays(world, store):
    member = world.joined()
    (world.public / "metadata" / "timestamp.json").unlink()
    with capture_logs() as logs:
        await synced(world, member, store, lambda: bool(logs))
    assert logs[0]["code"] == "network-list-unreachable"
    assert store.by_id("north-2").active


def test_without_a_network_for_more_than_a_week_its_members_are_inactive(world, store):
    member = world.joined()
    sync_network(member, store, now=world.now)
    world.later(days=9)
    with pytest.raises(TrustError) as caught:
        sync_network(member, store, now=world.now)
    assert caught.value.code == "network-list-expired"
    assert not store.by_id("north-2").active
    world.publish()
    sync_network(member, store, now=world.now)
    assert store.by_id("north-2").active
