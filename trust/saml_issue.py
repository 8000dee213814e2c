"""Writing an assertion: strict, complete, signed (facts: ihe-wire 8.1 to 8.3, tefca 4.4)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from cryptography import x509
from lxml import etree

from trust.errors import TrustError
from trust.key_info import key_info_xml
from trust.saml_check import AssertionPolicy, check_claims
from trust.saml_claims import AuthnStatement, AuthzDecision, CodedClaim, XuaClaims, saml_table
from trust.signer import Signer
from trust.xml import parse
from trust.xml_names import DS, HL7, SAML, XS, XSI
from trust.xml_signing import NCNAME, sign_enveloped

DEFAULT_LIFETIME = timedelta(minutes=5)
"""Long enough for one attempt; each retry is signed anew (facts: ihe-wire 8.2)."""

_S = f"{{{SAML}}}"
_TYPE = f"{{{XSI}}}type"
_NAMESPACES = {"saml2": SAML, "xs": XS, "xsi": XSI}


def write_time(moment: datetime) -> str:
    """UTC with milliseconds and ``Z``, as the profile's peers write it."""
    if moment.tzinfo is None:
        raise ValueError("time must be aware")
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def issue(
    claims: XuaClaims,
    *,
    signer: Signer,
    holder_of_key: x509.Certificate,
    audience: str | None,
    now: datetime,
    assertion_id: str,
    lifetime: timedelta = DEFAULT_LIFETIME,
    policy: AssertionPolicy | None = None,
) -> etree._Element:
    """A signed assertion that confirms its subject by holder-of-key.

    Args:
        claims: what to assert; without an AuthnStatement one is written with X.509 at ``now``.
        signer: signs the assertion.
        holder_of_key: certificate of the key that will sign the Timestamp.
        audience: the endpoint that is asked (or the name agreed with it), if any.
        now: the time of issue.
        assertion_id: a fresh NCName, never used before.
        lifetime: from ``now`` to NotOnOrAfter.
        policy: the rules our own claims must meet; the strict default.

    Raises:
        TrustError: ``claims-incomplete`` when the claims break a rule or cannot be written.
    """
    findings = check_claims(claims, policy or AssertionPolicy())
    if findings or not NCNAME.fullmatch(assertion_id):
        raise TrustError(
            "claims-incomplete",
            "What is to be asserted is incomplete or wrong.",
            detail="; ".join(each.sentence for each in findings) or "assertion id",
        )
    try:
        assertion = _assertion(
            claims, assertion_id, holder_of_key, audience=audience, valid=(now, now + lifetime)
        )
    except ValueError:  # lxml: characters that XML cannot hold
        raise TrustError(
            "claims-incomplete",
            "What is to be asserted holds characters that XML cannot carry.",
        ) from None
    sign_enveloped(assertion, signer=signer, position=1)
    return assertion


def _assertion(
    claims: XuaClaims,
    assertion_id: str,
    holder_of_key: x509.Certificate,
    *,
    audience: str | None,
    valid: tuple[datetime, datetime],
) -> etree._Element:
    now = valid[0]
    root = etree.Element(f"{_S}Assertion", nsmap=_NAMESPACES)
    root.set("ID", assertion_id)
    root.set("IssueInstant", write_time(now))
    root.set("Version", "2.0")
    _named(root, "Issuer", claims.issuer or "", claims.issuer_format)
    subject = etree.SubElement(root, f"{_S}Subject")
    _named(subject, "NameID", claims.name_id or "", claims.name_id_format)
    confirmation = etree.SubElement(subject, f"{_S}SubjectConfirmation")
    confirmation.set("Method", str(saml_table()["confirmation"]["holder_of_key"]))
    data = etree.SubElement(confirmation, f"{_S}SubjectConfirmationData")
    key_info = key_info_xml(holder_of_key).replace("<ds:KeyInfo>", f'<ds:KeyInfo xmlns:ds="{DS}">')
    data.append(parse(key_info.encode("ascii")))
    conditions = _conditions(root, valid)
    if audience is not None:
        restriction = etree.SubElement(conditions, f"{_S}AudienceRestriction")
        etree.SubElement(restriction, f"{_S}Audience").text = audience
    default = AuthnStatement(instant=now, context_classes=(str(saml_table()["authn"]["x509"]),))
    for statement in claims.authn or (default,):
        _authn(root, statement)
    for decision in claims.authz:
        _authz(root, decision, claims, valid)
    _attributes(root, claims)
    return root


def _conditions(parent: etree._Element, valid: tuple[datetime, datetime]) -> etree._Element:
    conditions = etree.SubElement(parent, f"{_S}Conditions")
    conditions.set("NotBefore", write_time(valid[0]))
    conditions.set("NotOnOrAfter", write_time(valid[1]))
    return conditions


def _named(parent: etree._Element, tag: str, value: str, name_format: str | None) -> None:
    element = etree.SubElement(parent, f"{_S}{tag}")
    if name_format is not None:
        element.set("Format", name_format)
    element.text = value


def _authn(root: etree._Element, statement: AuthnStatement) -> None:
    element = etree.SubElement(root, f"{_S}AuthnStatement")
    if statement.instant is not None:
        element.set("AuthnInstant", write_time(statement.instant))
    if statement.session_index is not None:
        element.set("SessionIndex", statement.session_index)
    if statement.session_not_on_or_after is not None:
        element.set("SessionNotOnOrAfter", write_time(statement.session_not_on_or_after))
    if statement.address is not None or statement.dns_name is not None:
        locality = etree.SubElement(element, f"{_S}SubjectLocality")
        for name, value in (("Address", statement.address), ("DNSName", statement.dns_name)):
            if value is not None:
                locality.set(name, value)
    for each in statement.context_classes:
        context = etree.SubElement(element, f"{_S}AuthnContext")
        etree.SubElement(context, f"{_S}AuthnContextClassRef").text = each


def _authz(
    root: etree._Element,
    decision: AuthzDecision,
    claims: XuaClaims,
    valid: tuple[datetime, datetime],
) -> None:
    names = saml_table()["authz"]
    element = etree.SubElement(root, f"{_S}AuthzDecisionStatement")
    element.set("Decision", decision.decision)
    element.set("Resource", decision.resource)
    action = etree.SubElement(element, f"{_S}Action", Namespace=str(names["action_namespace"]))
    action.text = str(names["action"])
    inner = etree.SubElement(etree.SubElement(element, f"{_S}Evidence"), f"{_S}Assertion")
    place = len(root.findall(f"{_S}AuthzDecisionStatement"))
    inner.set("ID", f"{root.get('ID', '')[:200]}-evidence-{place}")
    inner.set("IssueInstant", write_time(valid[0]))
    inner.set("Version", "2.0")
    _named(inner, "Issuer", claims.issuer or "", claims.issuer_format)
    _conditions(inner, valid)
    statement = etree.SubElement(inner, f"{_S}AttributeStatement")
    for name, values in (
        (names["acp"], decision.access_consent_policies),
        (names["iacp"], decision.instance_access_consent_policies),
    ):
        if values:
            attribute = etree.SubElement(statement, f"{_S}Attribute")
            attribute.set("Name", str(name))
            attribute.set("NameFormat", str(saml_table()["name_format"]["authz"]))
            for value in values:
                _value(attribute, value, "string")


def _attributes(root: etree._Element, claims: XuaClaims) -> None:
    statement = etree.SubElement(root, f"{_S}AttributeStatement")
    for field, row in saml_table()["attribute"].items():
        content = getattr(claims, field)
        if not content:
            continue
        attribute = _attribute(statement, str(row["names"][0]), row.get("friendly_name"))
        if row["kind"] == "code":
            for code in content:
                _code(attribute, str(row["elements"][0]), code)
            continue
        for value in (content,) if isinstance(content, str) else content:
            _value(attribute, value, str(row.get("type", "string")))
    for raw in claims.other:
        attribute = _attribute(statement, raw.name, raw.friendly_name, raw.name_format)
        for value in raw.values:
            _value(attribute, value, "string")


def _attribute(
    statement: etree._Element,
    name: str,
    friendly_name: str | None,
    name_format: str | None = None,
) -> etree._Element:
    attribute = etree.SubElement(statement, f"{_S}Attribute")
    if friendly_name is not None:
        attribute.set("FriendlyName", friendly_name)
    attribute.set("Name", name)
    attribute.set("NameFormat", name_format or str(saml_table()["name_format"]["uri"]))
    return attribute


def _value(attribute: etree._Element, value: str, kind: str) -> None:
    element = etree.SubElement(attribute, f"{_S}AttributeValue")
    element.set(_TYPE, f"xs:{kind}")
    element.text = value


def _code(attribute: etree._Element, tag: str, claim: CodedClaim) -> None:
    value = etree.SubElement(attribute, f"{_S}AttributeValue")
    element = etree.SubElement(value, f"{{{HL7}}}{tag}", nsmap={"hl7": HL7})
    element.set(_TYPE, "hl7:CE")
    element.set("code", claim.code)
    names = saml_table()["role"]["system_names"]
    system_name = claim.system_name or names.get(claim.system)
    for name, content in (
        ("codeSystem", claim.system),
        ("codeSystemName", system_name),
        ("displayName", claim.display),
    ):
        if content is not None:
            element.set(name, content)
