"""A peer whose CA revoked it gets no answer, on open connections either (facts pki A6, A11).

Real sockets and a running gateway on one side, the SOAP client on the other.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from crl_world import HARD, SOFT, Crls
from soap_world import asking, running, their_facts
from test_soap_faults import SOAP_TYPE, signed
from tls_network import HOST, network_ca

from node.errors import TheirFault
from node.exchange.ports import Refusal, Trace
from node.model import Demographics, PatientQuery, PersonName, Transaction
from node.peers.server_trust import bound_server
from tests.anchors import anchor_of
from trust.binder import Binder
from trust.binding import OrganizationTrust

ITI_38 = Transaction.ITI_38
BOUND = pytest.mark.parametrize("pinned", [True, False], ids=["pinned", "anchor+name"])


class Connection:
    """One keep-alive connection of the peer to the gateway."""

    def __init__(self, world) -> None:
        self.world = world

    async def __aenter__(self):
        self.reader, self.writer = await asyncio.open_connection(
            "127.0.0.1", self.world.address[1], ssl=self.world.them.client, server_hostname=HOST
        )
        return self

    async def __aexit__(self, *_):
        self.writer.transport.abort()

    async def ask(self) -> tuple[int, dict[str, str]]:
        """One request; its status and headers."""
        body = signed(self.world)
        path = self.world.gateway.paths.of(ITI_38)
        head = (
            f"POST {path} HTTP/1.1\r\nhost: {HOST}\r\ncontent-type: {SOAP_TYPE}\r\n"
            f"content-length: {len(body)}\r\n\r\n"
        )
        self.writer.write(head.encode() + body)
        answer = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {
            name.lower(): value.strip()
            for name, _, value in (line.partition(":") for line in answer[1:] if line)
        }
        await self.reader.readexactly(int(headers["content-length"]))
        return int(answer[0].split()[1]), headers

    async def ended(self) -> bool:
        return await self.reader.read(1) == b""


def opened(us, them, crls, *, pinned=True):
    facts = their_facts(them, pinned=pinned, host="" if pinned else "them.example")
    return running(us, them, facts=facts, allow_unpinned=True, revocations=crls.known)


def last_reason(world) -> str | None:
    asker = world.responding.entries[-1][0].asker
    return asker.code if isinstance(asker, Refusal) else None


@BOUND
@pytest.mark.parametrize("rule", [HARD, SOFT], ids=["hard", "soft"])
async def test_a_revoked_peers_open_connection_gets_no_further_answer(
    us, them, tmp_path, pinned, rule
):
    crls = Crls(tmp_path / "crls", rule)
    crls.publish()
    async with opened(us, them, crls, pinned=pinned) as world, Connection(world) as connection:
        for _ in range(2):
            status, headers = await connection.ask()
            assert (status, headers.get("connection")) == (200, None)
        crls.revoke(them.certificate)
        status, headers = await connection.ask()
        assert (status, headers["connection"]) == (400, "close")
        assert last_reason(world) == "certificate-revoked"
        assert await connection.ended()
        async with Connection(world) as another:
            assert (await another.ask())[0] == 400


@BOUND
async def test_no_crl(us, them, tmp_path, pinned):
    crls = Crls(tmp_path / "crls", HARD)
    async with opened(us, them, crls, pinned=pinned) as world:
        async with Connection(world) as connection:
            assert (await connection.ask())[0] == 400
            assert last_reason(world) == "crl-missing"
        crls.publish()
        async with Connection(world) as connection:
            assert (await connection.ask())[0] == 200


@BOUND
@pytest.mark.parametrize(("days", "code"), [(7.5, "crl-stale"), (9, "crl-expired")])
async def test_stale_crl(us, them, tmp_path, pinned, days, code):
    crls = Crls(tmp_path / "crls", HARD)
    crls.publish(age=timedelta(days=days))
    async with opened(us, them, crls, pinned=pinned) as world, Connection(world) as connection:
        assert (await connection.ask())[0] == 400
        assert last_reason(world) == code


@BOUND
async def test_a_soft_rule_lets_the_unknown_pass_and_never_the_revoked(us, them, tmp_path, pinned):
    crls = Crls(tmp_path / "crls", SOFT)
    async with opened(us, them, crls, pinned=pinned) as world, Connection(world) as connection:
        assert (await connection.ask())[0] == 200
        crls.revoke(them.certificate)
        assert (await connection.ask())[0] == 400


async def discover(peers, world, trace):
    return await peers.discover(
        world.peer(Transaction.ITI_55),
        PatientQuery(
            demographics=Demographics(
                names=(PersonName(family="Newman", given=("Alice",)),), birth_date="19700501"
            )
        ),
        world.call(),
        trace,
    )


@BOUND
async def test_a_revoked_server_is_asked_nothing_more_over_a_pooled_connection(
    us, them, tmp_path, pinned
):
    crls = Crls(tmp_path / "crls", HARD)
    crls.publish()
    theirs = OrganizationTrust(
        organization_id="us",
        pins=frozenset({us.pin}) if pinned else frozenset(),
        host_names=frozenset({HOST}),
    )
    anchors = (anchor_of(network_ca().certificate),)
    binder = Binder(anchors, allow_unpinned=True, revocations=crls.known)
    async with running(us, them) as world:
        judge = bound_server(lambda _peer: theirs, binder, world.clock.now)
        async with asking(world, judge_server=judge) as peers:
            trace = Trace()
            await discover(peers, world, trace)
            assert trace.evidence.binding == ("pinned" if pinned else "anchor+name")
            crls.revoke(us.certificate)
            with pytest.raises(TheirFault) as refused:
                await discover(peers, world, Trace())
            assert refused.value.code == "peer-not-bound"
            assert refused.value.detail == "certificate-revoked"
            assert len(world.responding.entries) == 1
