"""Health checks and the operator's endpoints."""

from __future__ import annotations

import asyncio
import json

from aiohttp import ClientSession

from node.errors import OurFault
from node.gateway.server import serving
from node.model import Direction, Outcome, Transaction
from node.ops.endpoints import operations_app
from node.ops.health import Finding, Status, examine
from node.ops.metrics import Metrics


async def fine() -> Finding:
    return Finding(status=Status.OK, sentence="The database answers.")


async def hanging() -> Finding:
    await asyncio.sleep(60)
    return await fine()


async def coded() -> Finding:
    raise OurFault("internal-error", "It broke.")


async def broken() -> Finding:
    raise KeyError("Newman, Alice")


async def test_every_check_ends_as_a_finding():
    health = await examine(
        {"fine": fine, "hanging": hanging, "coded": coded, "broken": broken}, seconds=0.05
    )
    assert {name: f.status for name, f in health.findings.items()} == {
        "fine": Status.OK,
        "hanging": Status.UNKNOWN,
        "coded": Status.FAIL,
        "broken": Status.FAIL,
    }
    assert not health.ready
    assert health.findings["coded"].advice
    assert "Alice" not in health.findings["broken"].sentence


async def get(app, path: str) -> tuple[int, str]:
    async with (
        serving(app, "127.0.0.1", 0, None) as (host, port),
        ClientSession() as session,
        session.get(f"http://{host}:{port}{path}") as answer,
    ):
        return answer.status, await answer.text()


async def test_the_endpoints():
    metrics = Metrics()
    metrics.leg_ended(Direction.INITIATING, Transaction.ITI_55, Outcome.OK_EMPTY, 0.2)
    metrics.deviations("urn:oid:1.2.3", ["message-id-form", "message-id-form"])
    app = operations_app(metrics, {"fine": fine})
    assert await get(app, "/livez") == (200, "ok\n")
    status, text = await get(app, "/readyz")
    assert status == 200
    assert json.loads(text)["checks"]["fine"]["status"] == "ok"
    _, text = await get(app, "/metrics")
    assert (
        'tefca_legs_total{direction="initiating",outcome="ok-empty",transaction="ITI-55"} 1.0'
        in text
    )
    assert 'tefca_deviations_total{deviation="message-id-form",peer="urn:oid:1.2.3"} 2.0' in text


async def test_not_ready_is_503():
    status, text = await get(operations_app(Metrics(), {"coded": coded}), "/readyz")
    assert status == 503
    assert json.loads(text)["ready"] is False
