"""Fetching small public things that certificates point at: CRLs, OCSP answers.

Whoever could choose what a node fetches would have a probe inside its network. So the caller says
which addresses may be asked; an address inside (private, loopback, link-local) is refused unless
the settings allow it, judged on the address that is connected to and not on the name; a redirect
may lead to the same host alone; sizes and times have limits. What comes back is signed by others
and believed by its signature: TLS, where the address wants it, proves nothing to us.
"""

from __future__ import annotations

import ipaddress
import socket
import ssl
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from yarl import URL

from node.errors import NetworkFault, NodeError, TheirFault

_MAX_REDIRECTS = 3
_PIECE = 64 * 1024
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_UNMODIFIED = 304
_OK = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchRules:
    """What may be fetched.

    Attributes:
        hosts: the only hosts that may be asked; empty for all.
        allow_private: whether addresses that are not public may be connected to.
        seconds: for a whole fetch.
    """

    hosts: Collection[str] = ()
    allow_private: bool = False
    seconds: float = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """What came back; ``body`` is ``None`` when there is nothing newer than what we have."""

    body: bytes | None = field(repr=False)
    headers: Mapping[str, str]


def open_fetching(
    rules: FetchRules, anchors: Iterable[x509.Certificate] = ()
) -> aiohttp.ClientSession:
    """A session for fetches; must be opened and closed inside the event loop."""
    context = ssl.create_default_context()
    pem = "".join(anchor.public_bytes(Encoding.PEM).decode("ascii") for anchor in anchors)
    if pem:
        context.load_verify_locations(cadata=pem)
    connector = aiohttp.TCPConnector(
        resolver=_PublicResolver(allow_private=rules.allow_private),
        use_dns_cache=False,
        ssl=context,
        limit=8,
        force_close=True,
    )
    return aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
        auto_decompress=False,  # so that the size limit is that of what came
        timeout=aiohttp.ClientTimeout(total=rules.seconds, connect=min(rules.seconds, 10.0)),
        headers={"User-Agent": "tefca-node", "Accept-Encoding": "identity"},
    )


async def fetch(
    session: aiohttp.ClientSession,
    address: str,
    rules: FetchRules,
    *,
    max_bytes: int,
    headers: Mapping[str, str] | None = None,
    data: bytes | None = None,
) -> Fetched:
    """One GET, or a POST of ``data``, within the rules.

    Raises:
        NetworkFault: ``fetch-failed``.
        TheirFault: ``fetch-address-refused``, ``fetch-redirected``, ``fetch-status``,
            ``fetch-too-large``.
    """
    url = _checked(address, rules)
    try:
        for _ in range(_MAX_REDIRECTS + 1):
            async with session.request(
                "GET" if data is None else "POST",
                url,
                data=data,
                headers=headers,
                allow_redirects=False,
            ) as answer:
                if answer.status not in _REDIRECTS:
                    return await _taken(answer, max_bytes)
                target = url.join(URL(answer.headers.get("Location", "")))
            if target.host != url.host or data is not None:
                break
            url = _checked(str(target), rules)
    except aiohttp.ClientConnectorDNSError as error:
        raise _unreachable(error) from error
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
        raise NetworkFault(
            "fetch-failed", "An address that a CA gives cannot be fetched.",
            detail=type(error).__name__, where=url.host,
        ) from error  # fmt: skip
    raise TheirFault(
        "fetch-redirected", "An address that a CA gives leads to another host.", where=url.host
    )


async def _taken(answer: aiohttp.ClientResponse, max_bytes: int) -> Fetched:
    if answer.status == _UNMODIFIED:
        return Fetched(body=None, headers=answer.headers)
    if answer.status != _OK:
        raise TheirFault(
            "fetch-status",
            f"An address that a CA gives answers with the HTTP status {answer.status}.",
            where=answer.url.host,
        )
    body = bytearray()
    async for piece in answer.content.iter_chunked(_PIECE):
        body += piece
        if len(body) > max_bytes:
            raise TheirFault(
                "fetch-too-large",
                f"What an address of a CA gives is larger than {max_bytes} bytes.",
                where=answer.url.host,
            )
    return Fetched(body=bytes(body), headers=answer.headers)


def _checked(address: str, rules: FetchRules) -> URL:
    try:
        url = URL(address)
    except ValueError as error:
        raise _refused(None) from error
    host = url.host
    if url.scheme not in ("http", "https") or not host or url.user or url.password:
        raise _refused(host)
    if rules.hosts and host not in rules.hosts:
        raise _refused(host)
    if not rules.allow_private and _is_inside(host):
        raise _refused(host)
    return url


def _is_inside(host: str) -> bool:
    """Whether a host is an address that is not public; a name is judged when it is resolved."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address):
        carried = _carried(address)
        if carried is None:
            return not (address.is_global and address in _UNICAST)
        address = carried
    return not address.is_global or address.is_multicast


_UNICAST = ipaddress.IPv6Network("2000::/3")  # what else there is of IPv6 has a special use
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


def _carried(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address that an IPv6 address leads to (RFC 4291 2.5.5.2, RFC 6052 2.1, RFC 3056)."""
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour


class _RefusedAddressError(OSError):
    """A name leads to an address inside."""


class _PublicResolver(AbstractResolver):
    """Resolves names to public addresses only, unless all are allowed."""

    def __init__(self, *, allow_private: bool) -> None:
        self._inner = ThreadedResolver()
        self._allow_private = allow_private

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """The addresses of a host; one that is inside refuses the whole name."""
        found = await self._inner.resolve(host, port, family)
        if not self._allow_private and any(_is_inside(each["host"]) for each in found):
            raise _RefusedAddressError(host)
        return found

    async def close(self) -> None:
        """Nothing is held."""
        await self._inner.close()


def _unreachable(error: Any) -> NodeError:
    if isinstance(error.os_error, _RefusedAddressError):
        return _refused(error.host)
    return NetworkFault(
        "fetch-failed", "An address that a CA gives cannot be resolved.", where=error.host
    )


def _refused(host: str | None) -> TheirFault:
    return TheirFault(
        "fetch-address-refused",
        "An address that a CA gives is none that this node may ask.",
        where=host,
    )
