"""What it costs to verify the two signatures of a request, beside libxmlsec and signxml.

All three get the same octets and the same certificates: parse the message, verify the assertion's
signature and the one that endorses the Timestamp. The other two get the signer's key ready made,
while ours reads it from the message, as a responder must. A last row is the whole Security header:
signatures, claims, times, rules.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime

import signxml
import xmlsec
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from lxml import etree

from tests.bench.certificates import make_network
from tests.bench.floor import check
from tests.bench.row import Row, Sizes, alternately, compared
from trust.keys import KeyKind, generate_key
from trust.saml_check import AssertionPolicy
from trust.saml_claims import CodedClaim, XuaClaims, saml_table
from trust.signer import KeySigner
from trust.wssecurity import SecurityPolicy, build_security, verify_security
from trust.xml import parse, serialize
from trust.xml_names import DS, SAML, SOAP12, WSSE, WSU

_SECURITY = f"{{{SOAP12}}}Header/{{{WSSE}}}Security"
_SIGNATURE = f"{{{DS}}}Signature"
_AUDIENCE = "https://gateway0.example/xcpd"
_MICRO = 1e6
_UNIT = "µs CPU/request"


def signature_rows(sizes: Sizes) -> Iterator[Row]:
    """Ours against each of the others, for RSA and for elliptic curves."""
    now = datetime.now(UTC)
    network = make_network(now)
    for kind, words in ((KeyKind.RSA_2048, "RSA 2048"), (KeyKind.P_256, "P-256")):
        key = generate_key(kind)
        signer = KeySigner(key=key, certificate=network.leaf(0, key))
        messages = [_message(signer, number, now) for number in range(sizes.requests)]
        pem = signer.certificate.public_bytes(Encoding.PEM)
        libxmlsec_key = xmlsec.Key.from_memory(pem, xmlsec.KeyFormat.CERT_PEM)
        policy = SecurityPolicy(assertion=AssertionPolicy(audiences=frozenset({_AUDIENCE})))
        ways: list[Callable[[bytes], object]] = [
            check,
            lambda octets, p=policy: verify_security(parse(octets), policy=p, now=now),
            lambda octets, k=libxmlsec_key: _libxmlsec(octets, k),
            lambda octets, c=signer.certificate: _signxml(octets, c),
        ]
        sides = [lambda way=way, them=messages: _cost(way, them) for way in ways]
        alternately(sides, 1)
        ours, whole, libxmlsec, other = alternately(sides, sizes.rounds)
        name = f"SAML and Timestamp signatures, {words}"
        yield compared(f"{name}, against libxmlsec", _UNIT, ours, libxmlsec)
        yield compared(f"{name}, against signxml", _UNIT, ours, other)
        yield compared(
            f"whole Security header, {words}, against libxmlsec's signatures alone",
            _UNIT,
            whole,
            libxmlsec,
        )


def _cost(way: Callable[[bytes], object], messages: Sequence[bytes]) -> float:
    started = time.process_time()
    for octets in messages:
        way(octets)
    return (time.process_time() - started) / len(messages) * _MICRO


def _message(signer: KeySigner, number: int, now: datetime) -> bytes:
    email = saml_table()["name_id_format"]["email"]
    claims = XuaClaims(
        subject_id="Dr Ada Jones",
        organization="Example Hospital",
        organization_id="Organization/abc",
        home_community_id="urn:oid:2.999.42",
        roles=(CodedClaim(code="1", system="2.16.840.1.113883.6.96", system_name="SNOMED_CT"),),
        purposes=(CodedClaim(code="P-ONE", system="1.2.3"),),
        issuer="saml@node.example",
        issuer_format=email,
        name_id="ada@node.example",
        name_id_format=email,
    )
    envelope = parse(
        f'<s:Envelope xmlns:s="{SOAP12}"><s:Header/><s:Body><q xmlns="urn:q"/></s:Body>'
        "</s:Envelope>".encode()
    )
    envelope[0].append(
        build_security(
            claims,
            signer=signer,
            now=now,
            audience=_AUDIENCE,
            assertion_id=f"_a{number}",
            timestamp_id=f"_t{number}",
        )
    )
    return serialize(envelope)


def _parts(envelope: etree._Element) -> tuple[etree._Element, ...]:
    """The Timestamp, the assertion, and the endorsing signature."""
    security = envelope.find(_SECURITY)
    if security is None:
        raise RuntimeError("the message has no Security header")
    return tuple(
        security.find(name) for name in (f"{{{WSU}}}Timestamp", f"{{{SAML}}}Assertion", _SIGNATURE)
    )


def _libxmlsec(octets: bytes, key: xmlsec.Key) -> None:
    timestamp, assertion, endorsement = _parts(etree.fromstring(octets))
    for element, name, namespace, signature in (
        (assertion, "ID", None, assertion.find(_SIGNATURE)),
        (timestamp, "Id", WSU, endorsement),
    ):
        context = xmlsec.SignatureContext()
        context.key = key
        context.register_id(element, name, namespace)
        context.verify(signature)


def _signxml(octets: bytes, certificate: x509.Certificate) -> None:
    envelope = etree.fromstring(octets)
    for attribute, place, signed in (
        ("ID", f".//{{{SAML}}}Assertion/", f"{{{SAML}}}Assertion"),
        ("Id", f"./{_SECURITY}/", f"{{{WSU}}}Timestamp"),
    ):
        result = signxml.XMLVerifier().verify(
            envelope,
            x509_cert=certificate,
            id_attribute=attribute,
            expect_config=signxml.SignatureConfiguration(location=place),
        )
        if result.signed_xml.tag != signed:
            raise RuntimeError("signxml verified something else")
