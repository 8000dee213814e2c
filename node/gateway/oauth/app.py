"""The authorization server as an application, below the FHIR base address.

==========================================  =====================================================
``GET  .well-known/udap``                   our metadata, for ``?community=``; 204 where not ours
``POST register``                           dynamic client registration (UDAP)
``POST token``                              tokens: with ``udap`` by UDAP's rules, else by SMART's
``POST introspect``                         what a token allows, for whoever holds one (RFC 7662)
==========================================  =====================================================

Those for clients of our own alone are in ``smart_app``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

import structlog
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from node.errors import CodedError
from node.gateway.oauth import http
from node.gateway.oauth.answering import Answering, Done
from node.gateway.oauth.guard import Guard, introspection
from node.gateway.oauth.metadata import MetadataSigner, udap_metadata
from node.gateway.oauth.refusal import Endpoint, Refused
from node.gateway.oauth.registration import Registered, register, undo
from node.gateway.oauth.server import AuthorizationServer
from node.gateway.oauth.smart_app import SmartEndpoints
from node.gateway.oauth.token import Granted, check_form
from node.gateway.oauth.udap_app_token import udap_grant
from node.model import Authorization

_log = structlog.get_logger(__name__)
_T = TypeVar("_T")

_OPEN = {"access-control-allow-origin": "*", "cache-control": "public, max-age=300"}
_NO_CONTENT, _NOT_FOUND = 204, 404


class OauthEndpoints:
    """The endpoints; each request to register or for a token has its entry before its answer."""

    def __init__(
        self,
        server: AuthorizationServer,
        metadata: MetadataSigner,
        answering: Answering,
        smart: SmartEndpoints,
    ) -> None:
        """``smart`` are the endpoints for clients of our own."""
        self._server = server
        self._smart = smart
        self._answering = answering
        self._metadata = metadata
        self._guard = Guard(server)

    def routes(self, prefix: str = "") -> list[Route]:
        """The routes, below the path of the FHIR base address."""
        return [
            Route(f"{prefix}/.well-known/udap", self.udap, methods=["GET"]),
            Route(f"{prefix}/register", self.register, methods=["POST"]),
            Route(f"{prefix}/token", self.token, methods=["POST"]),
            Route(f"{prefix}/introspect", self.introspect, methods=["POST"]),
            *self._smart.routes(prefix),
        ]

    async def udap(self, request: Request) -> Response:
        """Our UDAP metadata."""
        asked = request.query_params.get("community")
        try:
            signed = await asyncio.to_thread(self._metadata.signed, self._server, asked)
        except CodedError as error:
            # without an identity we have no UDAP workflow at all, which is what 404 says (1.3)
            _log.error("fhir.identity", code=error.code)
            return JSONResponse({"error": "not_found"}, status_code=_NOT_FOUND, headers=_OPEN)
        if signed is None:
            status = _NOT_FOUND if asked is None else _NO_CONTENT
            return Response(status_code=status, headers=_OPEN)
        return JSONResponse(udap_metadata(self._server, signed), headers=_OPEN)

    async def register(self, request: Request) -> Response:
        """A registration."""
        attempt = self._server.log.begin(Authorization.REGISTRATION)

        async def work() -> Done:
            body = await http.read_json(request)
            made = await _in_thread(lambda: register(self._server, body, attempt))
            return self._registered(made)

        return await self._answering.answered(request, attempt, Endpoint.REGISTRATION, work())

    async def token(self, request: Request) -> Response:
        """A token request."""
        attempt = self._server.log.begin(Authorization.TOKEN)

        async def work() -> Done:
            form = await http.read_form(request)
            check_form(form, authorization=request.headers.get("authorization"))
            if "udap" in form:
                made = await _in_thread(lambda: udap_grant(self._server, form, attempt))
            else:
                attempt.step = Authorization.APP_TOKEN
                made = await self._smart.grant(form, attempt)
            return self._granted(made)

        return await self._answering.answered(request, attempt, Endpoint.TOKEN, work())

    async def introspect(self, request: Request) -> Response:
        """What a token allows; the caller shows a token of its own that counts."""
        try:
            form = await http.read_form(request)
        except Refused as refused:
            return http.refusal(refused, Endpoint.TOKEN)
        caller = await asyncio.to_thread(self._guard.access, request.headers.get("authorization"))
        if caller is None:
            response = http.answer({"error": "invalid_token"}, 401)
            response.headers["www-authenticate"] = 'Bearer error="invalid_token"'
            return response
        access = await asyncio.to_thread(self._guard.of_token, form.get("token", ""))
        if access is not None and access.client_id != caller.client_id:
            access = None  # other clients' tokens are none of its business (RFC 7662 2.2)
        return http.answer(introspection(access, self._server.addresses.base_url))

    def _registered(self, made: Registered) -> Done:
        return Done(
            response=http.answer(made.body, made.status),
            take_back=lambda: undo(self._server, made),
        )

    def _granted(self, made: Granted) -> Done:
        return Done(
            response=http.answer(made.body),
            take_back=lambda: self._server.store.drop_token(made.token.digest),
        )


async def _in_thread(call: Callable[[], _T]) -> _T:
    return await asyncio.to_thread(call)


def oauth_app(endpoints: OauthEndpoints, prefix: str = "") -> Starlette:
    """The endpoints alone, as an application."""
    return Starlette(routes=endpoints.routes(prefix))
