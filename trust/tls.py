"""TLS contexts for mutual TLS between nodes (QTF-301 to 304, 401, 402; BCP 195; facts pki A9).

TLS 1.2 or 1.3, ECDHE with AEAD only, no compression, no renegotiation, no early data, no session
tickets (a ticket outlives a revocation), HTTP/1.1 by ALPN. Both sides present certificates and
trust the given anchors only, never the system's store. The client checks the host name against the
SAN and never against the common name; the server cannot know the client's name, so its caller must
bind the certificate to a directory entry (``trust.binding``).

What stays possible: a TLS 1.2 client may resume a session by its id from the context's own memory,
which the standard library cannot switch off. The peer's certificate is kept with the session, so
callers judge ``peer_certificates`` on every connection, resumed or not. And where a chain file
holds a leaf alone, OpenSSL sends the anchor that issued it along, if we trust it ourselves.
"""

from __future__ import annotations

import ssl
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import resources
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from trust.certificates import parse_der
from trust.chain import MAX_INTERMEDIATES, Finding
from trust.errors import TrustError
from trust.keys import is_encrypted, read_key_file

# TLS 1.2 suites; those of 1.3 are all AEAD. Level 2 refuses RSA below 2048 bits and SHA-1.
CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20:@SECLEVEL=2"
ALPN = ("http/1.1",)


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsIdentity:
    """The files we identify ourselves with.

    Attributes:
        certificate_file: PEM, the leaf first, then its intermediates, no root.
        key_file: PEM of its private key, readable by us only.
        passphrase: opens the key file when it is encrypted.
    """

    certificate_file: Path
    key_file: Path
    passphrase: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerCertificates:
    """What the other side presented in the handshake.

    Attributes:
        leaf: its certificate.
        leaf_der: the same in DER, as a key for remembering verdicts. Never for deny lists: a
            certificate can be encoded anew without breaking its signature, its SPKI cannot.
        intermediates: the rest of what it sent, in its order.
        resumed: whether the handshake was shortened, so that OpenSSL checked nothing anew.
    """

    leaf: x509.Certificate
    leaf_der: bytes
    intermediates: tuple[x509.Certificate, ...]
    resumed: bool


def server_context(
    identity: TlsIdentity, anchors: Iterable[x509.Certificate], *, may_be_empty: bool = False
) -> ssl.SSLContext:
    """A context for listening that demands a client certificate from one of the anchors.

    Args:
        identity: our server certificate.
        anchors: the anchors authorised for TLS clients.
        may_be_empty: whether a context without any anchor is meant: it admits nobody.

    Raises:
        TrustError: ``anchors-missing``, ``tls-identity-invalid``, ``key-mismatch`` and those of
            ``trust.keys.read_key_file`` and of a wrong or missing passphrase.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.verify_mode = ssl.CERT_REQUIRED
    context.num_tickets = 0
    context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE | ssl.OP_SINGLE_ECDH_USE
    _harden(context, anchors, may_be_empty=may_be_empty)
    load_identity(context, identity)
    return context


def browser_context(identity: TlsIdentity) -> ssl.SSLContext:
    """A context for listening to browsers and FHIR clients: it asks for no client certificate.

    Raises:
        TrustError: as ``server_context``, without those about anchors.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.num_tickets = 0
    context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE | ssl.OP_SINGLE_ECDH_USE
    _harden(context, (), may_be_empty=True)
    load_identity(context, identity)
    return context


def client_context(
    identity: TlsIdentity | None,
    anchors: Iterable[x509.Certificate],
    *,
    may_be_empty: bool = False,
) -> ssl.SSLContext:
    """A context for calling: verifies the server's chain and host name against the anchors only.

    Args:
        identity: our client certificate; ``None`` only for services that want none.
        anchors: the anchors authorised for TLS servers.
        may_be_empty: whether a context without any anchor is meant: it reaches nobody.

    Raises:
        TrustError: as ``server_context``.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = True
    context.hostname_checks_common_name = False
    _harden(context, anchors, may_be_empty=may_be_empty)
    if identity is not None:
        load_identity(context, identity)
    return context


def observer_context(identity: TlsIdentity | None) -> ssl.SSLContext:
    """A context that looks at what a server presents and believes nothing of it.

    Only for looking at our own listeners, where an expired or wrong certificate is the finding.

    Raises:
        TrustError: as ``load_identity``.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if identity is not None:
        load_identity(context, identity)
    return context


def load_identity(context: ssl.SSLContext, identity: TlsIdentity) -> None:
    """Loads certificate and key into a context; on a live one, new handshakes get the new ones.

    Raises:
        TrustError: ``tls-identity-invalid``, ``key-mismatch``, ``key-passphrase-missing``,
            ``key-passphrase-wrong`` and those of ``trust.keys.read_key_file``.
    """
    encrypted = is_encrypted(read_key_file(identity.key_file))
    if encrypted and identity.passphrase is None:
        raise TrustError(
            "key-passphrase-missing",
            "A private key file is encrypted and no passphrase was given.",
            where=str(identity.key_file),
        )
    try:
        context.load_cert_chain(
            identity.certificate_file,
            identity.key_file,
            # Without a callback OpenSSL would ask on the terminal.
            password=lambda: identity.passphrase or b"",
        )
    except FileNotFoundError as error:
        raise TrustError(
            "file-unreadable",
            "A TLS certificate file does not exist.",
            where=str(identity.certificate_file),
        ) from error
    except (ssl.SSLError, OSError, ValueError) as error:
        raise _identity_error(error, identity, encrypted=encrypted) from error


def peer_certificates(connection: ssl.SSLObject | ssl.SSLSocket) -> PeerCertificates | None:
    """What the peer presented, or ``None`` when it presented nothing.

    Raises:
        TrustError: ``certificate-invalid``, ``chain-too-long``.
    """
    leaf_der = connection.getpeercert(binary_form=True)
    if leaf_der is None:
        return None
    others = [der for der in _presented_chain(connection) if der != leaf_der]
    if len(others) > MAX_INTERMEDIATES:
        raise TrustError(
            "chain-too-long", f"The peer sent over {MAX_INTERMEDIATES} intermediate certificates."
        )
    return PeerCertificates(
        leaf=parse_der(leaf_der),
        leaf_der=leaf_der,
        intermediates=tuple(parse_der(der) for der in others),
        resumed=bool(connection.session_reused),
    )


def explain(error: ssl.SSLError) -> Finding:
    """A failed handshake as a reason code and a sentence that anybody may see."""
    table = _openssl_table()
    if isinstance(error, ssl.SSLCertVerificationError):
        code = table["verify"].get(str(error.verify_code), "chain-refused")
        return Finding(
            code=code, sentence=f"TLS refused the peer's certificate: {error.verify_message}."
        )
    reason = error.reason or "unknown"
    code = table["reason"].get(reason, "tls-failed")
    words = reason.lower().replace("_", " ")
    return Finding(code=code, sentence=f"The TLS handshake failed: {words}.")


def _harden(
    context: ssl.SSLContext, anchors: Iterable[x509.Certificate], *, may_be_empty: bool
) -> None:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(CIPHERS)
    context.set_alpn_protocols(list(ALPN))
    context.options |= ssl.OP_NO_TICKET | ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    # An authorised anchor may be an intermediate: then the chain ends there (trust.chain agrees).
    context.verify_flags |= ssl.VERIFY_X509_STRICT | ssl.VERIFY_X509_PARTIAL_CHAIN
    pem = "".join(a.public_bytes(Encoding.PEM).decode("ascii") for a in anchors)
    if pem:
        context.load_verify_locations(cadata=pem)
    elif not may_be_empty:
        raise TrustError("anchors-missing", "There is no anchor to verify TLS peers against.")


def _identity_error(
    error: ssl.SSLError | OSError | ValueError, identity: TlsIdentity, *, encrypted: bool
) -> TrustError:
    reason = getattr(error, "reason", None)
    if reason == "KEY_VALUES_MISMATCH":
        return TrustError(
            "key-mismatch",
            "The TLS certificate was issued for another private key.",
            where=str(identity.certificate_file),
        )
    if encrypted and reason in ("BAD_DECRYPT", "MALFORMED", None):
        return TrustError(
            "key-passphrase-wrong",
            "The passphrase does not open a private key file.",
            detail=str(error),
            where=str(identity.key_file),
        )
    return TrustError(
        "tls-identity-invalid",
        "A TLS certificate or key file cannot be loaded.",
        detail=str(error),
        where=str(identity.certificate_file),
    )


def _presented_chain(connection: ssl.SSLObject | ssl.SSLSocket) -> list[bytes]:
    # Public since Python 3.13; before, the same call is on the object inside.
    public = getattr(connection, "get_unverified_chain", None)
    if public is not None:
        return list(public() or ())
    inner = getattr(connection, "_sslobj", None)
    if inner is None:
        return []
    return [ssl.PEM_cert_to_DER_cert(c.public_bytes()) for c in inner.get_unverified_chain() or ()]


@lru_cache
def _openssl_table() -> dict[str, dict[str, str]]:
    text = resources.files("trust").joinpath("data/openssl.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)
