"""A change of trust that cannot be taken over is told by metrics, readiness and ``doctor``."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from node.demo.free_ports import free_ports
from node.examined_running import examine_running
from node.gateway.server import serving
from node.live_trust import LiveTrust
from node.opened import opened_home
from node.ops.endpoints import operations_app
from node.ops.health import Status, examine
from node.ops.metrics import Metrics
from node.running_checks import running_checks, trust_finding
from node.settings import NodeHome, Settings, load_settings
from node.setup import NewNode, make_home


@pytest.fixture
def home(tmp_path) -> NodeHome:
    home = NodeHome(tmp_path / "home")
    node = NewNode(name="N", home_community_id="urn:oid:2.999.7", organization_id="2.999.7")
    make_home(home, node, now=datetime.now(UTC))
    return home


def at(home: NodeHome, port: int, **more) -> Settings:
    settings = load_settings(home)
    return settings.model_copy(
        update={"ops": settings.ops.model_copy(update={"port": port, **more})}
    )


def broken(home: NodeHome):
    file = home.anchors / f"{'0' * 64}.pem"
    file.write_text("not a certificate")
    return file


async def test_trust_that_cannot_be_taken_is_told_until_it_can(home):
    trust, metrics = LiveTrust(home, lambda: datetime.now(UTC)), Metrics()
    metrics.watch_trust(lambda: len(trust.faults()))
    with opened_home(home, load_settings(home)) as opened:
        app = operations_app(metrics, running_checks(opened, trust))
        async with serving(app, "127.0.0.1", 0, None) as (_, port):

            async def told() -> tuple[Status, str, str]:
                (row,) = [
                    row
                    for row in await examine_running(at(home, port))
                    if row.check == "running: trust"
                ]
                (value,) = [
                    line.split()[1]
                    for line in metrics.text().decode().splitlines()
                    if line.startswith("tefca_trust_refused ")
                ]
                return row.status, row.sentence, value

            assert (await told())[::2] == (Status.OK, "0.0")
            file = broken(home)
            assert not await trust.check()
            status, sentence, value = await told()
            assert (status, value) == (Status.WARN, "1.0")
            assert "anchor-invalid" in sentence
            assert (await examine(running_checks(opened, trust))).ready
            file.unlink()
            assert not await trust.check()
            assert (await told())[::2] == (Status.OK, "0.0")


def test_the_finding_names_every_code_and_a_next_step():
    finding = trust_finding(frozenset({"b-code", "a-code"}))
    assert "a-code, b-code" in finding.sentence
    assert finding.advice


async def test_a_node_that_does_not_run_is_told_by_others(home):
    (port,) = free_ports(1)
    assert await examine_running(at(home, port)) == []
    assert await examine_running(at(home, 0)) == []
    assert await examine_running(at(home, port, enabled=False)) == []


@pytest.mark.parametrize("text", ["hello", "[]", "{}", '{"checks": {"a": {}}}', "x" * 100_000])
async def test_somebody_else_on_the_port_is_unknown(home, text):
    async def answer(_request: object) -> PlainTextResponse:
        return PlainTextResponse(text)

    app = Starlette(routes=[Route("/readyz", answer)])
    async with serving(app, "127.0.0.1", 0, None) as (_, port):
        (row,) = await examine_running(at(home, port))
    assert row.status is Status.UNKNOWN
    assert row.next_step
