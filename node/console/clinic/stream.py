"""``/records/{token}/stream``: answers as they come, as server-sent events.

A new listener gets every line once, and then each that changes, at once when it is the first for a
while; a burst is sent in steps of ``_STEP``. The stream ends when the search does. What it sends is
durable in the log before (law 1): a search takes over nothing else.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from datetime import datetime
from typing import Final

import orjson
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from node.console.clinic.door import opened
from node.console.clinic.request import ClinicRequest, Progress
from node.console.clinic.requests import Requests
from node.console.clinic.slots import drawn, key_of
from node.console.clinic.words import empty_of, heading_of, slot_of
from node.console.guard import session_of
from node.console.parts import Visit
from node.console.rendering import SECURITY_HEADERS

_STEP: Final = 0.05
_BEAT: Final = 10.0
"""Seconds without news after which a comment is sent, and the session looked at again."""


def stream(visit: Visit) -> Response:
    """``GET /records/{token}/stream``."""
    asked = opened(visit)
    if isinstance(asked, Response):
        return asked
    headers = {"cache-control": "no-store", **SECURITY_HEADERS}
    return _Stream(_events(visit), media_type="text/event-stream", headers=headers)


class _Stream(StreamingResponse):
    """Ends quietly when whoever followed goes away."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with suppress(ClientDisconnect):
            await super().__call__(scope, receive, send)


async def _events(visit: Visit) -> AsyncIterator[bytes]:
    console, token = visit.console, str(visit.request.path_params["token"])

    async def is_here() -> bool:
        return await run_in_threadpool(session_of, console, visit.request) is not None

    following = follow(
        console.clinic.requests, visit.user.login, token, now=console.now, is_here=is_here
    )
    async for told in following:
        yield told


async def follow(
    requests: Requests,
    login: str,
    token: str,
    *,
    now: Callable[[], datetime],
    is_here: Callable[[], Awaitable[bool]],
) -> AsyncIterator[bytes]:
    """The events of a person's request until it ends, or whoever follows is gone."""
    changed, loop = asyncio.Event(), asyncio.get_running_loop()
    news = News(token)

    def wake() -> None:
        loop.call_soon_threadsafe(changed.set)

    with requests.listening(login, token, wake, now()) as may:
        while may:
            changed.clear()
            moment = now()
            asked = requests.of(login, token, moment)
            if asked is None:
                return
            if told := news.since(asked, moment):
                yield told
            if asked.progress is not Progress.ASKING:
                yield b"event: over\ndata: {}\n\n"
                return
            await asyncio.sleep(_STEP)
            with suppress(TimeoutError):
                await asyncio.wait_for(changed.wait(), _BEAT)
                continue
            if not await is_here():
                return
            yield b": still asking\n\n"


class News:
    """What one listener was told."""

    def __init__(self, token: str) -> None:
        """``token`` of the request that it follows."""
        self._token = token
        self._version = -1
        self._legs: dict[int, object] = {}
        self._head: dict[str, str] = {}

    def since(self, asked: ClinicRequest, now: datetime) -> bytes:
        """The events of what is new; empty where nothing is."""
        if asked.version == self._version:
            return b""
        self._version = asked.version
        parts = []
        for leg in asked.legs:
            if self._legs.get(leg.number) == leg:
                continue
            self._legs[leg.number] = leg
            slot = slot_of(asked, leg, now)
            told = {"number": leg.number, "key": key_of(slot), "html": drawn(slot, self._token)}
            parts.append(b"event: slot\ndata: " + orjson.dumps(told) + b"\n\n")
        heading = heading_of(asked)
        head = {
            "answered": heading.answered,
            "others": heading.others,
            "found": heading.found,
            "empty": empty_of(asked),
        }
        if head != self._head:
            self._head = head
            parts.append(b"event: head\ndata: " + orjson.dumps(head) + b"\n\n")
        return b"".join(parts)
