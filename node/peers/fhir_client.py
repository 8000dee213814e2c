"""The client of peers' FHIR servers: one request and its answer, bounded, with a bearer token.

Searches are POST ``_search``: nothing of a patient stands in a URL of ours. Redirects are refused,
and a link to a further page is followed only where it stays below the server's base address, so
that no token ever goes anywhere else. A token that the server no longer takes is forgotten, and
the next attempt asks for another.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Protocol, TypeVar
from urllib.parse import unquote, urlencode

import aiohttp
import orjson
from yarl import URL

from node.errors import AnswerError, NodeError, TheirFault
from node.exchange.fhir_peer_ports import FhirEndpoint, LinkedDocument
from node.exchange.ports import Call, Clock, Inbox, PeerEntry, Trace
from node.model import Principal, RetrievedDocument
from node.peers.attachments import accept_of, most_octets, stored
from node.peers.attempt import HttpAnswer, endpoint_url, posted
from node.peers.breaker import Breakers
from node.peers.guarded import guarded
from node.peers.pool import Judge
from node.peers.server_trust import ServerJudge, not_bound
from node.peers.udap.answers import AccessToken
from node.peers.udap.own import FhirServerAt
from node.wire.fhir.query import Pair
from node.wire.fhir.searchset_reader import remarks_of
from trust.tls import PeerCertificates

MAX_LINK: Final = 8192
_JSON: Final = frozenset({"application/fhir+json", "application/json"})
_MARKUP: Final = ("html", "xml")
_FORM: Final = {"Content-Type": "application/x-www-form-urlencoded"}
_RESOURCE: Final = {"Content-Type": "application/fhir+json"}
_OK, _UNAUTHORIZED, _FORBIDDEN, _TOO_MANY, _SERVER = 200, 401, 403, 429, 500
_ABSENT: Final = frozenset({404, 410})
_MOST_TOLD: Final = 64 * 1024

T = TypeVar("T")


class FhirAccess(Protocol):
    """The way to peers' FHIR servers: where they are, and tokens there."""

    def endpoint(self, entry: PeerEntry) -> FhirEndpoint | None:
        """Where an entry's FHIR server is, or ``None``."""
        ...

    def communities(self) -> Sequence[PeerEntry]:
        """All active entries with a FHIR server, ourselves left out."""
        ...

    def server(self, entry: PeerEntry) -> FhirServerAt:
        """An entry's FHIR server. Raises ``TheirFault`` (``fhir-endpoint-missing``)."""
        ...

    async def access(self, entry: PeerEntry, principal: Principal) -> AccessToken:
        """A token for all that we ask. Raises ``NodeError``, ``TrustError``."""
        ...

    def refused(self, token: AccessToken) -> None:
        """The server does not take a token any more."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class _Request:
    """One request: where to, what, and with which body; without one it is a GET."""

    url: URL
    body: bytes | None = None
    headers: Mapping[str, str] | None = None
    accept: str = "application/fhir+json"


class FhirClient:
    """Implements ``exchange.fhir_peer_ports.FhirPeers``; it owns nothing that must be closed."""

    def __init__(
        self,
        *,
        session: aiohttp.ClientSession,
        access: FhirAccess,
        judge_server: ServerJudge,
        clock: Clock,
        max_bytes: int,
        document_bytes: int,
        breakers: Breakers | None = None,
    ) -> None:
        """Limits: ``max_bytes`` of one answer, decompressed; ``document_bytes`` of a document."""
        self._session = session
        self._access = access
        self._judge_server = judge_server
        self._clock = clock
        self._max_bytes = max_bytes
        self._document_bytes = document_bytes
        self._breakers = breakers or Breakers()

    def endpoint(self, entry: PeerEntry) -> FhirEndpoint | None:
        """Where an entry's FHIR server is, or ``None``."""
        return self._access.endpoint(entry)

    def communities(self) -> Sequence[PeerEntry]:
        """All active entries with a FHIR server, ourselves left out."""
        return self._access.communities()

    async def search(
        self, entry: PeerEntry, type_: str, pairs: Sequence[Pair], call: Call, trace: Trace
    ) -> bytes:
        """The first page of a search."""
        url = endpoint_url(f"{self._access.server(entry).base_url}/{type_}/_search")
        request = _Request(url=url, body=urlencode(pairs).encode(), headers=_FORM)
        return await self._bundle(entry, request, call, trace)

    async def follow(self, entry: PeerEntry, link: str, call: Call, trace: Trace) -> bytes:
        """A further page."""
        url = page_url(self._access.server(entry).base_url, link)
        return await self._bundle(entry, _Request(url=url), call, trace)

    async def match(self, entry: PeerEntry, parameters: bytes, call: Call, trace: Trace) -> bytes:
        """``Patient/$match``."""
        url = endpoint_url(f"{self._access.server(entry).base_url}/Patient/$match")
        request = _Request(url=url, body=parameters, headers=_RESOURCE)
        return await self._bundle(entry, request, call, trace)

    async def fetch(
        self, entry: PeerEntry, document: LinkedDocument, call: Call, trace: Trace, inbox: Inbox
    ) -> RetrievedDocument:
        """The content behind an attachment's link."""
        attachment, most = document.attachment, self._document_bytes
        base_url = self._access.server(entry).base_url
        request = _Request(
            url=attachment_url(base_url, attachment.url or ""), accept=accept_of(attachment)
        )

        async def take(answer: HttpAnswer, trace: Trace) -> RetrievedDocument:
            if answer.status in _ABSENT:
                raise AnswerError(
                    "fhir-attachment-absent",
                    "The peer's server does not have the document that it listed.",
                    detail=f"status {answer.status}",
                )
            if answer.status != _OK:
                raise _fault(answer.status, await _head(answer))
            return await stored(answer, document, trace, inbox, most=most)

        return await self._ask(entry, request, call, trace, take=take, most=most_octets(most))

    # --- one attempt --------------------------------------------------------------------------

    async def _bundle(self, entry: PeerEntry, request: _Request, call: Call, trace: Trace) -> bytes:
        return await self._ask(entry, request, call, trace, take=_read, most=self._max_bytes)

    async def _ask(
        self,
        entry: PeerEntry,
        request: _Request,
        call: Call,
        trace: Trace,
        *,
        take: Callable[[HttpAnswer, Trace], Awaitable[T]],
        most: int,
    ) -> T:
        """Run one attempt under its time limit and its peer's circuit breaker."""
        key = entry.organization_id
        async with guarded(self._breakers, key, self._clock, seconds=call.timeout):
            return await self._attempt(entry, request, call, trace, take=take, most=most)

    async def _attempt(
        self,
        entry: PeerEntry,
        request: _Request,
        call: Call,
        trace: Trace,
        *,
        take: Callable[[HttpAnswer, Trace], Awaitable[T]],
        most: int,
    ) -> T:
        token = await self._access.access(entry, call.principal)
        trace.evidence = replace(
            trace.evidence,
            assertion_id=hashlib.sha256(token.value.encode()).hexdigest(),
            request_digest=_digest(request),
        )
        headers = {
            "Accept": request.accept,
            "Authorization": f"Bearer {token.value}",
            "X-Request-Id": call.message_id.removeprefix("urn:uuid:"),
            **(request.headers or {}),
        }
        async with posted(
            self._session,
            request.url,
            request.body,
            headers=headers,
            judge=self._judge(entry, trace),
            max_bytes=most,
        ) as answer:
            if answer.status == _UNAUTHORIZED:
                self._access.refused(token)
            return await take(answer, trace)

    def _judge(self, entry: PeerEntry, trace: Trace) -> Judge:
        peer = entry.fhir_peer(None)

        def judge(certificates: PeerCertificates, key: str) -> None:
            verdict = self._judge_server(peer, certificates)
            trace.evidence = replace(
                trace.evidence, peer_key=key, binding=verdict.method, trust=verdict.decision
            )
            if not verdict.ok:
                raise not_bound(verdict)

        return judge


def page_url(base_url: str, link: str) -> URL:
    """The address of a further page, where it stays below the base address.

    Raises:
        TheirFault: ``fhir-link-elsewhere``.
    """
    url = _below(base_url, endpoint_url(base_url), link)
    if url is None:
        raise TheirFault(
            "fhir-link-elsewhere",
            "The peer's link to its next page leads away from its FHIR server.",
        )
    return url


def attachment_url(base_url: str, link: str) -> URL:
    """The address of an attachment, where it stays below the base address.

    A relative one is relative to the base address itself (FHIR R4 2.24.0.3).

    Raises:
        TheirFault: ``fhir-attachment-elsewhere``.
    """
    url = _below(base_url, endpoint_url(f"{base_url.rstrip('/')}/"), link) if link else None
    if url is None:
        raise TheirFault(
            "fhir-attachment-elsewhere",
            "The peer's link to the document leads away from its FHIR server.",
        )
    return url


def _below(base_url: str, start: URL, link: str) -> URL | None:
    """What a link leads to from an address; ``None`` where that is not below the base address."""
    base = endpoint_url(base_url)
    below = f"{base.path.rstrip('/')}/"
    try:
        url = start.join(URL(link, encoded=True)) if len(link) <= MAX_LINK else URL()
        path = unquote(url.raw_path)
        is_below = _origin(url) == _origin(base) and f"{path}/".startswith(below)
    except ValueError:
        return None
    is_plain = not (url.user or url.fragment or ".." in path.split("/"))
    return url if is_below and is_plain else None


def _origin(url: URL) -> tuple[str, str, int | None]:
    return url.scheme, (url.host or "").lower(), url.port


def _digest(request: _Request) -> bytes:
    """SHA-256 of a request, as the server that gets it enters it (``gateway.fhir.app``)."""
    method = "GET" if request.body is None else "POST"
    head = f"{method} {request.url.path}?{request.url.raw_query_string}\n"
    return hashlib.sha256(head.encode() + (request.body or b"")).digest()


async def _read(answer: HttpAnswer, trace: Trace) -> bytes:
    data = b"".join([piece async for piece in answer.body])
    trace.evidence = replace(trace.evidence, response_digest=hashlib.sha256(data).digest())
    if answer.status != _OK:
        raise _fault(answer.status, data)
    media = answer.content_type.partition(";")[0].strip().lower()
    if any(each in media for each in _MARKUP):
        raise TheirFault("fhir-peer-format", "The peer's answer is no FHIR JSON.", detail="markup")
    if media not in _JSON:
        trace.note("answer-media-type")
    return data


async def _head(answer: HttpAnswer) -> bytes:
    """The beginning of an answer that says why; what is longer than that says nothing."""
    data = b""
    async for piece in answer.body:
        data += piece
        if len(data) > _MOST_TOLD:
            return b""
    return data


def _fault(status: int, data: bytes) -> NodeError:
    """What an answer without success means; nothing that the peer wrote is repeated but a code."""
    detail = f"status {status}"
    if status == _UNAUTHORIZED:
        return AnswerError("fhir-peer-token", "The peer does not take our token.", detail=detail)
    if status == _FORBIDDEN:
        return AnswerError(
            "fhir-peer-forbidden", "The peer does not let us ask this.", detail=detail
        )
    if status == _TOO_MANY:
        return AnswerError(
            "fhir-peer-throttled", "The peer takes no more requests for now.", detail=detail
        )
    if status >= _SERVER:
        return AnswerError(
            "fhir-peer-failed", f"The peer's server failed with status {status}.", detail=detail
        )
    code = _issue_code(data)
    said = f" and the issue code {code}" if code else ""
    return AnswerError(
        "fhir-peer-refused",
        f"The peer refused the request with status {status}{said}.",
        detail=detail,
        fault=code,
    )


def _issue_code(data: bytes) -> str | None:
    try:
        content = orjson.loads(data)
    except orjson.JSONDecodeError:
        return None
    remarks = remarks_of(content) if isinstance(content, dict) else []
    code = remarks[0].code if remarks else ""
    is_plain = 0 < len(code) <= 32 and code.replace("-", "").isalpha() and code.isascii()  # noqa: PLR2004
    return code if is_plain and code.islower() else None
