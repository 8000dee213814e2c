"""What went wrong on the way to a peer, as our errors: the one place that knows aiohttp's.

=================== ============================================================================
code                when
=================== ============================================================================
dns                 the host name has no address
connect-refused     nobody listens there
connect-failed      no route, network down
tls-failed          the peer's certificate or TLS settings are not acceptable to us
tls-refused         the peer did not accept our certificate, or broke the handshake off
timeout             no answer in time, wherever the time went
reset               the connection ended before the answer did
answer-http-invalid the answer is no HTTP
address-invalid     the directory's endpoint address is no https URL
=================== ============================================================================
"""

from __future__ import annotations

import asyncio
import ssl

import aiohttp

from node.errors import NetworkFault, NodeError, TheirFault
from trust.tls import explain

_OUR_CERTIFICATE = ("CERTIFICATE", "UNKNOWN_CA", "ACCESS_DENIED", "HANDSHAKE_FAILURE")


def network_fault(error: BaseException) -> NodeError:
    """The node's error for a failure of an HTTP call."""
    fault: NodeError = NetworkFault(
        "reset", "The connection ended before the answer did.", detail=type(error).__name__
    )
    if isinstance(error, asyncio.TimeoutError):
        fault = NetworkFault("timeout", "The peer did not answer in time.")
    elif isinstance(error, aiohttp.InvalidURL | aiohttp.NonHttpUrlClientError):
        fault = TheirFault("address-invalid", "The peer's endpoint address cannot be called.")
    elif isinstance(error, aiohttp.ClientConnectorDNSError):
        fault = NetworkFault("dns", "The peer's host name cannot be resolved.")
    elif (tls := _tls_error(error)) is not None:
        fault = _tls_fault(tls)
    elif isinstance(error, aiohttp.ClientConnectorError):
        refused = isinstance(error.os_error, ConnectionRefusedError)
        code = "connect-refused" if refused else "connect-failed"
        detail = error.os_error.strerror if isinstance(error.os_error.strerror, str) else None
        fault = NetworkFault(code, "The peer cannot be reached.", detail=detail)
    elif isinstance(error, aiohttp.ClientResponseError):
        fault = TheirFault(
            "answer-http-invalid", "The peer's answer is not HTTP.", detail=f"status {error.status}"
        )
    return fault


def _tls_error(error: BaseException | None) -> ssl.SSLError | None:
    """The TLS error that an error is, wraps, or came from."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        # aiohttp's own classes inherit from ssl's without having their attributes.
        if isinstance(error, ssl.SSLError) and not isinstance(error, aiohttp.ClientError):
            return error
        inner = getattr(error, "certificate_error", None) or getattr(error, "os_error", None)
        if isinstance(inner, ssl.SSLError):
            return inner
        error = error.__cause__ or error.__context__
    return None


def _tls_fault(error: ssl.SSLError) -> NetworkFault:
    finding = explain(error)
    reason = error.reason or ""
    if "ALERT" in reason and any(word in reason for word in _OUR_CERTIFICATE):
        return NetworkFault(
            "tls-refused",
            "The peer broke the TLS handshake off; it may not accept our certificate.",
            detail=reason,
        )
    if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError | ssl.SSLSyscallError):
        return NetworkFault("reset", "The connection ended before the answer did.", detail=reason)
    return NetworkFault("tls-failed", finding.sentence, detail=f"{finding.code} {reason}".strip())
