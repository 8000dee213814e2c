"""Writing the wsse:Security header of requests and responses exactly as facts ihe-wire 8.1 says."""

from __future__ import annotations

from datetime import datetime, timedelta
from xml.sax.saxutils import quoteattr

from lxml import etree

from trust.errors import TrustError
from trust.saml_check import AssertionPolicy
from trust.saml_claims import XuaClaims
from trust.saml_issue import DEFAULT_LIFETIME, issue, write_time
from trust.signer import Signer
from trust.xml import text
from trust.xml_names import SAML_ID_TYPE, SAML_TOKEN_TYPE, SOAP12, WSSE, WSSE11, WSU, WSU_ID
from trust.xml_signing import NCNAME, sign_detached

_CONFIRMATION = f"{{{WSSE11}}}SignatureConfirmation"


def build_security(
    claims: XuaClaims,
    *,
    signer: Signer,
    now: datetime,
    audience: str | None,
    assertion_id: str,
    timestamp_id: str,
    lifetime: timedelta = DEFAULT_LIFETIME,
    holder: Signer | None = None,
    policy: AssertionPolicy | None = None,
) -> etree._Element:
    """The ``wsse:Security`` header of a request.

    Args:
        claims: what to assert.
        signer: signs the assertion.
        now: the time of issue.
        audience: the endpoint that is asked, if the assertion is to name it.
        assertion_id: a fresh NCName.
        timestamp_id: a fresh NCName, different from the other.
        lifetime: of assertion and Timestamp.
        holder: the holder of the confirmation key; the signer itself by default.
        policy: the rules for our own claims; strict by default.

    Raises:
        TrustError: ``claims-incomplete``.
    """
    holder = holder or signer
    if not NCNAME.fullmatch(timestamp_id) or timestamp_id == assertion_id:
        raise TrustError("claims-incomplete", "The ids of a message must be different NCNames.")
    security = _security(now, timestamp_id, lifetime)
    assertion = issue(
        claims,
        signer=signer,
        holder_of_key=holder.certificate,
        audience=audience,
        now=now,
        assertion_id=assertion_id,
        lifetime=lifetime,
        policy=policy,
    )
    reference = (
        f'<ds:KeyInfo><wsse:SecurityTokenReference xmlns:wsse="{WSSE}" xmlns:wsse11="{WSSE11}" '
        f'wsse11:TokenType="{SAML_TOKEN_TYPE}"><wsse:KeyIdentifier ValueType="{SAML_ID_TYPE}">'
        f"{assertion_id}</wsse:KeyIdentifier></wsse:SecurityTokenReference></ds:KeyInfo>"
    )
    endorsement = sign_detached(security[0], signer=holder, id_attribute=WSU_ID, key_info=reference)
    security.append(assertion)
    security.append(endorsement)
    return security


def build_response_security(
    *,
    now: datetime,
    timestamp_id: str,
    confirms: str | None,
    lifetime: timedelta = DEFAULT_LIFETIME,
) -> bytes:
    """The ``wsse:Security`` header of a response: Timestamp and SignatureConfirmation.

    As XML that declares all its namespaces: nothing in it is signed, and every answer has one.

    Args:
        now: the time of issue.
        timestamp_id: a fresh NCName.
        confirms: base64 of the request's endorsing SignatureValue, if it had one.
        lifetime: of the Timestamp.
    """
    value = f" Value={quoteattr(confirms)}" if confirms is not None else ""
    return (
        f'<wsse:Security xmlns:wsse="{WSSE}" xmlns:wsu="{WSU}" xmlns:env="{SOAP12}"'
        f' env:mustUnderstand="true"><wsu:Timestamp wsu:Id={quoteattr(timestamp_id)}>'
        f"<wsu:Created>{write_time(now)}</wsu:Created>"
        f"<wsu:Expires>{write_time(now + lifetime)}</wsu:Expires></wsu:Timestamp>"
        f'<wsse11:SignatureConfirmation xmlns:wsse11="{WSSE11}"{value}/></wsse:Security>'
    ).encode()


def read_signature_confirmation(security: etree._Element) -> tuple[str, ...]:
    """The confirmed signature values of a response, as base64 without white space.

    A partner writes the value as a child element instead of ``@Value`` (facts: ihe-wire 8.1).
    """
    found = []
    for each in security.findall(_CONFIRMATION)[:16]:
        value = (
            each.get("Value")
            or "".join(text(child) for child in each.findall("*")[:1])
            or text(each)
        )
        if value:
            found.append("".join(value.split()))
    return tuple(found)


def _security(now: datetime, timestamp_id: str, lifetime: timedelta) -> etree._Element:
    security = etree.Element(f"{{{WSSE}}}Security", nsmap={"wsse": WSSE, "wsu": WSU, "env": SOAP12})
    security.set(f"{{{SOAP12}}}mustUnderstand", "true")
    timestamp = etree.SubElement(security, f"{{{WSU}}}Timestamp")
    timestamp.set(WSU_ID, timestamp_id)
    etree.SubElement(timestamp, f"{{{WSU}}}Created").text = write_time(now)
    etree.SubElement(timestamp, f"{{{WSU}}}Expires").text = write_time(now + lifetime)
    return security
