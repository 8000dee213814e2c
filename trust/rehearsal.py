"""A certificate tried out before it is switched on: what fails here would have failed every peer.

TLS identities shake hands in memory with a counterpart of our own, built from the same files and
anchors that the node uses (facts pki A4); signing identities sign something and verify it. OpenSSL
reads the system's clock by itself.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterable

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from trust.chain import Finding
from trust.handshake import Side, self_test
from trust.signer import Signer
from trust.tls import TlsIdentity, client_context, server_context

_SAMPLE = b"tefca-node rehearsal"


def rehearse_server(
    identity: TlsIdentity, anchors: Iterable[x509.Certificate], host_name: str
) -> Finding | None:
    """Serves one handshake to a client that trusts the anchors and expects ``host_name``.

    Returns:
        Why it failed, or ``None``.

    Raises:
        TrustError: as ``trust.tls.server_context``, when the files cannot be loaded at all.
    """
    trusted = tuple(anchors)
    server = server_context(identity, trusted)
    server.verify_mode = ssl.CERT_NONE  # the client of the rehearsal has no certificate
    return _finding(server, client_context(None, trusted), host_name, own=Side.SERVER)


def rehearse_client(identity: TlsIdentity, anchors: Iterable[x509.Certificate]) -> Finding | None:
    """Calls a server that admits only clients of the anchors.

    Returns:
        Why it failed, or ``None``.

    Raises:
        TrustError: as ``trust.tls.client_context``, when the files cannot be loaded at all.
    """
    trusted = tuple(anchors)
    # The server shows our own certificate, which is none for servers; its client must not mind.
    client = client_context(identity, trusted)
    client.check_hostname = False
    client.verify_mode = ssl.CERT_NONE
    return _finding(server_context(identity, trusted), client, "localhost", own=Side.CLIENT)


def rehearse_signer(signer: Signer) -> Finding | None:
    """Signs a sample and verifies it by the certificate; why it failed, or ``None``."""
    signature, key = signer.sign(_SAMPLE), signer.certificate.public_key()
    try:
        if isinstance(key, rsa.RSAPublicKey):
            key.verify(signature, _SAMPLE, padding.PKCS1v15(), hashes.SHA256())
        elif isinstance(key, ec.EllipticCurvePublicKey):
            half = len(signature) // 2
            pair = (int.from_bytes(part) for part in (signature[:half], signature[half:]))
            key.verify(encode_dss_signature(*pair), _SAMPLE, ec.ECDSA(hashes.SHA256()))
        else:
            return Finding(
                code="key-kind-refused", sentence="The signing key is neither RSA nor ECDSA."
            )
    except InvalidSignature:
        return Finding(
            code="key-mismatch", sentence="The certificate does not verify what the key signed."
        )
    return None


def _finding(
    server: ssl.SSLContext, client: ssl.SSLContext, host_name: str, *, own: Side
) -> Finding | None:
    verdict = self_test(server, client, host_name)
    if verdict.ok:
        return None
    found = verdict.finding or Finding(code="tls-failed", sentence="The handshake failed.")
    side = "we" if verdict.failed_side is own else "the other side"
    return Finding(
        code=found.code, sentence=f"In a trial handshake {side} refused. {found.sentence}"
    )
