"""The wsse:Security header: Timestamp, assertion, and the signature that endorses the Timestamp.

Writing follows facts ihe-wire 8.1 exactly. Reading goes by names, not by order, and trusts nothing
before it is proved: exactly one Security header for us, one Assertion, one Timestamp, one endorsing
signature in it; the assertion's signature covers that assertion and the endorsing one that
Timestamp; the endorsing key is the assertion's holder-of-key key. Claims are then read from the
verified octets only (DESIGN, law 2). What is *not* decided here: whose keys these are. The result
names the keys and certificates for the binding step (facts: pki A8).

An unauthenticated peer must not learn which check failed: answer with ``fault_subcode(error)`` and
a constant reason, and log the code.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache

from cryptography import x509
from lxml import etree

from trust.errors import TrustError, error_table
from trust.key_info import KeyHint
from trust.keys import PublicKey
from trust.saml_check import AssertionPolicy, check_assertion
from trust.saml_claims import Assertion, XuaClaims, saml_table
from trust.saml_read import read_assertion, read_time
from trust.wssecurity_write import (
    build_response_security,
    build_security,
    read_signature_confirmation,
)
from trust.xml import first_named, named, serialize, text
from trust.xml_names import (
    DS,
    SAML,
    SOAP12,
    WSSE,
    WSU,
    WSU_ID,
)
from trust.xmldsig import SignaturePolicy, VerifiedBytes, verify

__all__ = [
    "SecurityPolicy",
    "VerifiedSecurity",
    "build_response_security",
    "build_security",
    "claimed_home_community_id",
    "fault_subcode",
    "read_signature_confirmation",
    "verify_security",
]

_SECURITY = f"{{{WSSE}}}Security"
_TIMESTAMP = f"{{{WSU}}}Timestamp"
_ASSERTION = f"{{{SAML}}}Assertion"
_STATEMENT = f"{{{SAML}}}AttributeStatement"
_ATTRIBUTE = f"{{{SAML}}}Attribute"
_VALUE = f"{{{SAML}}}AttributeValue"
_SIGNATURE = f"{{{DS}}}Signature"
_KEY_INFO = f"{{{DS}}}KeyInfo"
_KEY_IDENTIFIER = f"{{{DS}}}KeyInfo/{{{WSSE}}}SecurityTokenReference/{{{WSSE}}}KeyIdentifier"
_HEADER = f"{{{SOAP12}}}Header"
_ENVELOPE = f"{{{SOAP12}}}Envelope"
_DEFAULT_FAULT = "wsse:InvalidSecurity"


@dataclass(frozen=True, slots=True, kw_only=True)
class SecurityPolicy:
    """What is demanded of a Security header.

    Attributes:
        assertion: the rules for the assertion.
        signature: accepted algorithms and key sizes.
        require_signed_timestamp: refuse a Timestamp that the holder-of-key key did not sign.
        max_timestamp_age: longest Created to Expires.
    """

    assertion: AssertionPolicy = field(default_factory=AssertionPolicy)
    signature: SignaturePolicy = field(default_factory=SignaturePolicy)
    require_signed_timestamp: bool = True
    max_timestamp_age: timedelta = timedelta(minutes=20)


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedSecurity:
    """A Security header that holds; keys are proved to have signed, not yet whose they are.

    Attributes:
        claims: who asks, read from verified bytes.
        assertion: the whole assertion as read.
        assertion_id: its ID.
        signer_key: the key that signed the assertion.
        signer_certificate: its certificate, where sent.
        signer_certificates: all certificates sent with it.
        holder_key: the holder-of-key key, which signed the Timestamp (``None`` for bearer).
        holder_certificate: its certificate, where sent.
        created: the Timestamp's Created.
        expires: the Timestamp's Expires.
        received: the assertion's element in the message; claims are never read from it.
        deviations: names of tolerated deviations.
        replay_key: 32 bytes for :class:`trust.replay.ReplayCache`.
        not_on_or_after: when both assertion and Timestamp have not yet expired any more.
        timestamp_signature: value of the endorsing signature, for SignatureConfirmation.
    """

    claims: XuaClaims
    assertion: Assertion
    assertion_id: str
    signer_key: PublicKey
    signer_certificate: x509.Certificate | None
    signer_certificates: tuple[x509.Certificate, ...]
    holder_key: PublicKey | None
    holder_certificate: x509.Certificate | None
    created: datetime
    expires: datetime
    received: etree._Element = field(repr=False, compare=False)
    deviations: tuple[str, ...]
    replay_key: bytes
    not_on_or_after: datetime
    timestamp_signature: bytes | None

    @property
    def evidence(self) -> bytes:
        """The assertion as received, signature included, verifiable on its own (QTF-503)."""
        return serialize(self.received)


def fault_subcode(error: TrustError) -> str:
    """The QName to answer with, ``wsse:...`` or ``wsu:...`` (or ``env:...`` for XML errors)."""
    return str(error_table("trust")[error.code].get("fault", _DEFAULT_FAULT))


def verify_security(
    envelope: etree._Element,
    *,
    policy: SecurityPolicy,
    now: datetime,
    keys: Sequence[PublicKey] = (),
) -> VerifiedSecurity:
    """Prove the Security header of a request.

    Args:
        envelope: the root as :func:`trust.xml.parse` returned it, not serialised in between.
        policy: what is demanded.
        now: the current time, aware.
        keys: keys pinned for the peer, for an assertion whose signature names none.

    Raises:
        TrustError: see ``data/errors.toml``; ``fault_subcode`` gives the answer's subcode.
    """
    security = _only_security(envelope)
    timestamp = _one(security, _TIMESTAMP, "security-timestamp")
    element = _one(security, _ASSERTION, "security-assertion")
    signature = first_named(element, _SIGNATURE)
    if signature is None:
        raise TrustError("signature-missing", "The assertion is not signed.")
    deviations: set[str] = set()
    verified = verify(
        element,
        signature,
        keys=keys or _stated_holder(element, deviations, signature),
        policy=policy.signature,
    )
    if not verified.enveloped_transform:
        raise TrustError("signature-malformed", "The assertion's signature is not enveloped.")
    assertion = read_assertion(verified.element)
    findings = check_assertion(assertion, policy.assertion, now=now)
    if findings:
        detail = ", ".join(each.code for each in findings)
        raise TrustError(findings[0].code, findings[0].sentence, detail=detail)
    holder = _holder(assertion)
    endorsed = _endorsement(security, timestamp, assertion, holder, policy, deviations)
    stamp = timestamp if endorsed is None else endorsed.element
    created, expires = _times(stamp, policy, now)
    ends = [expires, *([assertion.not_on_or_after] if assertion.not_on_or_after else [])]
    if verified.weak or (endorsed is not None and endorsed.weak):
        deviations.add("sha1-signature")
    return VerifiedSecurity(
        claims=assertion.claims,
        assertion=assertion,
        assertion_id=assertion.id,
        signer_key=verified.key,
        signer_certificate=verified.certificate,
        signer_certificates=verified.certificates,
        holder_key=None if holder is None else holder.key,
        holder_certificate=None if holder is None else holder.certificate,
        created=created,
        expires=expires,
        received=element,
        deviations=tuple(sorted(deviations.union(assertion.deviations))),
        replay_key=_replay_key(assertion, verified, endorsed),
        not_on_or_after=min(ends),
        timestamp_signature=None if endorsed is None else endorsed.value,
    )


def claimed_home_community_id(envelope: etree._Element) -> str | None:
    """The HCID that a message *says* it comes from, unproved: for the ledger of refusals only."""
    header = first_named(envelope, _HEADER)
    security = None if header is None else first_named(header, _SECURITY)
    assertion = None if security is None else first_named(security, _ASSERTION)
    if assertion is None:
        return None
    names = _home_community_names()
    for statement in assertion.iterchildren(_STATEMENT):
        for attribute in statement.iterchildren(_ATTRIBUTE):
            value = first_named(attribute, _VALUE) if attribute.get("Name") in names else None
            if value is not None:
                return text(value)[:64] or None
    return None


@lru_cache(maxsize=1)
def _home_community_names() -> frozenset[str]:
    return frozenset(saml_table()["attribute"]["home_community_id"]["names"])


def _only_security(envelope: etree._Element) -> etree._Element:
    headers = named(envelope, _HEADER)
    if envelope.tag != _ENVELOPE or len(headers) != 1:
        raise TrustError(
            "security-missing", "The message is not a SOAP 1.2 envelope with a header."
        )
    found = named(headers[0], _SECURITY)
    if not found:
        raise TrustError("security-missing", "The message has no Security header.")
    if len(found) > 1:
        raise TrustError("security-ambiguous", "The message has more than one Security header.")
    return found[0]


def _one(security: etree._Element, tag: str, missing: str) -> etree._Element:
    found = named(security, tag)
    name = tag.rpartition("}")[2]
    if not found:
        raise TrustError(missing, f"The Security header has no {name}.")
    if len(found) > 1:
        raise TrustError("security-ambiguous", f"The Security header has more than one {name}.")
    return found[0]


def _stated_holder(
    element: etree._Element, deviations: set[str], signature: etree._Element
) -> Sequence[PublicKey]:
    """The holder-of-key key, where the signature itself names no key.

    It is as unproved as a KeyInfo is, and is put to the same test: does the signature fit it?
    """
    if first_named(signature, _KEY_INFO) is not None:
        return ()
    stated = _holder(read_assertion(element))
    if stated is None:
        return ()
    deviations.add("assertion-without-key-info")
    return (stated.key,)


def _holder(assertion: Assertion) -> KeyHint | None:
    method = saml_table()["confirmation"]["holder_of_key"]
    found = [each.key for each in assertion.confirmations if each.method == method and each.key]
    if len(found) > 1:
        raise TrustError("security-ambiguous", "The assertion names several holders of the key.")
    return found[0] if found else None


def _endorsement(  # noqa: PLR0917 -- one private call site
    security: etree._Element,
    timestamp: etree._Element,
    assertion: Assertion,
    holder: KeyHint | None,
    policy: SecurityPolicy,
    deviations: set[str],
) -> VerifiedBytes | None:
    signatures = named(security, _SIGNATURE)
    if not signatures and not policy.require_signed_timestamp:
        deviations.add("timestamp-unsigned")
        return None
    if not signatures:
        raise TrustError("signature-missing", "The Timestamp is not signed.")
    if len(signatures) > 1:
        raise TrustError("security-ambiguous", "The Security header has several signatures.")
    if holder is None:
        raise TrustError("holder-of-key", "The assertion names no key that may sign the Timestamp.")
    endorsed = verify(
        timestamp,
        signatures[0],
        id_attribute=WSU_ID,
        keys=(holder.key,),
        policy=policy.signature,
    )
    if endorsed.key != holder.key:
        raise TrustError(
            "holder-of-key", "The Timestamp was signed by another key than the assertion names."
        )
    identifier = signatures[0].find(_KEY_IDENTIFIER)
    if identifier is None:
        deviations.add("timestamp-without-token-reference")
    elif text(identifier).removeprefix("#") != assertion.id:
        raise TrustError("holder-of-key", "The Timestamp's signature refers to another assertion.")
    if endorsed.enveloped_transform:
        deviations.add("timestamp-enveloped-transform")
    return endorsed


def _times(
    timestamp: etree._Element, policy: SecurityPolicy, now: datetime
) -> tuple[datetime, datetime]:
    moments = []
    for name in ("Created", "Expires"):
        found = named(timestamp, f"{{{WSU}}}{name}")
        moment = read_time(text(found[0])) if len(found) == 1 else None
        if moment is None:
            raise TrustError("security-timestamp", f"The Timestamp has no proper {name}.")
        moments.append(moment)
    created, expires = moments
    skew = policy.assertion.skew
    if expires <= created or expires - created > policy.max_timestamp_age:
        raise TrustError("security-timestamp", "The Timestamp is valid for too long or not at all.")
    if created > now + skew:
        raise TrustError("message-not-yet-valid", "The message was created in the future.")
    if now >= expires + skew:
        raise TrustError("message-expired", "The message has expired.")
    return created, expires


def _replay_key(
    assertion: Assertion, verified: VerifiedBytes, endorsed: VerifiedBytes | None
) -> bytes:
    # The signed octets, not the signature value: for every ECDSA signature (r, s) its twin (r, n-s)
    # verifies as well, so that anybody could make a "new" message out of an old one.
    digest = hashlib.sha256()
    octets = verified.octets if endorsed is None else endorsed.octets
    for part in (assertion.id.encode(), octets):
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.digest()
