"""Law 1, ledger before bytes: SIGKILL under load loses no entry of a request that got an answer."""

from __future__ import annotations

import asyncio
import random

import pytest
from asking import ask_once
from messages import discovery, envelope, header, new_message_id, post, response_code
from node_network import Network, cda, start

from node.app import Composition
from node.model import Leg, Outcome, Transaction

pytestmark = pytest.mark.e2e

ROUNDS, ASKING = 3, 16


@pytest.fixture
def network(tmp_path) -> Network:
    network = Network(tmp_path)
    network.add("asker")
    network.add("hub")
    network.join()
    network.load("hub", {"one.xml": cda(1)})
    return network


async def load_until_killed(network: Network, moment: int, *, anew: bool) -> list[Leg]:
    """Ask side by side; after so many answers the responder is killed. Returns every leg."""
    by, to = network.sites["asker"], network.sites["hub"]
    running = await asyncio.to_thread(start, to, anew=anew)
    legs: list[Leg] = []
    dead = asyncio.Event()
    try:
        async with Composition().initiator(by.home, by.settings) as initiator:

            async def asking() -> None:
                while not dead.is_set():
                    legs.append(await ask_once(initiator, by, to))
                    if len(legs) == moment:
                        running.kill()
                        dead.set()

            await asyncio.gather(*(asking() for _ in range(ASKING)))
    finally:
        running.kill()
    return legs


async def test_law_1_sigkill_under_load_loses_no_entry_of_an_answered_request(network):
    hub, asker = network.sites["hub"], network.sites["asker"]
    asked: list[Leg] = []
    for number in range(ROUNDS):
        asked += await load_until_killed(network, random.randint(20, 150), anew=number == 0)
        entries = hub.log()
        written = {entry.fields.get("msg") for entry in entries}
        answered = {leg.message_id for leg in asked if leg.outcome.answered}
        assert answered
        assert answered <= written, f"{len(answered - written)} answers without an entry"
        assert [entry.seq for entry in entries] == list(range(len(entries)))
    # the kill hit requests on their way, else this test shows nothing
    assert any(leg.outcome is Outcome.FAILED for leg in asked)
    own = asker.log()
    assert {leg.message_id for leg in asked} <= {entry.fields.get("msg") for entry in own}
    assert [entry.seq for entry in own] == list(range(len(own)))
    running = await asyncio.to_thread(start, hub)
    try:
        async with Composition().initiator(asker.home, asker.settings) as initiator:
            assert (await ask_once(initiator, asker, hub)).outcome is Outcome.OK
        # what was accepted once is a replay after a sudden end as well
        security = header(asker, hub, Transaction.ITI_55).octets
        data = envelope(hub, Transaction.ITI_55, discovery(asker), security, new_message_id())
        url = hub.url(Transaction.ITI_55)
        assert response_code(await asyncio.to_thread(post, asker, url, data)) in ("OK", "NF")
        running.kill()
        running = await asyncio.to_thread(start, hub)
        again = await asyncio.to_thread(post, asker, url, data)
        assert again.status in (400, 500)
        assert hub.log()[-1].fields["reason"] == "replay"
    finally:
        running.stop()
