"""Our witness over HTTP (C2SP tlog-witness), below ``/witness/`` on the gateway's own listener.

The TLS handshake admits whoever has a certificate of a CA of our networks. Who asks is not looked
at further: what counts is the log's own signature, by a key that the operator accepted.

=======================================  ==================================================
``POST /witness/add-checkpoint``         signs a checkpoint, or says why not
``GET /witness/<sha256 hex>/checkpoint`` the one signed last of the origin with this SHA-256
=======================================  ==================================================
"""

from __future__ import annotations

import asyncio
import re
from http import HTTPStatus
from typing import Final

import structlog
from sqlalchemy.exc import SQLAlchemyError
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from node.errors import CodedError, NetworkFault
from node.gateway.body import Incoming
from node.ledger.tlog.witness import ADD_CHECKPOINT, MAX_REQUEST, SIZE_TYPE
from node.ledger.witness import Witness, WitnessAnswer
from node.ops.metrics import Metrics

PREFIX: Final = "/witness/"

_log = structlog.get_logger(__name__)

_SHOWN: Final = re.compile(r"([0-9a-f]{64})/checkpoint", re.ASCII)
_SECONDS: Final = 10.0
_AT_ONCE: Final = 4  # each holds a thread, and the database's one write lock for a moment


def with_witness(app: ASGIApp, witness: Witness, metrics: Metrics) -> ASGIApp:
    """The application with the witness in front of it."""
    turn = asyncio.Semaphore(_AT_ONCE)

    async def serving(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith(PREFIX):
            await app(scope, receive, send)
            return
        path = scope["path"].removeprefix(PREFIX)
        wanted = ("POST",) if path == ADD_CHECKPOINT else ("GET", "HEAD")
        shown = _SHOWN.fullmatch(path)
        if path != ADD_CHECKPOINT and shown is None:
            response = _text("The witness has nothing here.", HTTPStatus.NOT_FOUND)
        elif scope["method"] not in wanted:
            response = _text("Another method is needed.", HTTPStatus.METHOD_NOT_ALLOWED)
            response.headers["allow"] = ", ".join(wanted)
        elif shown is not None:
            async with turn:
                response = await _shown(witness, shown[1])
        else:
            response = await _asked(witness, receive, turn)
            metrics.witnessed(response.status_code)
        await response(scope, receive, send)

    return serving


async def _asked(witness: Witness, receive: Receive, turn: asyncio.Semaphore) -> Response:
    try:
        async with asyncio.timeout(_SECONDS):
            data = await _body(Incoming(receive))
    except (TimeoutError, NetworkFault):
        return _text("The request did not arrive whole.", HTTPStatus.REQUEST_TIMEOUT)
    if data is None:
        return _text(
            f"The request is longer than {MAX_REQUEST} bytes.", HTTPStatus.REQUEST_ENTITY_TOO_LARGE
        )
    async with turn:
        try:
            answer = await asyncio.to_thread(witness.add_checkpoint, data)
        except (CodedError, SQLAlchemyError) as error:
            return _failed(error)
    return _answered(answer)


async def _body(incoming: Incoming) -> bytes | None:
    """The request's body; ``None`` when it is too long."""
    data = bytearray()
    while (piece := await incoming.next()) is not None:
        data += piece
        if len(data) > MAX_REQUEST:
            return None
    return bytes(data)


def _answered(answer: WitnessAnswer) -> Response:
    verdict = answer.verdict
    if verdict.status is HTTPStatus.OK:
        return PlainTextResponse(answer.lines)
    if verdict.size is not None:
        return Response(
            f"{verdict.size}\n", status_code=verdict.status, headers={"content-type": SIZE_TYPE}
        )
    return _text(verdict.sentence, verdict.status)


async def _shown(witness: Witness, digest: str) -> Response:
    try:
        note = await asyncio.to_thread(witness.newest, digest)
    except SQLAlchemyError as error:
        return _failed(error)
    if note is None:
        return _text("The witness has signed nothing of this log.", HTTPStatus.NOT_FOUND)
    return PlainTextResponse(note, headers={"cache-control": "no-store"})


def _failed(error: Exception) -> Response:
    """Our own failure; the database's text may quote values, so only its type goes on."""
    code = error.code if isinstance(error, CodedError) else type(error).__name__
    _log.error("witness.failed", code=code)
    return _text("The witness cannot sign now.", HTTPStatus.SERVICE_UNAVAILABLE)


def _text(sentence: str, status: HTTPStatus) -> Response:
    return PlainTextResponse(f"{sentence}\n", status_code=status)
