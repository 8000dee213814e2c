"""HTTP calls to the health system's FHIR server: bounded, no redirect, no word of it passed on.

What it answers is not believed. Its texts, its addresses and its error bodies, which may name
patients, never stand in our errors or logs: a status and a sentence of ours is all that is told.
Searches go as POST, so that no patient stands in an address (law 6).
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import aiohttp
from yarl import URL

from node.errors import LimitError, WireError
from node.peers.upstream.credentials import Credential
from node.wire.compression import Decoder
from node.wire.fhir.problem import FhirProblem
from node.wire.fhir.query import Pair

FHIR_JSON: Final = "application/fhir+json"
JSON: Final = frozenset({FHIR_JSON, "application/json"})
_PIECE: Final = 64 * 1024
_OK, _UNKNOWN, _TOO_MANY = 200, frozenset({404, 410}), frozenset({429, 503})
_NOT_OURS, _BAD_SEARCH = frozenset({401, 403}), frozenset({400, 404, 405, 414, 422})
_OWN_FAULT: Final = 500
_LONGEST_TAIL: Final = 2048


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamLimits:
    """What one call may cost.

    Attributes:
        seconds: for one call as a whole; ``document_seconds`` for a document.
        resource_bytes, page_bytes, document_bytes: of what is answered, unpacked.
        connections: open at one time.
    """

    seconds: float = 10.0
    document_seconds: float = 45.0
    resource_bytes: int = 16 * 1024 * 1024
    page_bytes: int = 32 * 1024 * 1024
    document_bytes: int = 512 * 1024 * 1024
    connections: int = 32


@asynccontextmanager
async def upstream_client(
    base_url: str, context: ssl.SSLContext, credential: Credential, limits: UpstreamLimits
) -> AsyncIterator[UpstreamClient]:
    """A client, until the block ends. ``base_url`` has no slash at its end."""
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=context, limit=limits.connections),
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
        auto_decompress=False,  # so that the limits are those of what is unpacked
        headers={"User-Agent": "tefca-node", "Accept-Encoding": "gzip"},
        timeout=aiohttp.ClientTimeout(total=None),
    ) as session:
        yield UpstreamClient(session, base_url, credential, limits)


class UpstreamClient:
    """Calls one FHIR server. All its methods raise ``FhirProblem`` (``fhir-upstream-...``)."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        base_url: str,
        credential: Credential,
        limits: UpstreamLimits,
    ) -> None:
        """``base_url`` has no slash at its end."""
        self._session = session
        self._credential = credential
        self.base_url = base_url
        self.limits = limits

    async def metadata(self) -> bytes:
        """Its CapabilityStatement."""
        async with self._call("GET", "/metadata", is_open=True) as answer:
            _expect(answer.status)
            return await self._json(answer, self.limits.resource_bytes)

    async def read(self, type_: str, id_: str) -> tuple[bytes, str | None] | None:
        """One resource and its ``ETag``, or ``None`` where there is none."""
        async with self._call("GET", f"/{type_}/{id_}") as answer:
            if answer.status in _UNKNOWN:
                return None
            _expect(answer.status)
            body = await self._json(answer, self.limits.resource_bytes)
            return body, answer.headers.get("etag")

    async def search(self, type_: str, pairs: Sequence[Pair]) -> bytes:
        """The first page of a search; what it does not understand it is to refuse."""
        headers = {"prefer": "handling=strict"}
        async with self._call(
            "POST", f"/{type_}/_search", data=aiohttp.FormData(pairs), headers=headers
        ) as answer:
            if answer.status in _BAD_SEARCH:
                raise FhirProblem(
                    "fhir-upstream-search", "The health system's FHIR server refuses this search."
                )
            _expect(answer.status)
            return await self._json(answer, self.limits.page_bytes)

    async def page(self, tail: str) -> bytes:
        """A further page, by what ``tail_of`` gave."""
        async with self._call("GET", tail) as answer:
            if answer.status in _UNKNOWN:
                raise FhirProblem(
                    "fhir-page-invalid", "The health system's FHIR server no longer has this page."
                )
            _expect(answer.status)
            return await self._json(answer, self.limits.page_bytes)

    @asynccontextmanager
    async def binary(
        self, id_: str
    ) -> AsyncIterator[tuple[Mapping[str, str] | None, AsyncIterator[bytes]]]:
        """What a Binary holds: headers and bytes as they come; ``None`` where there is none."""
        seconds = self.limits.document_seconds
        async with self._call("GET", f"/Binary/{id_}", accept="*/*", seconds=seconds) as answer:
            if answer.status in _UNKNOWN:
                yield None, _nothing()
                return
            _expect(answer.status)
            yield answer.headers, self._pieces(answer, self.limits.document_bytes)

    def tail_of(self, link: str) -> str:
        """What of a link to a further page stands behind the base address.

        Only the same server under the same base is followed: our credentials go nowhere else.
        """
        tail = link.removeprefix(self.base_url)
        is_below = tail != link and tail[:1] in {"/", "?"}
        path = tail.partition("?")[0]
        is_plain = tail.isascii() and tail.isprintable() and not set(tail) & set(' \\#<>"^`{}')
        if not is_below or not is_plain or ".." in path or "//" in path or "%" in path:
            raise invalid("Its link to the next page leads elsewhere.")
        if len(tail) > _LONGEST_TAIL:
            raise invalid("Its link to the next page is too long.")
        return tail

    def check_size(self, size: int) -> None:
        """Refuse a resource that is too large."""
        if size > self.limits.resource_bytes:
            raise invalid(f"Its answer is larger than {self.limits.resource_bytes} bytes.")

    # --- one call -----------------------------------------------------------------------------

    @asynccontextmanager
    async def _call(
        self,
        method: str,
        tail: str,
        *,
        accept: str = FHIR_JSON,
        headers: Mapping[str, str] | None = None,
        seconds: float | None = None,
        is_open: bool = False,
        **options: Any,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        sent = {"accept": accept, **(headers or {})}
        url = URL(self.base_url + tail, encoded=True)
        try:
            async with asyncio.timeout(seconds or self.limits.seconds):
                if not is_open and (authorization := await self._credential.header()) is not None:
                    sent["authorization"] = authorization
                async with self._session.request(
                    method, url, headers=sent, allow_redirects=False, **options
                ) as answer:
                    if answer.status in _NOT_OURS:
                        self._credential.refused()
                    yield answer
        except FhirProblem:
            raise
        except TimeoutError:
            raise FhirProblem(
                "fhir-upstream-slow", "The health system's FHIR server did not answer in time."
            ) from None
        except (aiohttp.ClientPayloadError, aiohttp.ClientResponseError) as error:
            raise invalid("Its answer is cut off or no HTTP.", type(error).__name__) from None
        except (aiohttp.ClientError, OSError) as error:
            raise FhirProblem(
                "fhir-upstream-unreachable", "The health system's FHIR server cannot be reached.",
                detail=type(error).__name__,
            ) from None  # fmt: skip

    async def _json(self, answer: aiohttp.ClientResponse, most: int) -> bytes:
        media_type = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
        if media_type not in JSON:
            raise invalid("Its answer is not of the media type application/fhir+json.")
        body = bytearray()
        async for piece in self._pieces(answer, most):
            body += piece
        return bytes(body)

    async def _pieces(self, answer: aiohttp.ClientResponse, most: int) -> AsyncIterator[bytes]:
        try:
            decoder = Decoder(answer.headers.get("content-encoding", ""), max_bytes=most)
            async for chunk in answer.content.iter_chunked(_PIECE):
                for piece in decoder.feed(chunk):
                    yield piece
            decoder.close()
        except LimitError:
            raise invalid(f"Its answer is larger than {most} bytes.") from None
        except WireError as error:
            raise invalid("Its answer cannot be unpacked.", error.code) from None


def _expect(status: int) -> None:
    if status == _OK:
        return
    if status in _TOO_MANY:
        raise FhirProblem(
            "fhir-upstream-busy", "The health system's FHIR server has too much to do."
        )
    if status in _NOT_OURS:
        raise FhirProblem(
            "fhir-upstream-refused",
            "The health system's FHIR server does not admit this node.",
            detail=f"status {status}",
        )
    if status >= _OWN_FAULT:
        raise FhirProblem(
            "fhir-upstream-failed", "The health system's FHIR server failed.",
            detail=f"status {status}",
        )  # fmt: skip
    raise invalid("It answered with a status that it must not.", f"status {status}")


def invalid(what: str, detail: str | None = None) -> FhirProblem:
    """The error of an answer that cannot be used; ``what`` is a sentence of ours."""
    return FhirProblem(
        "fhir-upstream-invalid",
        f"The health system's FHIR server cannot be used. {what}",
        detail=detail,
    )


async def _nothing() -> AsyncIterator[bytes]:
    yield b""
