"""Judging an assertion: every rule that a claim must meet, in form and in meaning.

``check_claims`` returns findings, never raises: an empty tuple means acceptable. Each finding's
code is a row of ``data/errors.toml``. What differs between networks and partners is a switch of
:class:`AssertionPolicy`; the defaults are the strict reading (facts: ihe-wire 8.2 to 8.4, 17.1;
QTF-502, 504, 604). Which purposes exist is the caller's data; no purpose code stands here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache

from trust.saml_claims import Assertion, AuthnStatement, CodedClaim, XuaClaims, saml_table

MAX_SKEW = timedelta(minutes=5)

_OID = re.compile(r"[0-2](\.(0|[1-9][0-9]*))+")
_DIRECTORY_ID = re.compile(r"Organization/[A-Za-z0-9.-]{1,64}")
_CX = re.compile(r"[^\^]{1,256}\^\^\^[^&\^]*&([0-9.]+)&ISO(\^.*)?")
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+")
_DISTINGUISHED = re.compile(r"\s*[A-Za-z0-9.]+\s*=.+", re.DOTALL)
_WINDOWS = re.compile(r"[^\\\s]+\\[^\\]+")
_NPI = re.compile(r"[0-9]{10}")
_MAX_OID = 64

ORGANIZATION_BY_DIRECTORY = "directory"
"""``Organization/<directory id>``, the form of QTF-504."""
ORGANIZATION_BY_OID = "oid"
"""``urn:oid:...`` or a bare OID, the form of older networks."""

REQUIRED = (
    "subject_id",
    "organization",
    "organization_id",
    "home_community_id",
    "roles",
    "purposes",
    "name_id",
    "issuer",
)


@lru_cache
def _role_systems() -> frozenset[str]:
    return frozenset(saml_table()["role"]["systems"])


@lru_cache
def _formats() -> Mapping[str, str]:
    return dict(saml_table()["name_id_format"])


@lru_cache
def _holder_of_key() -> str:
    return str(saml_table()["confirmation"]["holder_of_key"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One rule that is not met; ``code`` is a row of ``data/errors.toml``, no value is quoted."""

    code: str
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AssertionPolicy:
    """What we demand of an assertion; per network, and per peer where it must be.

    Attributes:
        audiences: the names by which a peer may address us. A restriction that names none of them
            is refused; with no names at all every restriction is.
        require_audience: whether an assertion without AudienceRestriction is refused.
        purposes: per code system (bare OID) the purpose codes in force; ``None`` checks the form
            only.
        role_systems: code systems of roles; SNOMED CT by default.
        organization_id_forms: ``directory`` and/or ``oid``.
        required: fields of ``XuaClaims`` that must be present.
        methods: accepted SubjectConfirmation methods; holder-of-key by default.
        issuer_formats: accepted Issuer formats; ``None`` accepts any, or none given.
        issuers: the only issuers accepted, or ``None``.
        max_lifetime: longest NotBefore to NotOnOrAfter.
        skew: how far the peer's clock may be off, at most 5 minutes.
        one_role: refuse a second role (facts: ihe-wire 17.1).
        one_purpose: refuse a second purpose (QTF-604).
        one_authn_context: refuse a second AuthnStatement or AuthnContext.
        require_authn: refuse an assertion without AuthnStatement.

    Raises:
        ValueError: when ``skew`` is negative or above 5 minutes.
    """

    audiences: frozenset[str] = frozenset()
    require_audience: bool = False
    purposes: Mapping[str, frozenset[str]] | None = None
    role_systems: frozenset[str] = field(default_factory=_role_systems)
    organization_id_forms: frozenset[str] = frozenset({ORGANIZATION_BY_DIRECTORY})
    required: tuple[str, ...] = REQUIRED
    methods: frozenset[str] = field(default_factory=lambda: frozenset({_holder_of_key()}))
    issuer_formats: frozenset[str] | None = field(
        default_factory=lambda: frozenset(_formats().values())
    )
    issuers: frozenset[str] | None = None
    max_lifetime: timedelta = timedelta(minutes=20)
    skew: timedelta = timedelta(minutes=5)
    one_role: bool = True
    one_purpose: bool = True
    one_authn_context: bool = True
    require_authn: bool = True

    def __post_init__(self) -> None:
        if not timedelta(0) <= self.skew <= MAX_SKEW:
            raise ValueError("skew must be between 0 and 5 minutes")


def check_assertion(
    assertion: Assertion, policy: AssertionPolicy, *, now: datetime
) -> tuple[Finding, ...]:
    """All rules that a received assertion does not meet, time and audience first.

    Args:
        assertion: as read from verified bytes.
        policy: what is demanded.
        now: the current time, aware.
    """
    return (
        *_envelope(assertion),
        *_validity(assertion, policy, now),
        *_audience(assertion, policy),
        *_confirmation(assertion, policy, now),
        *_authentication(assertion.claims.authn, policy, now),
        *(
            Finding(code="claim-conflict", sentence=f"The assertion gives two values for {name}.")
            for name in assertion.conflicts
        ),
        *check_claims(assertion.claims, policy),
    )


def check_claims(claims: XuaClaims, policy: AssertionPolicy) -> tuple[Finding, ...]:
    """The rules on the claims themselves, whether received or about to be issued."""
    return (
        *_required(claims, policy),
        *_names(claims, policy),
        *_identifiers(claims, policy),
        *_coded(claims, policy),
    )


def _envelope(assertion: Assertion) -> Iterator[Finding]:
    if assertion.version != "2.0" or not assertion.id or assertion.issue_instant is None:
        yield Finding(
            code="assertion-malformed",
            sentence="The assertion lacks its version, its id or the time of issue.",
        )
    if assertion.unknown_conditions:
        # SAML core 2.5.1.1: a condition that is not understood leaves the validity undetermined.
        yield Finding(
            code="assertion-condition", sentence="The assertion has an unknown condition."
        )


def _validity(assertion: Assertion, policy: AssertionPolicy, now: datetime) -> Iterator[Finding]:
    start, end = assertion.not_before, assertion.not_on_or_after
    issued = assertion.issue_instant
    if end is None or start is None:
        yield Finding(
            code="assertion-lifetime", sentence="The assertion does not say how long it is valid."
        )
    elif end <= start or end - start > policy.max_lifetime:
        yield Finding(
            code="assertion-lifetime", sentence="The assertion is valid for too long or not at all."
        )
    if end is not None and now >= end + policy.skew:
        yield Finding(code="assertion-expired", sentence="The assertion has expired.")
    if any(each is not None and now < each - policy.skew for each in (start, issued)):
        yield Finding(code="assertion-not-yet-valid", sentence="The assertion is not valid yet.")


def _audience(assertion: Assertion, policy: AssertionPolicy) -> Iterator[Finding]:
    if policy.require_audience and not assertion.audiences:
        yield Finding(code="assertion-audience", sentence="The assertion names no audience.")
    if any(policy.audiences.isdisjoint(one) for one in assertion.audiences):
        yield Finding(code="assertion-audience", sentence="The assertion is meant for others.")


def _confirmation(
    assertion: Assertion, policy: AssertionPolicy, now: datetime
) -> Iterator[Finding]:
    accepted = [each for each in assertion.confirmations if each.method in policy.methods]
    if not accepted:
        yield Finding(
            code="assertion-confirmation",
            sentence="The assertion has no subject confirmation of an accepted kind.",
        )
        return
    usable = [
        each
        for each in accepted
        if (each.method != _holder_of_key() or each.key is not None)
        and (each.not_before is None or now >= each.not_before - policy.skew)
        and (each.not_on_or_after is None or now < each.not_on_or_after + policy.skew)
    ]
    if not usable:
        yield Finding(
            code="assertion-confirmation",
            sentence="The assertion's subject confirmation names no key or is not valid now.",
        )


def _authentication(
    statements: tuple[AuthnStatement, ...], policy: AssertionPolicy, now: datetime
) -> Iterator[Finding]:
    if policy.require_authn and not statements:
        yield Finding(
            code="assertion-authn", sentence="The assertion has no authentication statement."
        )
    if policy.one_authn_context and (
        len(statements) > 1 or any(each.contexts > 1 for each in statements)
    ):
        yield Finding(
            code="assertion-second-authn", sentence="The assertion has a second authentication."
        )
    for each in statements:
        if (
            each.instant is None
            or each.instant > now + policy.skew
            or each.contexts == 0
            or not all(_is_uri(one) for one in each.context_classes)
            or (
                each.session_not_on_or_after is not None
                and now >= each.session_not_on_or_after + policy.skew
            )
        ):
            yield Finding(
                code="assertion-authn", sentence="The authentication statement is not valid."
            )


def _is_uri(value: str) -> bool:
    return ":" in value and len(value.split()) == 1


def _required(claims: XuaClaims, policy: AssertionPolicy) -> Iterator[Finding]:
    for name in policy.required:
        if not getattr(claims, name):
            yield Finding(code="claim-missing", sentence=f"The assertion lacks {name}.")


def _names(claims: XuaClaims, policy: AssertionPolicy) -> Iterator[Finding]:
    if policy.issuers is not None and claims.issuer not in policy.issuers:
        yield Finding(code="assertion-issuer", sentence="The issuer is not the one expected.")
    if policy.issuer_formats is not None and claims.issuer_format not in policy.issuer_formats:
        yield Finding(code="assertion-issuer", sentence="The issuer's format is not accepted.")
    if claims.issuer and not _fits(claims.issuer, claims.issuer_format):
        yield Finding(
            code="assertion-issuer", sentence="The issuer does not have the form it names."
        )
    if claims.name_id and not _fits(claims.name_id, claims.name_id_format):
        yield Finding(code="claim-form", sentence="The NameID does not have the form it names.")


def _fits(value: str, name_format: str | None) -> bool:
    formats = _formats()
    if name_format == formats["email"]:
        return _EMAIL.fullmatch(value) is not None
    if name_format == formats["x509"]:
        return _DISTINGUISHED.fullmatch(value) is not None
    if name_format == formats["windows"]:
        return _WINDOWS.fullmatch(value) is not None
    return True


def _identifiers(claims: XuaClaims, policy: AssertionPolicy) -> Iterator[Finding]:
    home = claims.home_community_id
    if home is not None and not _is_oid_urn(home):
        yield Finding(code="claim-form", sentence="The home community id is not an OID URN.")
    organization = claims.organization_id
    if organization is not None and not _organization_fits(organization, policy):
        yield Finding(
            code="claim-form", sentence="The organisation id does not have an accepted form."
        )
    if claims.npi is not None and not is_npi(claims.npi):
        yield Finding(code="claim-form", sentence="The NPI is not ten digits that check.")
    if claims.resource_id is not None:
        patient = _CX.fullmatch(claims.resource_id)
        if patient is None or not _is_oid(patient.group(1)):
            yield Finding(code="claim-form", sentence="The resource id is not a patient id (CX).")


def _coded(claims: XuaClaims, policy: AssertionPolicy) -> Iterator[Finding]:
    if policy.one_role and len(claims.roles) > 1:
        yield Finding(code="assertion-second-role", sentence="The assertion has a second role.")
    if policy.one_purpose and len(claims.purposes) > 1:
        yield Finding(
            code="assertion-second-purpose", sentence="The assertion has a second purpose."
        )
    for role in claims.roles:
        if not _is_coded(role) or role.system not in policy.role_systems:
            yield Finding(
                code="claim-role", sentence="The role has no code of an accepted code system."
            )
    for purpose in claims.purposes:
        if not _is_coded(purpose):
            yield Finding(code="claim-purpose", sentence="The purpose has no code or code system.")
        elif policy.purposes is not None and purpose.code not in policy.purposes.get(
            purpose.system or "", frozenset()
        ):
            yield Finding(
                code="claim-purpose", sentence="The purpose is not one of the exchange purposes."
            )


def _is_coded(claim: CodedClaim) -> bool:
    return bool(claim.code) and claim.system is not None and _is_oid(claim.system)


def _organization_fits(value: str, policy: AssertionPolicy) -> bool:
    forms = policy.organization_id_forms
    if ORGANIZATION_BY_DIRECTORY in forms and _DIRECTORY_ID.fullmatch(value):
        return True
    return ORGANIZATION_BY_OID in forms and _is_oid(value.removeprefix("urn:oid:"))


def _is_oid(value: str) -> bool:
    return len(value) <= _MAX_OID and _OID.fullmatch(value) is not None


def _is_oid_urn(value: str) -> bool:
    prefix = "urn:oid:"
    return value.startswith(prefix) and len(value) <= _MAX_OID and _is_oid(value[len(prefix) :])


def is_npi(value: str) -> bool:
    """Whether a text is an NPI: ten digits whose check digit fits (Luhn over 80840 + NPI)."""
    if _NPI.fullmatch(value) is None:
        return False
    total = 0
    for place, digit in enumerate(reversed("80840" + value)):
        doubled = int(digit) * (1 + place % 2)
        total += doubled - 9 if doubled > 9 else doubled  # noqa: PLR2004 -- digit sum of two digits
    return total % 10 == 0
