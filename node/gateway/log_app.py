"""The sealed log as static files below ``/log/``, on the gateway's own listener.

Whoever the TLS handshake admits, which is whoever has a certificate of a CA of our networks, may
read checkpoints and hash tiles: that is what witnesses need, and it says no more than how much we
exchange. Entries name our other partners, so bundles go only to the keys that the operator lists
(``log.readers``): auditors, governance (facts: tamper-evident-log C5, C8).

==============================  ======================================================
``/log/checkpoint``             the newest checkpoint; its origin names the year
``/log/2026/checkpoint``        that of a year's log
``/log/2026/witnessed``         the newest that enough witnesses signed
``/log/2026/checkpoints/4096``  an earlier one
``/log/2026/tile/...``          tiles and entry bundles (C2SP tlog-tiles)
``/log/2026/retired``           of a log whose time is over: what was kept back of it
``/log/2026/kept/...``          these entries with their proofs, by bundle
==============================  ======================================================
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Collection
from pathlib import Path
from typing import Final

from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from node.errors import LogError
from node.gateway.protocol import peer_of
from node.ledger.log_files import LogFolder
from node.ledger.retired_log import KEPT_FOLDER, RETIRED
from node.ledger.sealer import CHECKPOINT, WITNESSED
from node.ledger.tlog.note import MAX_NOTE
from node.ledger.tlog.tiles import MAX_BUNDLE, parse_path

PREFIX: Final = "/log/"

_YEARLY: Final = re.compile(r"([0-9]{4})/(.+)", re.ASCII)
_KEPT: Final = re.compile(r"checkpoints/[1-9][0-9]{0,18}", re.ASCII)
# answers to one client's certificate are not for caches that others share
_FRESH: Final = {"cache-control": "private, max-age=5"}
_FOREVER: Final = {"cache-control": "private, max-age=31536000, immutable"}


def with_log(app: ASGIApp, folder: Path, readers: Collection[str]) -> ASGIApp:
    """The application with the log's files in front of it.

    Args:
        app: takes every other path.
        folder: the logs of the years.
        readers: SHA-256 (hex) of the SPKI of each key that may read entries.
    """

    async def serving(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith(PREFIX):
            await app(scope, receive, send)
            return
        peer = peer_of(scope)
        response = await _answer(
            scope["method"],
            scope["path"].removeprefix(PREFIX),
            folder,
            may_read=peer is not None and peer.key in readers,
        )
        await response(scope, receive, send)

    return serving


async def _answer(method: str, path: str, folder: Path, *, may_read: bool) -> Response:
    if method not in ("GET", "HEAD"):
        return PlainTextResponse(
            "The log is only read.\n", status_code=405, headers={"allow": "GET, HEAD"}
        )
    if path == CHECKPOINT:
        return await asyncio.to_thread(_newest, folder)
    found = _YEARLY.fullmatch(path)
    if found is None:
        return _missing()
    return await _file(LogFolder(folder / found[1]), found[2], may_read=may_read)


async def _file(log: LogFolder, name: str, *, may_read: bool) -> Response:
    if name in (CHECKPOINT, WITNESSED) or _KEPT.fullmatch(name):
        return await asyncio.to_thread(_text, log, name)
    if name == RETIRED:
        return await asyncio.to_thread(_bytes, log, name, _FRESH)
    # what is left of a bundle is for those who may read the bundle
    left = name.startswith(KEPT_FOLDER)
    tile = parse_path(name.replace(KEPT_FOLDER, "tile/entries/", 1) if left else name)
    if tile is None:
        return _missing()
    if tile.is_bundle and not may_read:
        return PlainTextResponse(
            "Entries are for the keys that this node's operator lists (log.readers).\n",
            status_code=403,
        )
    return await asyncio.to_thread(_bytes, log, name, _FRESH if left else _FOREVER)


def _newest(folder: Path) -> Response:
    years = sorted(path.parent.name for path in folder.glob(f"[0-9][0-9][0-9][0-9]/{CHECKPOINT}"))
    return _text(LogFolder(folder / years[-1]), CHECKPOINT) if years else _missing()


def _text(log: LogFolder, name: str) -> Response:
    try:
        data = log.read(name, MAX_NOTE)
    except LogError:
        return _missing()
    headers = _FRESH if name in (CHECKPOINT, WITNESSED) else _FOREVER
    return PlainTextResponse(data, headers=headers)


def _bytes(log: LogFolder, name: str, headers: dict[str, str]) -> Response:
    try:
        data = log.read(name, MAX_BUNDLE)
    except LogError:
        return _missing()
    return Response(data, media_type="application/octet-stream", headers=headers)


def _missing() -> Response:
    return PlainTextResponse("The log has no such file.\n", status_code=404)
