"""The same gateway and client under uvloop, which a node runs on."""

from __future__ import annotations

import asyncio

import uvloop
from soap_world import asking, ref, running, sha256_of

from node.exchange.ports import Trace
from node.model import ResponseStatus, Transaction
from node.peers.inbox import FileInbox


def test_a_retrieve_over_mutual_tls_works_on_uvloop(us, them, tmp_path):
    async def exchange():
        inbox = FileInbox(tmp_path / "spool", tmp_path / "shown")
        trace = Trace()
        async with (
            running(us, them, documents=[("1.2.3.1", 1_000_000)]) as world,
            asking(world) as peers,
        ):
            answer = await peers.retrieve(
                world.peer(Transaction.ITI_39), [ref("1.2.3.1")], world.call(), trace, inbox
            )
        return answer, trace, world.responding.entries

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        answer, trace, entries = runner.run(exchange())
    assert answer.status is ResponseStatus.SUCCESS
    assert answer.documents[0].sha256 == sha256_of(1_000_000)
    assert trace.evidence.peer_key == us.pin
    assert entries[0][0].peer_key == them.pin
