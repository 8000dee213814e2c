"""For test networks alone: an application that makes its callers wait."""

from __future__ import annotations

import asyncio

from starlette.types import ASGIApp, Receive, Scope, Send


def delayed(app: ASGIApp, seconds: float) -> ASGIApp:
    """The application, ``seconds`` late with every answer; the same one when that is 0."""
    if not seconds:
        return app

    async def late(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await asyncio.sleep(seconds)
        await app(scope, receive, send)

    return late
