"""The FHIR server as an ASGI application below its base address.

Nothing of a request's path or parameters is ever logged: they name patients (law 6).
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final

import structlog
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from node.errors import CodedError, LimitError, NetworkFault
from node.exchange.fhir_audit import AuditResponder
from node.exchange.fhir_binary import BinaryForm
from node.exchange.fhir_ports import Grant, Grants
from node.exchange.fhir_reply import FHIR_JSON, FhirReply, refused
from node.exchange.fhir_respond import FhirCall, FhirResponder
from node.exchange.fhir_search import PAGE
from node.gateway.body import Incoming
from node.gateway.fhir.desk import Desk, ReadRequest, ResourceDesk
from node.gateway.fhir.requests import (
    FORM,
    Route,
    bearer,
    binary_form,
    check_content_type,
    check_format,
    is_strict,
    read_form,
    read_pairs,
    request_id,
    route,
)
from node.gateway.fhir.statement import Statement
from node.model import Interaction
from node.wire.fhir.problem import FhirProblem
from node.wire.fhir.query import Pair

_log = structlog.get_logger(__name__)

_METADATA: Final = "metadata"
_SAFE: Final = {"cache-control": "no-store", "x-content-type-options": "nosniff"}
_FAILED = FhirProblem("fhir-unavailable", "The node could not answer; nothing was sent.")


@dataclass(frozen=True, slots=True, kw_only=True)
class FhirLimits:
    """What one request may cost: bytes of its body, seconds to arrive and to be answered.

    ``large_bytes`` are those of a body that brings documents.
    """

    body_bytes: int = 256 * 1024
    large_bytes: int = 64 * 1024 * 1024
    body_seconds: float = 30.0
    seconds: float = 30.0


class FhirApp:
    """Reads requests, has them answered, sends the answers."""

    def __init__(
        self,
        *,
        desk: Desk,
        grants: Grants,
        capability: Statement,
        prefix: str,
        may_cost: Callable[[str], bool],
        limits: FhirLimits | None = None,
        routes: Callable[[str, str], Route] = route,
    ) -> None:
        """The parts.

        Args:
            desk: the use cases.
            grants: whose tokens they are.
            capability: the CapabilityStatement.
            prefix: path of the base address, without a slash at its end.
            may_cost: whether a stranger's refused request from an address may have an entry of
                its own in the log; past that it is answered and not entered.
            limits: what a request may cost.
            routes: where a method and a path lead.
        """
        self._desk = desk
        self._routes = routes
        self._grants = grants
        self._capability = capability
        self._prefix = f"{prefix}/"
        self._may_cost = may_cost
        self._limits = limits or FhirLimits()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request (ASGI)."""
        if scope["type"] != "http":
            return  # the lifespan: nothing is to be started
        response = await self._response(Request(scope), receive)
        await response(scope, receive, send)

    async def _response(self, request: Request, receive: Receive) -> Response:
        try:
            async with asyncio.timeout(self._limits.body_seconds + self._limits.seconds):
                return await self._answered(request, receive)
        except TimeoutError:
            problem = FhirProblem("fhir-too-slow", "The answer took too long.")
            return _http(refused(problem), {})
        except CodedError as error:
            _log.error("fhir.failed", code=error.code)
            return _http(refused(_FAILED), {})
        except Exception as error:  # noqa: BLE001 - the client gets an answer whatever went wrong
            _log.error("fhir.failed", code="internal-error", detail=type(error).__name__)
            return _http(refused(_FAILED), {})

    async def _answered(self, request: Request, receive: Receive) -> Response:
        headers = request.headers
        whole = request.scope["path"]
        path = "" if f"{whole}/" == self._prefix else whole.removeprefix(self._prefix)
        if path == _METADATA and request.method == "GET":
            return await self._metadata(request)
        token = bearer(headers)
        grant = await self._grants.grant(token) if token else None
        holder = grant or _stranger(has_token=token is not None)
        body, asked, problem = b"", Route(interaction=Interaction.OTHER), None
        pairs: list[Pair] = []
        form = BinaryForm()
        try:
            asked = self._routes(request.method, path)
            if isinstance(holder, Grant):
                pairs = read_pairs(request.url.query)
                body = await self._body(headers, receive, asked)
                if asked.takes == (FORM,):
                    pairs += read_form(body)
                if asked.type == "Binary":
                    form = binary_form(headers, pairs)
                else:
                    check_format(headers, pairs)
        except (FhirProblem, LimitError, NetworkFault) as error:
            problem = error
        call = FhirCall(
            interaction=asked.interaction,
            grant=holder,
            digest=_digest(request, body),
            message_id=request_id(headers),
            asked=_asked(asked, pairs),
        )
        if isinstance(holder, FhirProblem):
            return await self._strangers(request, call, holder)
        if problem is not None:
            return _http(await self._desk.refuse(call, problem), headers)
        return _http(
            await self._desk.answer(
                call,
                ReadRequest(
                    route=asked, pairs=pairs, body=body, form=form, strict=is_strict(headers)
                ),
            ),
            headers,
        )

    async def _strangers(self, request: Request, call: FhirCall, problem: FhirProblem) -> Response:
        """Whoever has no token that counts: entered in the log only so often."""
        address = request.client.host if request.client else ""
        if not self._may_cost(address):
            return _http(refused(problem), request.headers)
        return _http(await self._desk.refuse(call, problem), request.headers)

    async def _body(self, headers: Mapping[str, str], receive: Receive, asked: Route) -> bytes:
        if not asked.takes:
            return b""
        check_content_type(headers, asked.takes)
        incoming, found = Incoming(receive), bytearray()
        most = self._limits.large_bytes if asked.brings_documents else self._limits.body_bytes
        try:
            async with asyncio.timeout(self._limits.body_seconds):
                while (chunk := await incoming.next()) is not None:
                    found += chunk
                    if len(found) > most:
                        raise LimitError(
                            "message-too-large", f"The body is larger than {most} bytes."
                        )
        except TimeoutError:
            raise NetworkFault("request-slow", "The request did not arrive in time.") from None
        return bytes(found)

    async def _metadata(self, request: Request) -> Response:
        stated = self._capability
        try:
            check_format(request.headers, read_pairs(request.url.query))
            body = stated if isinstance(stated, bytes) else await stated()
        except FhirProblem as problem:
            return _http(refused(problem), request.headers)
        return Response(
            body,
            media_type=FHIR_JSON,
            headers={"cache-control": "public, max-age=300", "access-control-allow-origin": "*"},
        )


def fhir_app(
    *,
    responder: FhirResponder,
    audit: AuditResponder,
    grants: Grants,
    capability: Statement,
    prefix: str = "",
    may_cost: Callable[[str], bool] = lambda _address: True,
    limits: FhirLimits | None = None,
) -> ASGIApp:
    """The application; see ``FhirApp``."""
    return FhirApp(
        desk=ResourceDesk(responder, audit),
        grants=grants,
        capability=capability,
        prefix=prefix,
        may_cost=may_cost,
        limits=limits,
    )


def _stranger(*, has_token: bool) -> FhirProblem:
    if has_token:
        return FhirProblem("fhir-token-invalid", "The bearer token does not count.")
    return FhirProblem("fhir-token-missing", "A bearer token is required.")


def _digest(request: Request, body: bytes) -> bytes:
    head = f"{request.method} {request.scope['path']}?{request.url.query}\n"
    return hashlib.sha256(head.encode("utf-8", "surrogateescape") + body).digest()


def _asked(asked: Route, pairs: list[Pair]) -> dict[str, object]:
    """The private record of what was asked; a page's token says nothing."""
    found: dict[str, object] = {"type": asked.type}
    if asked.id:
        found["id"] = asked.id
    parameters = [[name, value] for name, value in pairs if name != PAGE]
    return {**found, "parameters": parameters} if parameters else found


def _http(reply: FhirReply, headers: Mapping[str, str]) -> Response:
    sent = {**_SAFE, **reply.headers}
    if (echoed := request_id(headers)) is not None:
        sent["x-request-id"] = echoed.removeprefix("urn:uuid:")
    challenge = _CHALLENGES.get(reply.ending.reason or "")
    if challenge is not None:
        sent["www-authenticate"] = challenge
    if reply.chunks is not None:
        return _Stream(
            reply.chunks, status_code=reply.status, media_type=reply.media_type, headers=sent
        ).closing(reply.close)
    return Response(reply.body, status_code=reply.status, media_type=reply.media_type, headers=sent)


class _Stream(StreamingResponse):
    """A streamed answer; what it comes from is closed also when the client went away before it."""

    _close: Callable[[], Awaitable[None]] | None = None

    def closing(self, close: Callable[[], Awaitable[None]] | None) -> _Stream:
        self._close = close
        return self

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            if self._close is not None:
                await self._close()


_CHALLENGES: Final = {
    "fhir-token-missing": 'Bearer realm="FHIR"',
    "fhir-token-invalid": 'Bearer realm="FHIR", error="invalid_token"',
    "fhir-scope-missing": 'Bearer realm="FHIR", error="insufficient_scope"',
}
