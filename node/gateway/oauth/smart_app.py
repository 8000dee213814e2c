"""The endpoints for clients of our own, below the FHIR base address (fhir-and-udap 2).

==========================================  =====================================================
``GET  .well-known/smart-configuration``    what they need to know; also below ``network``
``GET  .well-known/openid-configuration``   the same for OpenID Connect; 404 without an identity
``GET  jwks.json``                          the key by which id_tokens are checked
``POST launch``                             an EHR says what it is about to open an app for
``POST revoke``                             a client gives a token back (RFC 7009)
==========================================  =====================================================

``authorize``, which a person sees, is part of the console's pages.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from node.gateway.oauth import http
from node.gateway.oauth.answering import Answering, Done
from node.gateway.oauth.attempt import Attempt
from node.gateway.oauth.client_keys import ClientKeys
from node.gateway.oauth.guard import Guard
from node.gateway.oauth.launching import Launches, read_launch
from node.gateway.oauth.local_client import is_local
from node.gateway.oauth.refusal import Endpoint, Refused
from node.gateway.oauth.server import AuthorizationServer
from node.gateway.oauth.smart_metadata import (
    OPENID_CONFIGURATION,
    SMART_CONFIGURATION,
    network_configuration,
    openid_configuration,
    smart_configuration,
)
from node.gateway.oauth.smart_token import authenticated, revoke, smart_grant
from node.gateway.oauth.token import Granted, new_secret
from node.model import Authorization

_OPEN = {"access-control-allow-origin": "*", "cache-control": "public, max-age=300"}
_NOT_FOUND = 404


class SmartEndpoints:
    """The endpoints; what changes anything has its entry before its answer."""

    def __init__(self, server: AuthorizationServer, answering: Answering, keys: ClientKeys) -> None:
        """``keys`` are those of our own clients."""
        self._server = server
        self._answering = answering
        self._keys = keys
        self._guard = Guard(server)
        self._launches = Launches(
            store=server.store, approvals=server.approvals, people=server.people
        )

    def routes(self, prefix: str) -> list[Route]:
        """The routes, below the path of the FHIR base address."""
        return [
            Route(f"{prefix}{SMART_CONFIGURATION}", self.configuration, methods=["GET"]),
            Route(f"{prefix}/network{SMART_CONFIGURATION}", self.at_network, methods=["GET"]),
            Route(f"{prefix}{OPENID_CONFIGURATION}", self.openid, methods=["GET"]),
            Route(f"{prefix}/jwks.json", self.keys, methods=["GET"]),
            Route(f"{prefix}/launch", self.launch, methods=["POST"]),
            Route(f"{prefix}/revoke", self.revoke, methods=["POST"]),
        ]

    async def configuration(self, _request: Request) -> Response:
        """What SMART clients need to know; JSON whatever they accept (2.1)."""
        made = await asyncio.to_thread(smart_configuration, self._server)
        return JSONResponse(made, headers=_OPEN)

    async def at_network(self, _request: Request) -> Response:
        """The same for the network's base address."""
        made = await asyncio.to_thread(network_configuration, self._server)
        return JSONResponse(made, headers=_OPEN)

    async def openid(self, _request: Request) -> Response:
        """What OpenID Connect wants to know."""
        made = await asyncio.to_thread(openid_configuration, self._server)
        if made is None:
            return JSONResponse({"error": "not_found"}, status_code=_NOT_FOUND, headers=_OPEN)
        return JSONResponse(made, headers=_OPEN)

    async def keys(self, _request: Request) -> Response:
        """The keys of our id_tokens."""
        return JSONResponse(await asyncio.to_thread(self._server.id_tokens.keys), headers=_OPEN)

    async def grant(self, form: Mapping[str, str], attempt: Attempt) -> Granted:
        """A token. Raises ``Refused``."""
        return await smart_grant(self._server, self._keys, form, attempt)

    async def launch(self, request: Request) -> Response:
        """A launch of an app, for a system of ours whose token has the scope for it."""
        attempt = self._server.log.begin(Authorization.APP_LAUNCH)

        async def work() -> Done:
            form = await http.read_form(request)
            access = await asyncio.to_thread(
                self._guard.access, request.headers.get("authorization")
            )
            if access is None or not is_local(access.client):
                raise Refused(
                    "launch-token", "The token does not count, or is no system's of ours."
                )
            attempt.proved, attempt.peer = True, self._server.own.entry()
            attempt.purpose = access.purpose
            attempt.who |= {"subject_id": access.client.body["client_name"]}
            attempt.asked |= {"by": access.client.uri}
            if access.user is not None or "launch" not in access.scope.split():
                raise Refused("launch-token", "The token has no scope to open apps (launch).")
            asked, handle = read_launch(form), new_secret(self._server)
            attempt.asked |= {"client_id": asked.client_id, "patient": asked.patient or ""}
            now = self._server.clock.now()
            await asyncio.to_thread(self._launches.add, asked, handle, now=now)
            body = {"launch": handle, "iss": self._server.addresses.base_url, "expires_in": 300}
            return Done(response=http.answer(body), take_back=lambda: None)

        return await self._answering.answered(request, attempt, Endpoint.TOKEN, work())

    async def revoke(self, request: Request) -> Response:
        """Take a token back; what is unknown is as good as taken back (RFC 7009 2.2)."""
        attempt = self._server.log.begin(Authorization.APP_REVOCATION)

        async def work() -> Done:
            form = await http.read_form(request)
            client = await authenticated(self._server, self._keys, form, attempt)
            if "token" not in form:
                raise Refused("oauth-parameter-missing", "The request lacks token.")
            await asyncio.to_thread(revoke, self._server, client, form["token"], attempt)
            return Done(response=http.answer({}), take_back=lambda: None)

        return await self._answering.answered(request, attempt, Endpoint.TOKEN, work())
