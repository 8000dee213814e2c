"""The signature verifier and the reader of Security headers: what a proof may and may not be.

Whatever verifies under a key of the originals is an original, byte for byte in canonical form, and
its claims are the original's. Whatever verifies at all, libxmlsec verifies as well for the same
key, over the document with its comments.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cache
from random import Random

import xmlsec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from lxml import etree

from tests.fuzz.target import NOW, MutateBytes, Target, hold, originals
from tests.fuzz.xml_mutation import mutate_xml
from trust.errors import TrustError
from trust.keys import spki_sha256
from trust.saml_check import AssertionPolicy
from trust.saml_claims import XuaClaims
from trust.wssecurity import SecurityPolicy, VerifiedSecurity, fault_subcode, verify_security
from trust.xml import XmlLimits, _utf8, canonical, parse, serialize
from trust.xml_names import DS, SAML, SOAP12, WSSE, WSU, WSU_ID
from trust.xmldsig import SignaturePolicy, VerifiedBytes, verify

_SIGNATURE = f"{{{DS}}}Signature"
_LIMITS = XmlLimits(max_bytes=1 << 16, max_elements=2000, max_attributes=4000)
_LAX = SignaturePolicy(allow_sha1=True, min_rsa_bits=1024)
_AUDIENCES = frozenset({"https://node.example/xca"})
_STRICT = SecurityPolicy(assertion=AssertionPolicy(audiences=_AUDIENCES))
_TOLERANT = SecurityPolicy(
    assertion=AssertionPolicy(
        audiences=_AUDIENCES,
        required=(),
        issuer_formats=None,
        organization_id_forms=frozenset({"oid", "directory"}),
        max_lifetime=timedelta(days=3660),
        one_role=False,
        one_purpose=False,
        one_authn_context=False,
        require_authn=False,
        methods=frozenset(
            f"urn:oasis:names:tc:SAML:2.0:cm:{m}" for m in ("holder-of-key", "bearer")
        ),
    ),
    signature=_LAX,
    require_signed_timestamp=False,
    max_timestamp_age=timedelta(days=3660),
)
_PLAIN = etree.XMLParser(
    encoding="utf-8", resolve_entities=False, no_network=True, load_dtd=False, collect_ids=False
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Proved:
    octets: frozenset[bytes]
    claims: tuple[XuaClaims, ...]


@cache
def _known() -> dict[str, _Proved]:
    """By key, everything that the originals prove."""
    octets: dict[str, set[bytes]] = {}
    claims: dict[str, list[XuaClaims]] = {}
    for data in originals("signature-*.xml"):
        for proof, _, _ in _proofs(parse(data)):
            octets.setdefault(spki_sha256(proof.key), set()).add(proof.octets)
    for data in originals("security-*.xml"):
        proof = verify_security(parse(data), policy=_STRICT, now=NOW)
        claims.setdefault(spki_sha256(proof.signer_key), []).append(proof.claims)
        for part, element, _ in _header_proofs(parse(data), proof):
            assert element is not None
            octets.setdefault(spki_sha256(part.key), set()).add(part.octets)
    return {
        key: _Proved(octets=frozenset(octets[key]), claims=tuple(claims.get(key, ())))
        for key in octets
    }


def _pairs(root: etree._Element) -> Iterable[tuple[etree._Element, etree._Element, str]]:
    """Signatures with the elements that a caller might rely on."""
    for signature in list(root.iter(_SIGNATURE))[:3]:
        parent = signature.getparent()
        if parent is None:
            continue
        for id_attribute in ("ID", WSU_ID):
            yield parent, signature, id_attribute
            for sibling in list(parent)[:6]:
                if isinstance(sibling.tag, str):
                    yield sibling, signature, id_attribute


Proof = tuple[VerifiedBytes, etree._Element, etree._Element]


def _proofs(root: etree._Element, refusals: list[str] | None = None) -> list[Proof]:
    found: list[Proof] = []
    for element, signature, id_attribute in _pairs(root):
        try:
            proof = verify(element, signature, id_attribute=id_attribute, policy=_LAX)
        except TrustError as error:
            if refusals is not None:
                refusals.append(error.code)
        else:
            found.append((proof, element, signature))
    return found


def _header_proofs(root: etree._Element, header: VerifiedSecurity) -> list[Proof]:
    """The two proofs of a Security header that holds, made again one by one."""
    security = next(root.iterfind(f"{{{SOAP12}}}Header/{{{WSSE}}}Security"))
    assertion = next(security.iterchildren(f"{{{SAML}}}Assertion"))
    stamp = next(security.iterchildren(f"{{{WSU}}}Timestamp"))
    pairs = [(assertion, assertion.find(_SIGNATURE), "ID", header.signer_key)]
    if header.timestamp_signature is not None and header.holder_key is not None:
        pairs.append((stamp, security.find(_SIGNATURE), WSU_ID, header.holder_key))
    return [
        (
            verify(element, signature, id_attribute=name, keys=(key,), policy=_LAX),
            element,
            signature,
        )
        for element, signature, name, key in pairs
    ]


def _agree(
    data: bytes, proof: VerifiedBytes, element: etree._Element, signature: etree._Element
) -> None:
    """Libxmlsec verifies the same signature over the same element by the same key.

    A document with a relative namespace is left out: libxmlsec stumbles over one anywhere in the
    signature that it removes, which is not signed.
    """
    try:
        canonical(element.getroottree().getroot())
    except TrustError:
        return
    ours = list(element.getroottree().iter("*"))
    theirs = list(etree.fromstring(_utf8(data), _PLAIN).iter("*"))
    its_element, its_signature = theirs[ours.index(element)], theirs[ours.index(signature)]
    own = signature[0][2].get("URI", "")[1:]
    name = next(n for n in ("ID", WSU_ID) if element.get(n) == own)
    context = xmlsec.SignatureContext()
    pem = proof.key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    context.key = xmlsec.Key.from_memory(pem, xmlsec.KeyFormat.PEM)
    space, _, local = name.rpartition("}")
    context.register_id(its_element, local, space[1:] or None)
    try:
        context.verify(its_signature)
    except xmlsec.Error as error:
        hold(False, f"libxmlsec refuses what we accept: {error}")


def _check_proofs(data: bytes, proofs: list[Proof]) -> None:
    for proof, element, signature in proofs:
        known = _known().get(spki_sha256(proof.key))
        if known is not None:
            hold(proof.octets in known.octets, "a changed document was proved by an honest key")
        hold(proof.element.getparent() is None, "a proof must not lead back into the message")
        _agree(data, proof, element, signature)


def check_signature(data: bytes) -> str:
    """Every signature of a document against every element near it."""
    try:
        root = parse(data, limits=_LIMITS)
    except TrustError as error:
        return error.code
    before = serialize(root)
    refusals: list[str] = []
    proofs = _proofs(root, refusals)
    hold(serialize(root) == before, "verifying changed the message")
    _check_proofs(data, proofs)
    if proofs:
        return "accepted"
    return min(refusals, key=_depth, default="no-signature")


def _depth(code: str) -> int:
    """How far a refused signature came; the furthest first."""
    order = ("signature-invalid", "signature-key", "key-info-mismatch", "signature-no-key")
    return order.index(code) if code in order else len(order)


def check_security(data: bytes) -> str:
    """A message's Security header, by the strict policy and by the most tolerant one."""
    try:
        root = parse(data, limits=_LIMITS)
    except TrustError as error:
        return error.code
    strict, tolerant = _prove(root, _STRICT), _prove(root, _TOLERANT)
    hold(
        isinstance(tolerant, VerifiedSecurity) or not isinstance(strict, VerifiedSecurity),
        "the tolerant policy refuses what the strict one accepts",
    )
    for proof in (strict, tolerant):
        if isinstance(proof, VerifiedSecurity):
            _check_header(data, root, proof)
    first = strict if isinstance(strict, str) else "accepted"
    second = tolerant if isinstance(tolerant, str) else "accepted"
    return first if first == second else f"{first}+{second}"


def _prove(root: etree._Element, policy: SecurityPolicy) -> VerifiedSecurity | str:
    try:
        return verify_security(root, policy=policy, now=NOW)
    except TrustError as error:
        hold(bool(fault_subcode(error)) and bool(error.advice), "an error without its row")
        return error.code


def _check_header(data: bytes, root: etree._Element, proof: VerifiedSecurity) -> None:
    _check_proofs(data, _header_proofs(root, proof))
    known = _known().get(spki_sha256(proof.signer_key))
    if known is not None:
        hold(proof.claims in known.claims, "claims that the honest signer never made")
    if proof.timestamp_signature is None:
        hold("timestamp-unsigned" in proof.deviations, "an unsigned Timestamp without a deviation")
    evidence = parse(proof.evidence)
    again = verify(evidence, evidence.find(_SIGNATURE), keys=(proof.signer_key,), policy=_LAX)
    hold(again.key == proof.signer_key, "the evidence does not stand on its own")


def _mutate(data: bytes, random: Random, byte_mutate: MutateBytes) -> bytes:
    return mutate_xml(data, random, byte_mutate)


SIGNATURE = Target(
    name="signature",
    check=check_signature,
    seeds=lambda: originals("signature-*.xml"),
    mutate=_mutate,
    max_bytes=16 * 1024,
    weight=4,
)
SECURITY = replace(
    SIGNATURE,
    name="security",
    check=check_security,
    seeds=lambda: originals("security-*.xml"),
    max_bytes=32 * 1024,
)
