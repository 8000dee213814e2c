"""What our log holds of one peer, for that peer alone, below ``/log/pair/`` on the gateway.

The peer says who it is in the path, and its TLS certificate has to be bound to that entry of the
directory as in every exchange. It is shown its own exchanges and nobody else's.

=============================================  ====================================================
``/log/pair/<hcid>/statement/<day>``           our statement for it about a day
``/log/pair/<hcid>/statement/<day>/proof``     proof of the entry that our log has of it; 503 until
                                               it is sealed
``/log/pair/<hcid>/entry/<uuid>``              proof of the entry of one message; where there is
                                               none, 404 with our signed word for it
=============================================  ====================================================

Proofs are C2SP tlog-proofs whose ``extra`` is the entry itself.
"""

from __future__ import annotations

import asyncio
import re
import zlib
from collections.abc import AsyncIterator
from datetime import date
from http import HTTPStatus
from pathlib import Path
from typing import Final, Protocol

import structlog
from sqlalchemy.exc import SQLAlchemyError
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from node.errors import CodedError
from node.exchange.ports import PeerEntry, Refusal
from node.gateway.protocol import TlsPeer, peer_of
from node.wire.compression import accepts_gzip

PREFIX: Final = "/log/pair/"

_log = structlog.get_logger(__name__)

_STATEMENT: Final = re.compile(r"(urn:oid:[0-9.]{3,56})/statement/([0-9-]{10})(/proof)?", re.ASCII)
_ENTRY: Final = re.compile(
    r"(urn:oid:[0-9.]{3,56})/entry/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})", re.ASCII
)
_STATUS: Final = {
    "log-window-invalid": HTTPStatus.NOT_FOUND,
    "log-statement-limit": HTTPStatus.INSUFFICIENT_STORAGE,
    "log-peer-unknown": HTTPStatus.CONFLICT,
    "log-pair-foreign": HTTPStatus.FORBIDDEN,
}
_WAITING: Final = 8
_PIECE: Final = 64 * 1024
_GZIP: Final = 31


class Pairs(Protocol):
    """What is behind it (``node.pairs``); but for ``admit``, its methods block."""

    def admit(self, peer: TlsPeer | None, hcid: str) -> PeerEntry | Refusal:
        """The entry of who asks, or why it is refused."""
        ...

    def statement(self, entry: PeerEntry, window: date) -> Path:
        """The file of our statement for a peer. Raises ``CodedError``, ``OSError``."""
        ...

    def stated(self, entry: PeerEntry, window: date) -> bytes | None:
        """The proof of its entry; ``None`` until it is sealed. Raises as ``statement``."""
        ...

    def entry(self, entry: PeerEntry, message_id: str) -> tuple[bool, bytes] | None:
        """Whether our log has the entry of a message, and its proof or our signed word.

        ``None`` until it is sealed. Raises ``CodedError``, ``OSError``.
        """
        ...


def with_pairs(app: ASGIApp, pairs: Pairs) -> ASGIApp:
    """The application with this in front of it."""
    serving = _Serving(pairs)

    async def run(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith(PREFIX):
            await app(scope, receive, send)
            return
        response = await serving.answer(scope)
        await response(scope, receive, send)

    return run


class _Serving:
    def __init__(self, pairs: Pairs) -> None:
        self._pairs = pairs
        self._turn = asyncio.Semaphore(1)  # making a statement reads a day of the log
        self._waiting = 0

    async def answer(self, scope: Scope) -> Response:
        path = scope["path"].removeprefix(PREFIX)
        found = _STATEMENT.fullmatch(path) or _ENTRY.fullmatch(path)
        if found is None or scope["method"] not in ("GET", "HEAD"):
            return _text("There is nothing to be read here.", HTTPStatus.NOT_FOUND)
        admitted = self._pairs.admit(peer_of(scope), found[1])
        if isinstance(admitted, Refusal):
            _log.warning("request refused", reason=admitted.code, peer_hcid=found[1])
            return _text(admitted.sentence, HTTPStatus.FORBIDDEN)
        if self._waiting >= _WAITING:
            return _later("Others are asking.")
        self._waiting += 1
        try:
            async with self._turn:
                return await self._shown(admitted, found, scope)
        except CodedError as error:
            _log.warning("log.pair-not-shown", code=error.code, peer_hcid=found[1])
            return _text(error.sentence, _STATUS.get(error.code, HTTPStatus.SERVICE_UNAVAILABLE))
        except (OSError, SQLAlchemyError) as error:
            _log.error("log.pair-not-shown", code=type(error).__name__)
            return _later("This cannot be read now.")
        finally:
            self._waiting -= 1

    async def _shown(self, peer: PeerEntry, found: re.Match[str], scope: Scope) -> Response:
        try:
            if found.re is _ENTRY:
                return await self._entry(peer, f"urn:uuid:{found[2]}")
            return await self._statement(peer, found[2], scope, proof=bool(found[3]))
        except CodedError as error:
            _log.warning("log.pair-not-shown", code=error.code, peer_hcid=found[1])
            return _text(error.sentence, _STATUS.get(error.code, HTTPStatus.SERVICE_UNAVAILABLE))
        except (OSError, SQLAlchemyError) as error:
            _log.warning("log.pair-not-shown", code=type(error).__name__)
            return _later("This cannot be read now.")

    async def _entry(self, peer: PeerEntry, message_id: str) -> Response:
        found = await asyncio.to_thread(self._pairs.entry, peer, message_id)
        if found is None:
            return _later("The entry is not sealed yet.")
        has_it, data = found
        return PlainTextResponse(data, status_code=HTTPStatus.OK if has_it else 404)

    async def _statement(self, peer: PeerEntry, day: str, scope: Scope, *, proof: bool) -> Response:
        try:
            window = date.fromisoformat(day)
        except ValueError:
            return _text("There is no such day.", HTTPStatus.NOT_FOUND)
        if proof:
            data = await asyncio.to_thread(self._pairs.stated, peer, window)
            return PlainTextResponse(data) if data else _later("It is not sealed yet.")
        file = await asyncio.to_thread(self._pairs.statement, peer, window)
        asked = {name.decode("latin-1"): value for name, value in scope["headers"]}
        packs = accepts_gzip(asked.get("accept-encoding", b"").decode("latin-1"))
        headers = {"content-encoding": "gzip"} if packs else {}
        return StreamingResponse(_pieces(file, packs=packs), headers=headers)


async def _pieces(file: Path, *, packs: bool) -> AsyncIterator[bytes]:
    packer = zlib.compressobj(level=1, wbits=_GZIP) if packs else None
    with file.open("rb") as opened:
        while piece := await asyncio.to_thread(opened.read, _PIECE):
            yield packer.compress(piece) if packer else piece
    if packer:
        yield packer.flush()


def _later(sentence: str) -> Response:
    response = _text(sentence, HTTPStatus.SERVICE_UNAVAILABLE)
    response.headers["retry-after"] = "5"
    return response


def _text(sentence: str, status: HTTPStatus) -> Response:
    return PlainTextResponse(f"{sentence}\n", status_code=status)
