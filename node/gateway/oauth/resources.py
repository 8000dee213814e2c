"""The FHIR base address behind the guard: who may come in, and what they find there so far.

Every request needs a token with a scope for the resource type in its path; nothing is said about
what there is to anybody without one. This version has no resources behind it: whoever may come in
is told so (501), in the form of a FHIR OperationOutcome.
"""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from node.gateway.oauth.guard import Guard
from node.gateway.oauth.server import AuthorizationServer

_MEDIA = "application/fhir+json"
_READ, _SEARCH = "r", "s"
_CHALLENGE = {"www-authenticate": "Bearer"}


class GuardedResources:
    """Judges every request below the base address that no endpoint of the server takes."""

    def __init__(self, server: AuthorizationServer) -> None:
        """``server`` gave the tokens."""
        self._guard = Guard(server)

    def routes(self, prefix: str) -> list[Route]:
        """The one route, for reading and searching."""
        return [Route(f"{prefix}/{{path:path}}", self.resource, methods=["GET", "POST"])]

    async def resource(self, request: Request) -> Response:
        """A request for a resource."""
        access = await asyncio.to_thread(self._guard.access, request.headers.get("authorization"))
        if access is None:
            return _outcome(401, "login", "A bearer token that counts is required.", _CHALLENGE)
        kind, _, rest = request.path_params["path"].partition("/")
        operation = _READ if rest and rest != "_search" else _SEARCH
        if access.allows(kind, operation) is None:
            challenge = {"www-authenticate": 'Bearer error="insufficient_scope"'}
            return _outcome(403, "forbidden", "The token has no scope for this.", challenge)
        return _outcome(501, "not-supported", "This node serves no FHIR resources yet.", {})


def _outcome(status: int, code: str, sentence: str, headers: dict[str, str]) -> Response:
    body: dict[str, Any] = {
        "resourceType": "OperationOutcome",
        "issue": [{"severity": "error", "code": code, "diagnostics": sentence}],
    }
    return Response(
        orjson.dumps(body),
        status_code=status,
        media_type=_MEDIA,
        headers={"cache-control": "no-store", **headers},
    )
