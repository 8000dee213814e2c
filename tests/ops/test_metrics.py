"""The metrics say what happened, in closed sets of labels, in a registry of their own."""

from __future__ import annotations

from aiohttp import ClientSession
from starlette.applications import Starlette

from node.gateway.server import serving
from node.model import Transaction
from node.ops.metrics import Metrics


def test_two_registries_do_not_meet():
    one, other = Metrics(), Metrics()
    one.refusal(Transaction.ITI_38, "replay")
    assert b'reason="replay"' in one.text()
    assert b'reason="replay"' not in other.text()


def test_open_circuits_and_requests_are_seen():
    metrics = Metrics()
    metrics.circuit("urn:oid:1.2.3", is_open=True)
    metrics.request(Transaction.ITI_39, 413, 0.01)
    text = metrics.text().decode()
    assert 'tefca_peer_circuit_open{peer="urn:oid:1.2.3"} 1.0' in text
    assert 'tefca_gateway_seconds_count{status="413",transaction="ITI-39"} 1.0' in text


async def test_open_connections_are_counted_at_the_moment_of_reading():
    metrics = Metrics()
    async with (
        serving(Starlette(), "127.0.0.1", 0, None, metrics=metrics) as (host, port),
        ClientSession() as session,
    ):
        name = f'tefca_gateway_connections{{listener="{host}:{port}"}}'
        assert f"{name} 0.0" in metrics.text().decode()
        async with session.get(f"http://{host}:{port}/"):
            assert f"{name} 1.0" in metrics.text().decode()
