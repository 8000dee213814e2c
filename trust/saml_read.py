"""Reading an assertion, liberally: real peers deviate, and each tolerated deviation has a name.

Give it only the tree of :class:`trust.xmldsig.VerifiedBytes` (DESIGN, law 2). Nothing is judged
here; :mod:`trust.saml_check` does that.

Deviations named here (facts: ihe-wire 8.3, 12, 13): ``attribute-name-variant``,
``coded-value-without-namespace``, ``coded-value-without-type``, ``home-community-id-bare``,
``name-format-variant``, ``purpose-for-use-spelling``, ``repeated-attribute``,
``several-attribute-statements``, ``several-confirmations``, ``time-without-zone``,
``code-system-as-urn``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from lxml import etree

from trust.errors import TrustError
from trust.key_info import KeyHint, read_key_info
from trust.saml_claims import (
    Assertion,
    AuthnStatement,
    AuthzDecision,
    CodedClaim,
    Confirmation,
    RawAttribute,
    XuaClaims,
    saml_table,
)
from trust.xml import first_named, named, text
from trust.xml_names import DS, HL7, SAML, XSI

MAX_ATTRIBUTES = 200
MAX_VALUES = 200
MAX_CONFIRMATIONS = 8

_S = f"{{{SAML}}}"
_SUBJECT = f"{_S}Subject"
_CONFIRMATION = f"{_S}SubjectConfirmation"
_CONFIRMATION_DATA = f"{_S}SubjectConfirmationData"
_RESTRICTION = f"{_S}AudienceRestriction"
_AUDIENCE = f"{_S}Audience"
_AUTHN = f"{_S}AuthnStatement"
_CONTEXT = f"{_S}AuthnContext"
_CLASS_REF = f"{_S}AuthnContextClassRef"
_LOCALITY = f"{_S}SubjectLocality"
_AUTHZ = f"{_S}AuthzDecisionStatement"
_STATEMENT = f"{_S}AttributeStatement"
_ATTRIBUTE = f"{_S}Attribute"
_VALUE = f"{_S}AttributeValue"
_KEY_INFO = f"{{{DS}}}KeyInfo"
_CONDITIONS = frozenset({_RESTRICTION, f"{_S}OneTimeUse", f"{_S}ProxyRestriction"})
_TYPE = f"{{{XSI}}}type"
_OID = re.compile(r"[0-2](\.(0|[1-9][0-9]*))+")
_TIME = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2})(\.[0-9]{1,12})?"
    r"(Z|[+-][0-9]{2}:[0-9]{2})?"
)


def read_time(value: str | None) -> datetime | None:
    """An xs:dateTime in UTC; one without zone counts as UTC; ``None`` when it is not one."""
    match = _TIME.fullmatch((value or "").strip())
    if match is None:
        return None
    second, fraction, zone = match.groups()
    try:
        moment = datetime.fromisoformat(f"{second}{(fraction or '')[:7]}{zone or 'Z'}")
        return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def read_assertion(element: etree._Element) -> Assertion:
    """Read a verified assertion.

    Args:
        element: the ``saml2:Assertion`` of :class:`trust.xmldsig.VerifiedBytes`.

    Raises:
        TrustError: ``assertion-malformed`` when it is no assertion or exceeds a count,
            ``signature-malformed``, ``signature-key`` or ``key-info-mismatch`` for a
            holder-of-key KeyInfo that is none.
    """
    if element.tag != f"{_S}Assertion":
        raise _malformed("What was signed is not a SAML 2.0 assertion.")
    if _has_instructions()(element):
        raise _malformed("The assertion holds processing instructions.")
    reader = _Reader()
    conditions = _only(element, "Conditions")
    claims = reader.claims(element)
    confirmations = reader.confirmations(element)
    not_before, not_on_or_after = (
        (None, None)
        if conditions is None
        else (
            reader.time(conditions, "NotBefore"),
            reader.time(conditions, "NotOnOrAfter"),
        )
    )
    return Assertion(
        id=str(element.get("ID", "")),
        version=str(element.get("Version", "")),
        issue_instant=reader.time(element, "IssueInstant"),
        not_before=not_before,
        not_on_or_after=not_on_or_after,
        audiences=_audiences(conditions),
        unknown_conditions=conditions is not None
        and any(each.tag not in _CONDITIONS for each in conditions),
        confirmations=confirmations,
        claims=claims,
        conflicts=tuple(sorted(reader.conflicts)),
        deviations=tuple(sorted(reader.deviations)),
    )


@lru_cache(maxsize=1)
def _has_instructions() -> etree.XPath:
    return etree.XPath("boolean(descendant::processing-instruction())")


class _Reader:
    """Collects deviations and conflicts while the parts of one assertion are read."""

    def __init__(self) -> None:
        self.deviations: set[str] = set()
        self.conflicts: set[str] = set()

    def time(self, element: etree._Element, name: str) -> datetime | None:
        value = element.get(name)
        if value is None:
            return None
        moment = read_time(value)
        if moment is None:
            # A limit that cannot be read must not become "no limit".
            raise _malformed(f"The assertion's {name} is not a time.")
        if not value.strip().endswith("Z") and not re.search(r"[+-]\d\d:\d\d$", value.strip()):
            self.deviations.add("time-without-zone")
        return moment

    def claims(self, element: etree._Element) -> XuaClaims:
        issuer = _only(element, "Issuer")
        subject = _only(element, "Subject")
        name = None if subject is None else _only(subject, "NameID")
        fields = self.attributes(element)
        return XuaClaims(
            issuer=_text(issuer),
            issuer_format=None if issuer is None else issuer.get("Format"),
            name_id=_text(name),
            name_id_format=None if name is None else name.get("Format"),
            authn=tuple(self.authn(each) for each in named(element, _AUTHN)),
            authz=tuple(_authz(each) for each in named(element, _AUTHZ)[:MAX_VALUES]),
            **fields,
        )

    def authn(self, element: etree._Element) -> AuthnStatement:
        contexts = named(element, _CONTEXT)
        locality = first_named(element, _LOCALITY)
        classes = [each for one in contexts for each in named(one, _CLASS_REF)]
        return AuthnStatement(
            instant=read_time(element.get("AuthnInstant")),
            context_classes=tuple(text(each) for each in classes[:MAX_VALUES]),
            contexts=len(contexts),
            session_index=element.get("SessionIndex"),
            session_not_on_or_after=self.time(element, "SessionNotOnOrAfter"),
            address=None if locality is None else locality.get("Address"),
            dns_name=None if locality is None else locality.get("DNSName"),
        )

    def confirmations(self, element: etree._Element) -> tuple[Confirmation, ...]:
        found = [c for one in named(element, _SUBJECT) for c in named(one, _CONFIRMATION)]
        if len(found) > MAX_CONFIRMATIONS:
            raise _malformed("The assertion has too many subject confirmations.")
        if len(found) > 1:
            self.deviations.add("several-confirmations")
        return tuple(self.confirmation(each) for each in found)

    def confirmation(self, element: etree._Element) -> Confirmation:
        method = str(element.get("Method", ""))
        data = first_named(element, _CONFIRMATION_DATA)
        if data is None:
            return Confirmation(method=method)
        hints: list[KeyHint] = []
        for key_info in named(data, _KEY_INFO):
            hint = read_key_info(key_info)
            if hint is not None:
                hints.append(hint)
        if len(hints) > 1:
            raise _malformed("The assertion names more than one holder-of-key key.")
        return Confirmation(
            method=method,
            key=hints[0] if hints else None,
            not_before=self.time(data, "NotBefore"),
            not_on_or_after=self.time(data, "NotOnOrAfter"),
        )

    def attributes(self, element: etree._Element) -> dict[str, Any]:
        statements = named(element, _STATEMENT)
        if len(statements) > 1:
            self.deviations.add("several-attribute-statements")
        found = [each for one in statements for each in named(one, _ATTRIBUTE)]
        if len(found) > MAX_ATTRIBUTES:
            raise _malformed("The assertion has too many attributes.")
        fields: dict[str, Any] = {}
        other: list[RawAttribute] = []
        for attribute in found:
            name = str(attribute.get("Name", ""))
            values = named(attribute, _VALUE)
            if len(values) > MAX_VALUES:
                raise _malformed("An attribute of the assertion has too many values.")
            field = _fields_by_name().get(name)
            if field is None:
                other.append(_raw(attribute, name, values))
                continue
            row = saml_table()["attribute"][field]
            if name != row["names"][0]:
                self.deviations.add("attribute-name-variant")
            if attribute.get("NameFormat", _uri_format()) != _uri_format():
                self.deviations.add("name-format-variant")
            self.take(fields, field, row, values)
        fields["other"] = tuple(other)
        return fields

    def take(
        self,
        fields: dict[str, Any],
        field: str,
        row: Mapping[str, Any],
        values: list[etree._Element],
    ) -> None:
        if row["kind"] == "code":
            codes = [code for value in values for code in self.codes(value, row["elements"])]
            fields[field] = (*fields.get(field, ()), *codes)
            return
        texts = [content for value in values if (content := text(value))]
        if row["kind"] == "texts":
            fields[field] = (*fields.get(field, ()), *texts)
            return
        for content in texts:
            one = self.home(content) if field == "home_community_id" else content
            if field in fields:
                self.deviations.add("repeated-attribute")
                if fields[field] != one:
                    self.conflicts.add(field)
            else:
                fields[field] = one

    def codes(self, value: etree._Element, names: list[str]) -> list[CodedClaim]:
        codes = []
        for child in value:
            namespace, _, local = child.tag.rpartition("}")
            if local not in names:
                continue
            if local != names[0]:
                self.deviations.add("purpose-for-use-spelling")
            if namespace[1:] != HL7:
                self.deviations.add("coded-value-without-namespace")
            if child.get(_TYPE) is None:
                self.deviations.add("coded-value-without-type")
            system = child.get("codeSystem")
            if system is not None and system.startswith("urn:oid:"):
                self.deviations.add("code-system-as-urn")
                system = system.removeprefix("urn:oid:")
            codes.append(
                CodedClaim(
                    code=str(child.get("code", "")).strip(),
                    system=system or None,
                    system_name=child.get("codeSystemName") or None,
                    display=child.get("displayName") or None,
                )
            )
        return codes

    def home(self, value: str) -> str:
        if _OID.fullmatch(value):
            self.deviations.add("home-community-id-bare")
            return f"urn:oid:{value}"
        return value


@lru_cache
def _fields_by_name() -> Mapping[str, str]:
    rows = saml_table()["attribute"].items()
    return {name: field for field, row in rows for name in row["names"]}


@lru_cache
def _uri_format() -> str:
    return str(saml_table()["name_format"]["uri"])


def _raw(attribute: etree._Element, name: str, values: list[etree._Element]) -> RawAttribute:
    return RawAttribute(
        name=name,
        friendly_name=attribute.get("FriendlyName"),
        name_format=attribute.get("NameFormat"),
        values=tuple(text(value) for value in values),
    )


def _authz(element: etree._Element) -> AuthzDecision:
    names = saml_table()["authz"]
    policies: dict[str, list[str]] = {names["acp"]: [], names["iacp"]: []}
    for attribute in element.iterfind(f"{_S}Evidence/{_S}Assertion/{_S}AttributeStatement/*"):
        wanted = policies.get(str(attribute.get("Name")))
        if wanted is not None:
            values = named(attribute, _VALUE)[:MAX_VALUES]
            wanted.extend(content for value in values if (content := text(value)))
    return AuthzDecision(
        decision=str(element.get("Decision", "")),
        resource=str(element.get("Resource", "")),
        access_consent_policies=tuple(policies[names["acp"]]),
        instance_access_consent_policies=tuple(policies[names["iacp"]]),
    )


def _audiences(conditions: etree._Element | None) -> tuple[tuple[str, ...], ...]:
    if conditions is None:
        return ()
    restrictions = named(conditions, _RESTRICTION)
    audiences = tuple(tuple(text(each) for each in named(one, _AUDIENCE)) for one in restrictions)
    if len(audiences) + sum(map(len, audiences)) > MAX_VALUES:
        raise _malformed("The assertion has too many audiences.")
    return audiences


def _only(element: etree._Element, name: str) -> etree._Element | None:
    found = named(element, f"{_S}{name}")
    if len(found) > 1:
        raise _malformed(f"The assertion has more than one {name}.")
    return found[0] if found else None


def _text(element: etree._Element | None) -> str | None:
    return None if element is None else text(element) or None


def _malformed(sentence: str) -> TrustError:
    return TrustError("assertion-malformed", sentence)
