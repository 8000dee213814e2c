"""The operator's endpoints ``/livez``, ``/readyz``, ``/metrics``, for an inner listener only."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from prometheus_client import CONTENT_TYPE_LATEST
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from node.ops.health import Check, examine
from node.ops.metrics import Metrics


def operations_app(metrics: Metrics, checks: Mapping[str, Check]) -> Starlette:
    """The application with the three endpoints; ``/readyz`` answers 503 while not ready."""

    async def live(_request: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def ready(_request: Request) -> Response:
        health = await examine(checks)
        content = {
            "ready": health.ready,
            "checks": {
                name: {"status": f.status, "sentence": f.sentence, "advice": f.advice}
                for name, f in health.findings.items()
            },
        }
        return JSONResponse(content, status_code=200 if health.ready else 503)

    async def values(_request: Request) -> Response:
        # what runs out is read from files, and a large network list is checked then
        text = await asyncio.to_thread(metrics.text)
        return Response(text, headers={"content-type": CONTENT_TYPE_LATEST})

    return Starlette(
        routes=[Route("/livez", live), Route("/readyz", ready), Route("/metrics", values)]
    )
