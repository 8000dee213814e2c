"""A TLS client's end that watches a handshake and believes nothing of it, for finding faults.

``ssl`` says that a handshake failed. An operator has to know more: what the server showed, whether
it asked for our certificate, which alert it sent and when. In TLS 1.3 a server judges the client's
certificate after the client has finished, so its refusal comes as an alert on the first read. All
of it is in OpenSSL's public callbacks, which pyOpenSSL hands on.

Without a socket: bytes in, bytes out, as ``ssl.MemoryBIO``. Version, cipher suites and ALPN are
those of ``trust.tls.client_context``, so what fails here fails there. Nothing confidential may be
sent over it: the server's certificate is looked at by nobody here.
"""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from OpenSSL import SSL

from trust.certificates import load_certificates, parse_der
from trust.chain import MAX_INTERMEDIATES
from trust.errors import TrustError
from trust.host_names import ip_address
from trust.keys import PrivateKey, load_key
from trust.tls import ALPN, CIPHERS, TlsIdentity

_PIECE = 16 * 1024
_ALERT_READ = SSL.SSL_CB_ALERT | SSL.SSL_CB_READ
_REQUESTED = b"certificate request"
_SENT = b"write client certificate"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientIdentity:
    """Our key and certificates, leaf first."""

    key: PrivateKey
    chain: tuple[x509.Certificate, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsObservation:
    """What was seen of a handshake so far.

    Attributes:
        finished: whether it came to its end on our side.
        version: such as ``TLSv1.3``; ``None`` before it was agreed on.
        cipher: the suite's OpenSSL name.
        presented: the certificates that the server sent, in its order.
        presented_unreadable: whether one of them cannot be decoded, or there are too many.
        certificate_requested: whether the server asked for a client certificate.
        certificate_sent: whether we got as far as answering that.
        alert: the name of the alert that the server sent (RFC 8446 6), such as ``unknown_ca``.
        failure: OpenSSL's reason when our side gave up, such as ``wrong version number``.
        closed: whether the server closed the connection as TLS demands it.
    """

    finished: bool = False
    version: str | None = None
    cipher: str | None = None
    presented: tuple[x509.Certificate, ...] = ()
    presented_unreadable: bool = False
    certificate_requested: bool = False
    certificate_sent: bool = False
    alert: str | None = None
    failure: str | None = None
    closed: bool = False


class TlsObserver:
    """One connection. ``advance`` after every ``receive``, and send what ``outgoing`` gives."""

    def __init__(self, identity: ClientIdentity | None, host: str) -> None:
        """``host`` goes into SNI unless it is an address."""
        self._connection = SSL.Connection(self._context(identity), None)
        if ip_address(host) is None:
            self._connection.set_tlsext_host_name(host.encode("idna"))
        self._connection.set_connect_state()
        self._finished = self._requested = self._sent = self._closed = False
        self._alert: str | None = None
        self._failure: str | None = None

    @property
    def failed(self) -> bool:
        """Whether nothing more can come of it."""
        return self._failure is not None or self._closed

    def receive(self, data: bytes) -> None:
        """Bytes from the server."""
        self._connection.bio_write(data)

    def outgoing(self) -> bytes:
        """Bytes that have to be sent now; empty when there are none."""
        sent = bytearray()
        try:
            while True:
                sent += self._connection.bio_read(_PIECE)
        except SSL.Error:  # WantRead: the buffer is empty
            return bytes(sent)

    def advance(self) -> bool:
        """Go on with the handshake; whether it is finished. A failure is in the observation."""
        if self._finished or self.failed:
            return self._finished
        try:
            self._connection.do_handshake()
            self._finished = True
        except SSL.WantReadError:
            pass
        except SSL.Error as error:
            self._failure = _reason(error)
        return self._finished

    def send(self, data: bytes) -> None:
        """Application data for the server."""
        self._connection.sendall(data)

    def read(self) -> bytes:
        """Application data from the server; empty while there is none."""
        try:
            return self._connection.recv(_PIECE)
        except SSL.WantReadError:
            pass
        except SSL.ZeroReturnError:
            self._closed = True
        except SSL.Error as error:
            self._failure = _reason(error)
        return b""

    def observed(self) -> TlsObservation:
        """Everything seen so far."""
        presented, unreadable = self._presented()
        agreed = self._finished or bool(presented)
        return TlsObservation(
            finished=self._finished,
            version=self._connection.get_protocol_version_name() if agreed else None,
            cipher=self._connection.get_cipher_name(),
            presented=presented,
            presented_unreadable=unreadable,
            certificate_requested=self._requested,
            certificate_sent=self._sent,
            alert=self._alert,
            failure=self._failure,
            closed=self._closed,
        )

    def _presented(self) -> tuple[tuple[x509.Certificate, ...], bool]:
        try:
            chain = self._connection.get_peer_cert_chain(as_cryptography=True) or []
            found = tuple(
                parse_der(certificate.public_bytes(Encoding.DER))
                for certificate in chain[: MAX_INTERMEDIATES + 1]
            )
        except (ValueError, TrustError):
            return (), True
        return found, len(chain) > MAX_INTERMEDIATES + 1

    def _context(self, identity: ClientIdentity | None) -> SSL.Context:
        context = SSL.Context(SSL.TLS_CLIENT_METHOD)
        context.set_verify(SSL.VERIFY_NONE)
        context.set_min_proto_version(SSL.TLS1_2_VERSION)
        context.set_cipher_list(CIPHERS.encode())
        context.set_alpn_protos([name.encode() for name in ALPN])
        context.set_options(SSL.OP_NO_TICKET | SSL.OP_NO_COMPRESSION | SSL.OP_NO_RENEGOTIATION)
        context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
        if identity is not None:
            leaf, *above = identity.chain
            context.use_certificate(leaf)
            context.use_privatekey(identity.key)
            for certificate in above:
                context.add_extra_chain_cert(certificate)
        context.set_info_callback(self._watch)
        return context

    def _watch(self, connection: SSL.Connection, where: int, value: int) -> None:
        if where & _ALERT_READ == _ALERT_READ:
            name = alert_name(value & 0xFF)
            # close_notify ends a connection in good order: it is not a refusal
            if name != "close_notify":
                self._alert = name
        elif where & SSL.SSL_CB_LOOP:
            state = connection.get_state_string()
            self._requested = self._requested or _REQUESTED in state
            self._sent = self._sent or _SENT in state


def client_identity(identity: TlsIdentity) -> ClientIdentity:
    """Open the files of an identity.

    Raises:
        TrustError: when a file cannot be read or opened.
    """
    return ClientIdentity(
        key=load_key(identity.key_file, passphrase=identity.passphrase),
        chain=tuple(load_certificates(identity.certificate_file)),
    )


def alert_name(number: int) -> str:
    """The name of a TLS alert; ``alert_N`` for one that is not registered."""
    return _alerts().get(str(number), f"alert_{number}")


@lru_cache
def _alerts() -> dict[str, str]:
    text = resources.files("trust").joinpath("data/alerts.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


def _reason(error: SSL.Error) -> str:
    """OpenSSL's reason for an error, in its own words; what it keeps to itself is ``closed``."""
    queue: Sequence[tuple[str, str, str]] = error.args[0] if error.args else ()
    if isinstance(queue, list) and queue:
        return str(queue[-1][-1])
    return "unexpected eof"
