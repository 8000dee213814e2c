"""What an XUA assertion says: the claims as values, without any judgement about them.

Field by field this is facts ihe-wire 8.3 and tefca 4.4 (QTF-502, 504, 604; Treatment SOP 6.1; IAS
SOP 4.4). The attribute names and their variants are data (``data/saml.toml``).
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from importlib import resources
from typing import Any

from trust.key_info import KeyHint


@lru_cache
def saml_table() -> Mapping[str, Any]:
    """The rows of ``data/saml.toml``."""
    source = resources.files("trust").joinpath("data/saml.toml")
    return tomllib.loads(source.read_text(encoding="utf-8"))


@dataclass(frozen=True, slots=True, kw_only=True)
class CodedClaim:
    """A role or purpose: HL7 v3 CE; ``system`` is a bare OID (or as sent, if it is none)."""

    code: str
    system: str | None = None
    system_name: str | None = None
    display: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthnStatement:
    """How and when the user was authenticated; ``context_classes`` has one URI per class ref."""

    instant: datetime | None
    context_classes: tuple[str, ...] = ()
    contexts: int = 1
    session_index: str | None = None
    session_not_on_or_after: datetime | None = None
    address: str | None = None
    dns_name: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthzDecision:
    """An AuthzDecisionStatement with the consent policies of its evidence (``urn:oid:``)."""

    decision: str
    resource: str
    access_consent_policies: tuple[str, ...] = ()
    instance_access_consent_policies: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RawAttribute:
    """An attribute that we do not know, kept as it came."""

    name: str
    friendly_name: str | None = None
    name_format: str | None = None
    values: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class XuaClaims:
    """Who asks, for whom and why, as asserted.

    Attributes:
        subject_id: the user's readable name.
        organization: name of the organisation.
        organization_id: ``Organization/<directory id>`` (QTF-504) or ``urn:oid:...``.
        home_community_id: HCID of the initiating node, ``urn:oid:...``.
        roles: the user's role; more than one is a matter for policy.
        purposes: the exchange purpose; more than one is a matter for policy.
        resource_id: the patient as CX ``id^^^&oid&ISO``.
        npi: ten digits.
        tin: tax id, Treatment SOP 6.1.
        access_consent_policies: OID URNs (``urn:ihe:iti:xua:2012:acp``).
        consent_documents: consent documents' unique ids (BPPC).
        document_resource_ids: ``<document>&<repository>&<HCID>`` without ``urn:oid:`` (QTF 2.1).
        query_auth_grantor: on whose behalf is asked, ``Organization/<id>``.
        id_token: the credential service provider's token (IAS SOP 4.4).
        issuer: value of Issuer; ``issuer_format`` its Format.
        name_id: the user's id; ``name_id_format`` its Format.
        authn: the authentication statements.
        authz: authorisation decisions with consent.
        other: everything else, as it came.
    """

    subject_id: str | None = None
    organization: str | None = None
    organization_id: str | None = None
    home_community_id: str | None = None
    roles: tuple[CodedClaim, ...] = ()
    purposes: tuple[CodedClaim, ...] = ()
    resource_id: str | None = None
    npi: str | None = None
    tin: str | None = None
    access_consent_policies: tuple[str, ...] = ()
    consent_documents: tuple[str, ...] = ()
    document_resource_ids: tuple[str, ...] = ()
    query_auth_grantor: str | None = None
    id_token: str | None = None
    issuer: str | None = None
    issuer_format: str | None = None
    name_id: str | None = None
    name_id_format: str | None = None
    authn: tuple[AuthnStatement, ...] = ()
    authz: tuple[AuthzDecision, ...] = ()
    other: tuple[RawAttribute, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirmation:
    """One SubjectConfirmation; ``key`` is the holder-of-key key, where one is given."""

    method: str
    key: KeyHint | None = None
    not_before: datetime | None = None
    not_on_or_after: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Assertion:
    """A whole assertion as read.

    Attributes:
        id: its ID.
        version: its Version.
        issue_instant: when it was issued.
        not_before: start of its validity, where given.
        not_on_or_after: end of its validity, where given.
        audiences: the audiences of each AudienceRestriction; every restriction must be met.
        unknown_conditions: whether a condition stands there that we do not understand.
        confirmations: the subject confirmations.
        claims: what it says about the user.
        conflicts: fields that were given twice with different values.
        deviations: names of tolerated deviations, each once, sorted (law 4: counted per peer).
    """

    id: str
    version: str
    issue_instant: datetime | None
    not_before: datetime | None
    not_on_or_after: datetime | None
    audiences: tuple[tuple[str, ...], ...]
    unknown_conditions: bool
    confirmations: tuple[Confirmation, ...]
    claims: XuaClaims
    conflicts: tuple[str, ...] = ()
    deviations: tuple[str, ...] = ()
