"""What a FHIR read and a search cost the node, beside the same bytes from Starlette and orjson.

The node's side is its whole application from the ASGI scope on: token, policy, index, stored bytes,
the log entry made durable. The floor has everything in memory: it looks a resource up and sends it,
or decodes the same resources and writes them into a Bundle, with nobody asked and nothing kept.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from node.clock import SystemClock
from node.exchange.fhir_audit import AuditResponder
from node.exchange.fhir_paging import Pages
from node.exchange.fhir_respond import FhirResponder
from node.gateway.fhir.app import fhir_app
from node.ledger.audit_records import LedgerAudit
from node.ledger.ledger import ExchangeLedger
from node.ledger.private import LedgerKey
from node.policy.purposes import purpose_register
from node.records.fhir.index import NewResource
from node.wire.fhir.bundle_reader import BundleResource
from tests.bench.row import Row, Sizes, alternately, compared
from tests.fhir_world import SITE, Directory, FhirWorld, Records, open_records

_BASE = "https://localhost/fhir"
_OBSERVATIONS = 200
_PAGE = 50
_AT_ONCE = 16
_CATEGORIES = "http://terminology.hl7.org/CodeSystem/observation-category"


def fhir_rows(sizes: Sizes) -> Iterator[Row]:
    """A read, and a search with 50 matches among 200 observations of a patient."""
    people = max(sizes.patients // 60, 5)
    with TemporaryDirectory() as folder:
        records = open_records(f"sqlite:///{Path(folder) / 'node.db'}", Path(folder))
        made = [_observation(person, n) for person in range(people) for n in range(_OBSERVATIONS)]
        started = time.process_time()
        for start in range(0, len(made), _OBSERVATIONS):
            records.fhir.add(made[start : start + _OBSERVATIONS], datetime.now(UTC))
        taken = time.process_time() - started
        yield Row(
            name="FHIR resources indexed", value=taken / len(made) * 1e6, unit="µs CPU/resource"
        )
        ledger = ExchangeLedger(records.engine, LedgerKey(bytes(32)))
        try:
            app, token = _node(records, ledger)
            floor = _floor({f"{r.resource.type}/{r.resource.id}": r.resource.data for r in made})
            for name, path, query in (
                ("FHIR read", "Observation/p1-7", ""),
                (f"FHIR search, {_PAGE} matches", "Observation", f"patient=p1&_count={_PAGE}"),
            ):
                yield _compared(name, app, floor, (path, query, token), sizes)
        finally:
            ledger.close()
            records.engine.dispose()


def _compared(
    name: str, app: ASGIApp, floor: ASGIApp, asked: tuple[str, str, str], sizes: Sizes
) -> Row:
    with asyncio.Runner() as runner:

        def cost(side: ASGIApp) -> float:
            started = time.process_time()
            runner.run(_ask(side, asked, sizes.requests))
            return (time.process_time() - started) / sizes.requests * 1e6

        sides = [lambda: cost(app), lambda: cost(floor)]
        alternately(sides, 1)
        costs, floors = alternately(sides, sizes.rounds)
    return compared(name, "µs CPU/request", costs, floors)


def _node(records: Records, ledger: ExchangeLedger) -> tuple[ASGIApp, str]:
    world = FhirWorld(records, None, _BASE)  # type: ignore[arg-type]  # nobody is asked over HTTP
    responder = FhirResponder(
        own=world.own,
        records=records.source(),
        ledger=ledger,
        directory=Directory(),
        clock=SystemClock(),
        purposes=purpose_register(),
        opt_outs=lambda: world.opt_outs,
        pages=Pages(bytes(32)),
        base_url=_BASE,
    )
    audit = AuditResponder(
        responder=responder,
        audit=LedgerAudit(records.engine, world.key, SITE),
        records=records.source(),
        clock=SystemClock(),
        pages=Pages(bytes(32)),
        base_url=_BASE,
    )
    app = fhir_app(
        responder=responder, audit=audit, grants=world.grants, capability=b"", prefix="/fhir"
    )
    return app, world.token()


def _floor(held: dict[str, bytes]) -> ASGIApp:
    def read(request: Request) -> Response:
        data = held[f"Observation/{request.path_params['id']}"]
        return Response(data, media_type="application/fhir+json")

    async def search(request: Request) -> Response:
        person, count = request.query_params["patient"], int(request.query_params["_count"])
        found = [orjson.loads(held[f"Observation/{person}-{n}"]) for n in range(count)]
        entries = [{"resource": each, "search": {"mode": "match"}} for each in found]
        body = {"resourceType": "Bundle", "type": "searchset", "entry": entries}
        return Response(orjson.dumps(body), media_type="application/fhir+json")

    async def reading(request: Request) -> Response:
        return read(request)

    return Starlette(
        routes=[Route("/fhir/Observation", search), Route("/fhir/Observation/{id}", reading)]
    )


async def _ask(app: ASGIApp, asked: tuple[str, str, str], requests: int) -> None:
    waiting = iter(range(requests))

    async def work() -> None:
        for _ in waiting:
            await _one(app, *asked)

    async with asyncio.TaskGroup() as group:
        for _ in range(_AT_ONCE):
            group.create_task(work())


async def _one(app: ASGIApp, path: str, query: str, token: str) -> None:
    sent: list[Any] = []
    scope = {
        "type": "http",
        "method": "GET",
        "path": f"/fhir/{path}",
        "raw_path": f"/fhir/{path}".encode(),
        "root_path": "",
        "scheme": "https",
        "http_version": "1.1",
        "query_string": query.encode(),
        "headers": [(b"host", b"localhost"), (b"authorization", f"Bearer {token}".encode())],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 443),
    }

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    await app(scope, receive, send)
    body = b"".join(m.get("body", b"") for m in sent)
    if sent[0]["status"] != 200 or body.count(b'"resourceType":"Observation"') != (
        _PAGE if query else 1
    ):
        raise RuntimeError("the answer is not the one that was measured for")


def _observation(person: int, number: int) -> NewResource:
    content = {
        "resourceType": "Observation",
        "id": f"p{person}-{number}",
        "status": "final",
        "category": [{"coding": [{"system": _CATEGORIES, "code": "laboratory"}]}],
        "code": {"coding": [{"system": "http://loinc.org", "code": f"{1000 + number}-5"}]},
        "subject": {"reference": f"Patient/p{person}"},
        "effectiveDateTime": f"2024-{number % 12 + 1:02}-{number % 28 + 1:02}T10:00:00Z",
        "valueQuantity": {"value": number / 10, "unit": "g/dL"},
    }
    data = orjson.dumps(content)
    return NewResource(
        resource=BundleResource(
            type="Observation",
            id=str(content["id"]),
            data=data,
            content=content,
            patients=frozenset([f"p{person}"]),
        )
    )
