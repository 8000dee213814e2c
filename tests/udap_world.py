"""A UDAP community for tests: a root, an intermediate, a client; tokens right and wrong.

The date lies years away from today, so that code which reads the real clock fails.
"""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from joserfc import jws
from joserfc.jwk import ECKey, OctKey, RSAKey

from trust.udap.jwt import _Registry
from trust.udap.signers import Community, SignerKnowledge

NOW = datetime(2041, 5, 1, 12, tzinfo=UTC)
COMMUNITY = "urn:oid:2.999.5"
HCID = "urn:oid:2.999.1"
PURPOSE = "T-TRTMNT"
CLIENT_URI = f"{HCID}#{PURPOSE}"
SYSTEM = "2.16.840.1.113883.3.7204.1.5.2.1"
DAY = timedelta(days=1)


def key(name, kind="rsa"):
    return _key(name, kind)


@cache
def _key(name, kind):
    if kind == "rsa":
        return rsa.generate_private_key(65537, 2048)
    return ec.generate_private_key({"p-256": ec.SECP256R1(), "p-384": ec.SECP384R1()}[kind])


def certificate(
    name,
    issuer=None,
    *,
    uris=(),
    ca=False,
    kind="rsa",
    begins=None,
    ends=None,
    usage=True,
    issuer_key=None,
    serial=None,
):
    """A certificate of ``key(name, kind)``; ``issuer`` is the name of one made before, or none."""
    now = NOW
    own = key(name, kind)
    above = issuer or name
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, above)]))
        .public_key(own.public_key())
        .serial_number(serial or x509.random_serial_number())
        .not_valid_before(begins or now - 30 * DAY)
        .not_valid_after(ends or now + 300 * DAY)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .add_extension(
            x509.KeyUsage(
                digital_signature=not ca and usage,
                content_commitment=False,
                key_encipherment=not usage,
                data_encipherment=False,
                key_agreement=False,
                key_cert_sign=ca,
                crl_sign=ca,
                encipher_only=False,
                decipher_only=False,
            ),
            critical=True,
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(own.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(
                (issuer_key or key(above)).public_key()
            ),
            critical=False,
        )
    )
    if uris:
        names = [x509.UniformResourceIdentifier(uri) for uri in uris]
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(issuer_key or key(above), hashes.SHA256())


@cache
def root():
    return certificate("Root", ca=True)


@cache
def intermediate():
    return certificate("Intermediate", "Root", ca=True)


@cache
def client(uri=CLIENT_URI, kind="rsa", **fields):
    return certificate("Client", "Intermediate", uris=(uri,), kind=kind, **fields)


def chain():
    return [client(), intermediate()]


def knowledge(*anchors, uri=COMMUNITY, **fields):
    return SignerKnowledge(
        communities=(Community(uri=uri, anchors=anchors or (root(),)),), **fields
    )


def x5c(certificates):
    return [base64.b64encode(each.public_bytes(Encoding.DER)).decode() for each in certificates]


def signed(claims, *, certificates=None, alg="RS256", signer=None, header=None, raw=None):
    """A token; ``header`` replaces fields of it (``None`` takes them out), ``raw`` the payload."""
    fields = {"alg": alg, "x5c": x5c(certificates or chain())} | (header or {})
    fields = {name: value for name, value in fields.items() if value is not None}
    private = signer or key("Client")
    if alg.startswith("HS"):
        made = OctKey.import_key(signer)
    else:
        made = (RSAKey if isinstance(private, rsa.RSAPrivateKey) else ECKey).import_key(private)
    payload = raw if raw is not None else json.dumps(claims).encode()
    registry = _Registry(algorithms=[fields["alg"]], strict_check_header=False)
    return jws.serialize_compact(fields, payload, made, registry=registry).encode()


def part(value):
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def seconds(moment):
    return int(moment.timestamp())


def statement(audience, *, now=NOW, **changes):
    """The claims of a software statement; ``None`` takes one out."""
    claims = {
        "iss": CLIENT_URI,
        "sub": CLIENT_URI,
        "aud": audience,
        "iat": seconds(now),
        "exp": seconds(now) + 300,
        "jti": f"jti-{now.timestamp()}-{id(changes)}",
        "client_name": "Lake Hospital",
        "contacts": ["mailto:fhir@lake.example"],
        "grant_types": ["client_credentials"],
        "token_endpoint_auth_method": "private_key_jwt",
        "scope": "system/Patient.rs",
    } | changes
    return {name: value for name, value in claims.items() if value is not None}


def b2b(**changes):
    found = {
        "version": "1",
        "subject_name": "Ida Sample, MD",
        "subject_id": "urn:oid:2.16.840.1.113883.4.6#1234567893",
        "subject_role": "urn:oid:2.16.840.1.113883.6.101#207Q00000X",
        "organization_name": "Lake Hospital",
        "organization_id": "Organization/lake",
        "purpose_of_use": [f"urn:oid:{SYSTEM}#{PURPOSE}"],
    } | changes
    return {name: value for name, value in found.items() if value is not None}
