"""Whether a client's certificate still leads to one of our clients' anchors, asked at every call.

TLS asked once, at the handshake, and a connection may stay open for days. Here the same is asked
again by OpenSSL's rules, with the anchors of this moment, and remembered for a certificate until
the anchors become others or a certificate of its path ends; a refusal, for a minute.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import grpc
import structlog
from cryptography import x509

from trust.certificates import fingerprint, parse_certificates
from trust.errors import TrustError
from trust.path import candidate_paths
from trust.second_opinion import openssl_refusal
from trust.undecodable import UNDECODABLE

_log = structlog.get_logger(__name__)

MAX_REMEMBERED: Final = 1000
"""Certificates whose verdict is remembered; beyond it all are judged anew."""

_REFUSED: Final = "This node does not accept the client's certificate any more."
_ADVICE: Final = "Its operator gives out another one with `tefca-node client add`."
_REFUSED_FOR: Final = timedelta(seconds=60)
_KINDS: Final = {
    (False, False): "unary_unary",
    (False, True): "unary_stream",
    (True, False): "stream_unary",
    (True, True): "stream_stream",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Verdict:
    accepted: bool
    until: datetime


class Admission:
    """The clients that are admitted, by the anchors that are in force."""

    def __init__(self, anchors: Iterable[x509.Certificate], now: Callable[[], datetime]) -> None:
        """``anchors`` are the first ones; ``now`` is the current time."""
        self._anchors = tuple(anchors)
        self._now = now
        self._remembered: dict[tuple[bytes, ...], _Verdict] = {}

    def use(self, anchors: Iterable[x509.Certificate]) -> None:
        """Judge by other anchors from now on, open connections too."""
        self._anchors = tuple(anchors)
        self._remembered = {}

    def admits(self, presented: tuple[bytes, ...]) -> bool:
        """Whether a client is admitted now; ``presented`` is PEM, its certificate first."""
        now = self._now()
        known = self._remembered.get(presented)
        if known is None or now > known.until:
            known = self._judge(presented, now)
            if len(self._remembered) >= MAX_REMEMBERED:
                self._remembered.clear()
            self._remembered[presented] = known
        return known.accepted

    def _judge(self, presented: tuple[bytes, ...], now: datetime) -> _Verdict:
        refused = _Verdict(accepted=False, until=now + _REFUSED_FOR)
        try:
            leaf, *above = parse_certificates(b"\n".join(presented))
            # a client may be trusted by its own certificate instead of a CA's
            paths = [(leaf, leaf)] if leaf in self._anchors else []
            for path in (*paths, *candidate_paths(leaf, above, self._anchors)):
                if openssl_refusal(path, now=now, strict=False) is None:
                    return _Verdict(accepted=True, until=min(c.not_valid_after_utc for c in path))
        except (TrustError, ValueError, *UNDECODABLE) as error:
            _log.warning("grpc.client-refused", code=type(error).__name__)
            return refused
        _log.warning("grpc.client-refused", fingerprint=fingerprint(leaf))
        return refused


class AdmittedOnly(grpc.aio.ServerInterceptor):
    """Every call, and every message of a stream, goes to clients that are admitted then."""

    def __init__(self, admission: Admission) -> None:
        """Judges by ``admission``."""
        self._admission = admission

    async def intercept_service(self, continuation: Any, details: Any) -> Any:
        """Wraps the handlers of all services of the port, health and reflection too."""
        handler = await continuation(details)
        if handler is None:
            return None
        kind = _KINDS[handler.request_streaming, handler.response_streaming]
        wrapped = self._wrapped(getattr(handler, kind))
        make = getattr(grpc, f"{kind}_rpc_method_handler")
        return make(wrapped, handler.request_deserializer, handler.response_serializer)

    def _wrapped(self, inner: Any) -> Any:
        async def generating(request: Any, context: Any) -> AsyncIterator[Any]:
            presented = _presented(context)
            await self._require(presented, context)
            # closed here, not by the garbage collector: what was begun for the caller stops now
            async with aclosing(inner(request, context)) as messages:
                async for message in messages:
                    await self._require(presented, context)
                    yield message

        async def answering(request: Any, context: Any) -> Any:
            await self._require(_presented(context), context)
            return await inner(request, context)

        return generating if inspect.isasyncgenfunction(inner) else answering

    async def _require(self, presented: tuple[bytes, ...], context: Any) -> None:
        if not self._admission.admits(presented):
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, f"{_REFUSED} {_ADVICE}")


def _presented(context: Any) -> tuple[bytes, ...]:
    """The client's certificate and what it sent above it, as gRPC tells them."""
    told = context.auth_context()
    chain = told.get("x509_pem_cert_chain") or told.get("x509_pem_cert") or ()
    return tuple(chain)
