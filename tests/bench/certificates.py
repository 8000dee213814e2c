"""A made-up network's certificates: a root, an intermediate below it, and leaves."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from trust.ca import CertificateAuthority, Profile, issue
from trust.csr import RequestedNames, build_csr
from trust.keys import KeyKind, PrivateKey, PublicKey, generate_key

LIFETIME = timedelta(days=365)
_BACKDATE = timedelta(minutes=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """A root whose intermediate issues the leaves; P-256 all of them."""

    root: CertificateAuthority
    intermediate: CertificateAuthority
    now: datetime

    def leaf(self, number: int, key: PrivateKey, serial: int | None = None) -> x509.Certificate:
        """The TLS certificate of a host with a number."""
        host = f"gateway{number}.example"
        names = RequestedNames(common_name=host, dns_names=(host,))
        request = build_csr(key, names, usages=Profile.TLS.usages)
        return issue(self.intermediate, request, profile=Profile.TLS, now=self.now, serial=serial)


def make_network(now: datetime) -> Network:
    """A root and an intermediate."""
    root_key, key = generate_key(KeyKind.P_256), generate_key(KeyKind.P_256)
    root = _authority("Bench root", root_key.public_key(), "Bench root", root_key, now, 1)
    below = _authority("Bench intermediate", key.public_key(), "Bench root", root_key, now, 0)
    return Network(
        root=CertificateAuthority(certificate=root, key=root_key),
        intermediate=CertificateAuthority(certificate=below, key=key),
        now=now,
    )


def fresh(certificate: x509.Certificate) -> x509.Certificate:
    """The same certificate read anew, as from a handshake: nothing of it is remembered."""
    return x509.load_der_x509_certificate(certificate.public_bytes(Encoding.DER))


def _authority(
    name: str,
    key: PublicKey,
    issuer: str,
    issuer_key: PrivateKey,
    now: datetime,
    path_length: int,
) -> x509.Certificate:
    usage = dict.fromkeys(
        (
            "digital_signature",
            "content_commitment",
            "key_encipherment",
            "data_encipherment",
            "key_agreement",
            "encipher_only",
            "decipher_only",
        ),
        False,
    )
    return (
        x509.CertificateBuilder()
        .subject_name(_name(name))
        .issuer_name(_name(issuer))
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATE)
        .not_valid_after(now + LIFETIME)
        .add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True)
        .add_extension(x509.KeyUsage(key_cert_sign=True, crl_sign=True, **usage), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()),
            critical=False,
        )
        .sign(issuer_key, hashes.SHA256())
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
