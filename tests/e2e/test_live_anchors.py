"""``anchor remove`` and ``anchor add`` while nodes serve: both directions, open connections too."""

from __future__ import annotations

import asyncio
import http.client
from urllib.parse import urlsplit

import grpc
import pytest
from asking import ask_once
from grpc_health.v1 import health_pb2, health_pb2_grpc
from messages import (
    OPERATIONS,
    discovery,
    envelope,
    header,
    new_message_id,
    soap_content_type,
    tls_of,
)
from node_network import Network, Site, now, serving, until
from rpc_clients import channel

from node.exchange.ports import Ledger
from node.initiating import initiating
from node.ledger.ledger import ExchangeLedger
from node.ledger.private import load_key
from node.live_trust import LiveTrust
from node.model import Transaction
from node.opened import opened_home

pytestmark = pytest.mark.e2e


@pytest.fixture
def network(tmp_path) -> Network:
    network = Network(tmp_path)
    for name in ("asker", "clinic"):
        network.add(name)
    network.join()
    return network


def anchor(network: Network, verb: str, site: Site) -> None:
    fingerprint = next(site.home.anchors.glob("*.pem")).stem if verb == "remove" else ""
    done = site.cli("anchor", verb, fingerprint or network.folder / "ca" / "ca.pem")
    assert done.returncode == 0, done.stderr


def posted(connection: http.client.HTTPSConnection, by: Site, to: Site) -> int | None:
    """The status of one request over an open connection; ``None`` when it was closed."""
    data = envelope(
        to, Transaction.ITI_55, discovery(by, target=to.hcid),
        header(by, to, Transaction.ITI_55).octets, new_message_id(),
    )  # fmt: skip
    kind = soap_content_type(OPERATIONS[Transaction.ITI_55].request_action)
    try:
        connection.request("POST", urlsplit(to.url(Transaction.ITI_55)).path, body=data,
                           headers={"Content-Type": kind})  # fmt: skip
        answer = connection.getresponse()
        answer.read()
    except (OSError, http.client.HTTPException):
        connection.close()
        return None
    return answer.status


def test_a_removed_anchors_peers_get_no_further_answer_even_on_open_connections(network):
    """The peer is pinned: a pin does not keep a connection that its anchor does not."""
    asker, clinic = network.sites["asker"], network.sites["clinic"]
    where = urlsplit(clinic.url(Transaction.ITI_55))
    with serving(clinic):
        connection = http.client.HTTPSConnection(
            where.hostname or "", where.port, context=tls_of(asker), timeout=20
        )
        assert posted(connection, asker, clinic) == 200
        opened = connection.sock
        anchor(network, "remove", clinic)
        until(lambda: posted(connection, asker, clinic) != 200, seconds=60)
        assert connection.sock in (opened, None)  # no new handshake
        assert clinic.ledger()[-1].fields["reason"] == "anchor-unknown"
        anchor(network, "add", clinic)
        connection.close()
        until(lambda: posted(connection, asker, clinic) == 200, seconds=60)
        connection.close()


async def test_a_removed_clients_anchor_ends_the_answers_on_an_open_grpc_channel(network):
    asker = network.sites["asker"]
    with serving(asker):
        async with channel(asker) as opened:
            health = health_pb2_grpc.HealthStub(opened)

            async def code() -> grpc.StatusCode:
                try:
                    await health.Check(health_pb2.HealthCheckRequest(), timeout=10)
                except grpc.aio.AioRpcError as error:
                    return error.code()
                return grpc.StatusCode.OK

            assert await code() is grpc.StatusCode.OK
            for file in asker.home.client_anchors.iterdir():
                file.unlink()
            for _ in range(300):
                if (found := await code()) is not grpc.StatusCode.OK:
                    break
                await asyncio.sleep(0.2)
            assert found is grpc.StatusCode.UNAUTHENTICATED


async def test_a_removed_anchors_peers_are_not_asked_even_over_open_connections(network):
    asker, clinic = network.sites["asker"], network.sites["clinic"]
    with serving(clinic), opened_home(asker.home, asker.settings) as opened:
        ledger: Ledger = ExchangeLedger(opened.engine, load_key(asker.home.path), capacity=100)
        trust = LiveTrust(asker.home, now)
        async with initiating(opened, ledger, trust) as initiator:
            assert (await ask_once(initiator, asker, clinic)).outcome == "ok-empty"
            anchor(network, "remove", asker)
            assert await trust.check()
            before = len(clinic.ledger())
            over_open = await ask_once(initiator, asker, clinic)
            assert (over_open.outcome, over_open.reason) == ("failed", "peer-not-bound")
            anew = await ask_once(initiator, asker, clinic)
            assert (anew.outcome, anew.reason) == ("failed", "tls-failed")
            assert len(clinic.ledger()) == before
            anchor(network, "add", asker)
            assert await trust.check()
            assert (await ask_once(initiator, asker, clinic)).outcome == "ok-empty"
        ledger.close()
