"""HTTP calls to a peer's authorization server: bounded, no redirect, JSON answers read strictly."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp

from node.errors import LimitError, NodeError, TheirFault, TrustError
from node.peers.network_faults import network_fault
from node.peers.pool import Judge, judged
from trust.udap.strict_json import JsonObject, read_object

MAX_ANSWER = 512 * 1024
SECONDS = 20.0
_PIECE = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back; ``document`` is empty where there was no body."""

    status: int
    document: JsonObject
    body: bytes
    deviations: tuple[str, ...] = ()


class AuthorizationCalls:
    """Calls one pool's connections, each shown to the peer's judge before it is used."""

    def __init__(self, session: aiohttp.ClientSession, *, seconds: float = SECONDS) -> None:
        """``seconds`` is for one call as a whole."""
        self._session = session
        self._seconds = seconds

    async def get(self, url: str, judge: Judge, *, query: Mapping[str, str]) -> Answer:
        """Read a document. Raises ``NodeError``, ``TrustError``."""
        return await self._call("GET", url, judge, params=query)

    async def post_json(self, url: str, judge: Judge, value: Mapping[str, Any]) -> Answer:
        """Send JSON. Raises ``NodeError``, ``TrustError``."""
        return await self._call("POST", url, judge, json=value)

    async def post_form(self, url: str, judge: Judge, fields: Mapping[str, str]) -> Answer:
        """Send a form. Raises ``NodeError``, ``TrustError``."""
        return await self._call("POST", url, judge, data=fields)

    async def _call(self, method: str, url: str, judge: Judge, **options: Any) -> Answer:
        if not url.startswith("https://"):
            raise TheirFault("address-invalid", "The peer's endpoint address is no https URL.")
        headers = {"accept": "application/json", "accept-encoding": "identity"}
        try:
            async with asyncio.timeout(self._seconds):
                with judged(judge):
                    async with self._session.request(
                        method, url, allow_redirects=False, headers=headers, **options
                    ) as response:
                        return await _answer(response)
        except (NodeError, TrustError):
            raise
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise network_fault(error) from error


async def _answer(response: aiohttp.ClientResponse) -> Answer:
    data = bytearray()
    async for piece in response.content.iter_chunked(_PIECE):
        data += piece
        if len(data) > MAX_ANSWER:
            raise LimitError("answer-too-large", "The peer's answer is larger than we take.")
    body = bytes(data)
    if not body:
        return Answer(status=response.status, document={}, body=body)
    try:
        document = read_object(body)
    except TrustError as error:
        raise TheirFault(
            "oauth-answer-invalid",
            "The peer's authorization server did not answer with a JSON object.",
            detail=f"status {response.status}",
        ) from error
    deviations = () if response.content_type == "application/json" else ("answer-media-type",)
    return Answer(status=response.status, document=document, body=body, deviations=deviations)
