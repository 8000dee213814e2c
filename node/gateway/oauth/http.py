"""Requests to the authorization server as bytes, and its answers: bounded, JSON, never cached."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

import orjson
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from node.errors import NetworkFault
from node.gateway.oauth.refusal import Endpoint, Refused, wire_error
from trust.errors import TrustError
from trust.udap.strict_json import JsonObject, read_object

MAX_BODY = 256 * 1024
BODY_SECONDS = 15.0
MAX_FIELDS = 30
FORM = "application/x-www-form-urlencoded"
JSON = "application/json"

_NOT_CACHED = {
    "cache-control": "no-store",
    "pragma": "no-cache",
    # apps in browsers ask from their own origin; nothing that a browser sends by itself counts here
    "access-control-allow-origin": "*",
}


async def read_form(request: Request) -> Mapping[str, str]:
    """The parameters of a form, each given once (RFC 6749 3.2).

    Raises:
        Refused: ``oauth-media-type``, ``oauth-body-*``, ``oauth-parameter-twice``.
        NetworkFault: ``request-cut-off``.
    """
    data = await _body(request, FORM)
    try:
        pairs = parse_qsl(
            data.decode("utf-8", "strict"),
            keep_blank_values=True,
            strict_parsing=bool(data),
            errors="strict",
            max_num_fields=MAX_FIELDS,
        )
    except ValueError as error:
        raise Refused("oauth-body-malformed", "The body is no form.") from error
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise Refused("oauth-parameter-twice", "A parameter was sent more than once.")
    # a parameter without a value counts as left out (RFC 6749 3.1)
    return {name: value for name, value in fields.items() if value}


async def read_json(request: Request) -> JsonObject:
    """The JSON object of a body.

    Raises:
        Refused: ``oauth-media-type``, ``oauth-body-*``.
        NetworkFault: ``request-cut-off``.
    """
    data = await _body(request, JSON)
    try:
        return read_object(data)
    except TrustError as error:
        raise Refused("oauth-body-malformed", "The body is not one JSON object.") from error


async def _body(request: Request, media_type: str) -> bytes:
    given = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if given != media_type:
        raise Refused("oauth-media-type", f"The body must be {media_type}.")
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise Refused("oauth-media-type", "The body must not be compressed.")
    data = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for piece in request.stream():
                data += piece
                if len(data) > MAX_BODY:
                    raise Refused(
                        "oauth-body-too-large", f"The body is larger than {MAX_BODY} bytes."
                    )
    except TimeoutError:
        raise Refused("oauth-body-slow", "The body did not arrive in time.") from None
    except ClientDisconnect:
        raise NetworkFault("request-cut-off", "The sender closed the connection.") from None
    return bytes(data)


def answer(value: Mapping[str, Any], status: int = 200) -> Response:
    """A JSON answer that nobody may keep (RFC 6749 5.1)."""
    return Response(orjson.dumps(value), status_code=status, media_type=JSON, headers=_NOT_CACHED)


def refusal(refused: Refused, endpoint: Endpoint) -> Response:
    """The answer of a refusal; its description holds our code, and no value of the request."""
    wire = wire_error(refused.code, endpoint)
    body: dict[str, Any] = {
        "error": wire.error,
        "error_description": f"{refused.sentence} [{refused.code}]",
    }
    if refused.extensions:
        body["extensions"] = refused.extensions
    response = answer(body, wire.status)
    if wire.status == 429:  # noqa: PLR2004  the number's name
        response.headers["retry-after"] = "60"
    return response
