"""One HTTP request to a peer and its answer, in pieces and within limits. Knows nothing of SOAP."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp
from yarl import URL

from node.errors import NetworkFault, TheirFault
from node.peers.network_faults import network_fault
from node.peers.pool import Judge, judged
from node.wire.compression import Decoder

_PIECE = 64 * 1024
_ACCEPTED = 202
_REDIRECTS = range(300, 400)
_UNAVAILABLE = frozenset({502, 503, 504})
_ERROR = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpAnswer:
    """The head of an answer, and its body to be read once."""

    status: int
    content_type: str
    headers: Mapping[str, str]
    body: AsyncIterator[bytes]

    @property
    def failed(self) -> bool:
        """Whether the status says that something went wrong."""
        return self.status >= _ERROR

    @property
    def unavailable(self) -> bool:
        """Whether the status is that of a proxy before a gateway that is down."""
        return self.status in _UNAVAILABLE


@asynccontextmanager
async def posted(
    session: aiohttp.ClientSession,
    url: URL,
    body: bytes | AsyncIterator[bytes] | None,
    *,
    headers: Mapping[str, str],
    judge: Judge,
    max_bytes: int,
) -> AsyncIterator[HttpAnswer]:
    """Send one POST; the connection is given back when the block ends, closed unless read whole.

    Args:
        session: the pool.
        url: from ``endpoint_url``; redirects are not followed.
        body: the request; ``None`` sends a GET.
        headers: Content-Type and whatever else.
        judge: looks at the peer's certificate before the request is sent.
        max_bytes: limit of the decompressed answer.

    Raises:
        TheirFault: ``answer-redirected``, ``answer-asynchronous``, ``answer-http-invalid``.
        NetworkFault: see ``network_faults``.
        WireError: ``content-coding-unsupported``, ``content-coding-invalid``.
        LimitError: ``message-too-large``.
    """
    try:
        with judged(judge):
            response = await session.request(
                "GET" if body is None else "POST",
                url,
                data=body,
                headers={"Accept-Encoding": "gzip", **headers},
                allow_redirects=False,
            )
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise network_fault(error) from error
    try:
        if response.status in _REDIRECTS:
            raise TheirFault("answer-redirected", "The peer redirects to another address.")
        if response.status == _ACCEPTED:
            raise TheirFault(
                "answer-asynchronous", "The peer accepted the request and gave no answer to it."
            )
        yield HttpAnswer(
            status=response.status,
            content_type=response.headers.get("Content-Type", ""),
            headers=response.headers,
            body=_pieces(response, max_bytes),
        )
    finally:
        # A body that was read to its end has given its connection back; this cuts any other.
        response.close()


async def _pieces(response: aiohttp.ClientResponse, max_bytes: int) -> AsyncIterator[bytes]:
    decoder = Decoder(response.headers.get("Content-Encoding", ""), max_bytes=max_bytes)
    received = False
    try:
        async for data in response.content.iter_chunked(_PIECE):
            received = received or bool(data)
            for piece in decoder.feed(data):
                yield piece
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise network_fault(error) from error
    if received:
        decoder.close()
    elif response.status < _ERROR:
        raise NetworkFault("empty-answer", "The peer's answer is empty.")


def endpoint_url(address: str) -> URL:
    """An endpoint address that may be called.

    Raises:
        TheirFault: ``address-invalid`` for anything but an absolute https URL without user name.
    """
    try:
        url = URL(address)
    except ValueError:
        url = URL()
    if url.scheme != "https" or not url.host or url.user or url.fragment:
        raise TheirFault("address-invalid", "The peer's endpoint address is no https URL.")
    return url
