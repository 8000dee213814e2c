"""The nouns everybody shares: frozen values without behaviour beyond their own form.

Forms that hold everywhere inside the node:

* a home community id (HCID) is ``urn:oid:…``; an assigning authority, repository id and HL7 v3 root
  is a bare OID. Codecs convert at the edge (facts: ihe-wire 2.1 "HCID handling").
* HL7 timestamps stay text of digits with their own precision, ``YYYY[MM[DD[hh[mm[ss]]]]]`` in UTC:
  a date of day precision must never turn into an instant.
* every ``datetime`` is aware and UTC.
* absent is ``None`` or an empty tuple, never an empty string.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import NewType

from trust.decision import TrustDecision

HomeCommunityId = NewType("HomeCommunityId", str)
"""``urn:oid:`` followed by the OID of a community, at most 64 characters (ITI TF-3 4.2.3.2.12)."""

ExchangeId = NewType("ExchangeId", str)
"""UUIDv7 text: one question or one served request."""

LegId = NewType("LegId", str)
"""UUIDv7 text: one transaction with one peer inside an exchange."""


class Transaction(StrEnum):
    """An IHE transaction that the node speaks."""

    ITI_55 = "ITI-55"
    ITI_38 = "ITI-38"
    ITI_39 = "ITI-39"
    ITI_80 = "ITI-80"

    @property
    def full_name(self) -> str:
        """The transaction's name in the IHE Technical Framework."""
        return _FULL_NAMES[self]


_FULL_NAMES = {
    Transaction.ITI_55: "Cross Gateway Patient Discovery",
    Transaction.ITI_38: "Cross Gateway Query",
    Transaction.ITI_39: "Cross Gateway Retrieve",
    Transaction.ITI_80: "Cross-Gateway Document Provide",
}


class Interaction(StrEnum):
    """A FHIR interaction or operation that is served; it stands in the log like a transaction.

    Those with a number of IHE are what our own systems ask of the whole network.
    """

    READ = "FHIR-READ"
    SEARCH = "FHIR-SEARCH"
    MATCH = "FHIR-MATCH"
    DOCREF = "FHIR-DOCREF"
    AUDIT = "FHIR-AUDIT"
    OTHER = "FHIR-OTHER"
    NETWORK_PATIENTS = "ITI-78"
    NETWORK_MATCH = "ITI-119"
    NETWORK_IDENTIFIERS = "ITI-83"
    NETWORK_DOCUMENTS = "ITI-67"
    NETWORK_DOCUMENT = "ITI-68"
    PUBLISH = "ITI-65"

    @property
    def full_name(self) -> str:
        """What people call it."""
        return _INTERACTIONS[self]


_INTERACTIONS = {
    Interaction.READ: "FHIR Read",
    Interaction.SEARCH: "FHIR Search",
    Interaction.MATCH: "FHIR Patient Match",
    Interaction.DOCREF: "FHIR Document Reference Query",
    Interaction.AUDIT: "FHIR Audit Log Query",
    Interaction.OTHER: "FHIR Request Refused",
    Interaction.NETWORK_PATIENTS: "Mobile Patient Demographics Query",
    Interaction.NETWORK_MATCH: "Patient Demographics Match",
    Interaction.NETWORK_IDENTIFIERS: "Mobile Patient Identifier Cross-reference Query",
    Interaction.NETWORK_DOCUMENTS: "Find Document References",
    Interaction.NETWORK_DOCUMENT: "Retrieve Document",
    Interaction.PUBLISH: "Provide Document Bundle",
}


class Authorization(StrEnum):
    """A step by which a FHIR client comes to a token; it stands in the log like a transaction."""

    REGISTRATION = "UDAP-REG"
    TOKEN = "UDAP-TOKEN"  # noqa: S105  a name
    APP_LAUNCH = "SMART-LAUNCH"
    APP_APPROVAL = "SMART-APPROVAL"
    APP_TOKEN = "SMART-TOKEN"  # noqa: S105  a name
    APP_REVOCATION = "SMART-REVOKE"

    @property
    def full_name(self) -> str:
        """What people call it."""
        return _AUTHORIZATIONS[self]


_AUTHORIZATIONS = {
    Authorization.REGISTRATION: "UDAP Dynamic Client Registration",
    Authorization.TOKEN: "UDAP Token Request",
    Authorization.APP_LAUNCH: "SMART EHR Launch",
    Authorization.APP_APPROVAL: "SMART Authorization Request",
    Authorization.APP_TOKEN: "SMART Token Request",
    Authorization.APP_REVOCATION: "OAuth Token Revocation",
}

Step = Transaction | Interaction | Authorization
"""What one leg did."""


class Direction(StrEnum):
    """Which side of a leg this node was."""

    INITIATING = "initiating"
    RESPONDING = "responding"


class Outcome(StrEnum):
    """How a leg ended. Every peer asked ends as exactly one of these (DESIGN, law 5).

    ``OK_EMPTY`` is "nothing held", ``DECLINED`` is a refusal with a reason, ``FAILED`` and
    ``TIMED_OUT`` are "not reached": three different things everywhere.
    """

    OK = "ok"
    OK_EMPTY = "ok-empty"
    PARTIAL = "partial"
    DECLINED = "declined"
    FAILED = "failed"
    TIMED_OUT = "timed-out"
    CANCELLED = "cancelled"

    @property
    def answered(self) -> bool:
        """Whether the peer gave an answer of its own (also an empty or partial one)."""
        return self in (Outcome.OK, Outcome.OK_EMPTY, Outcome.PARTIAL, Outcome.DECLINED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """A code, its coding scheme (OID or URI) and the text a person reads."""

    code: str
    scheme: str
    display: str | None = None


# --- people -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonName:
    """One name of a person; ``use`` is the HL7 v3 use code (``L``, ``SRCH`` ...)."""

    family: str | None = None
    given: tuple[str, ...] = ()
    prefix: str | None = None
    suffix: str | None = None
    use: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """One postal address."""

    lines: tuple[str, ...] = ()
    city: str | None = None
    state: str | None = None
    postal_code: str | None = None
    country: str | None = None
    use: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Telecom:
    """A telephone number or mail address as URI (``tel:+1...``, ``mailto:...``)."""

    value: str
    use: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class PatientId:
    """A patient's identifier: the id and the bare OID of its assigning authority."""

    assigning_authority: str
    id: str

    @property
    def cx(self) -> str:
        """HL7 v2 CX form ``id^^^&oid&ISO`` as XDS metadata and stored queries carry it.

        Delimiters inside the id are escaped (HL7 v2 2.7.1).
        """
        return f"{hl7_escaped(self.id)}^^^&{self.assigning_authority}&ISO"


def hl7_escaped(text: str) -> str:
    """A text with the HL7 v2 delimiters in it escaped (HL7 v2 2.7.1)."""
    for letter, sign in (("E", "\\"), ("F", "|"), ("S", "^"), ("T", "&"), ("R", "~")):
        text = text.replace(sign, f"\\{letter}\\")
    return text


@dataclass(frozen=True, slots=True, kw_only=True)
class Demographics:
    """What is known about a person, for discovery and matching (ITI TF-2 3.55.4.1.2.1).

    ``birth_date`` is ``YYYY[MM[DD]]``; ``sex`` is ``M``, ``F`` or ``UN`` (HL7 v3
    AdministrativeGender); ``identifiers`` hold ids of any authority, SSN included.
    """

    names: tuple[PersonName, ...] = ()
    birth_date: str | None = None
    sex: str | None = None
    addresses: tuple[Address, ...] = ()
    telecoms: tuple[Telecom, ...] = ()
    identifiers: tuple[PatientId, ...] = ()
    mothers_maiden_name: PersonName | None = None
    birth_place: Address | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """One identity that a responding community holds for the person asked about."""

    patient_id: PatientId
    home_community_id: HomeCommunityId
    demographics: Demographics
    score: int | None = None
    """0 to 100 as sent in queryMatchObservation, or ``None`` where the peer gave none."""
    organization_name: str | None = None


# --- who asks ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """Who asks, for whom and why: the content of the XUA assertion (QTF-502, 504, 604).

    Attributes:
        subject_id: the user's readable name (or that of the system user for automated queries).
        user_id: the user's id, the assertion's NameID.
        organization: name of the organisation.
        organization_id: id of the most granular directory entry, without ``Organization/``.
        home_community_id: HCID of the initiating node.
        role: the user's role (SNOMED CT).
        purpose: the exchange purpose.
        npi: ten digits, where apt.
        id_token: of an individual who asks for their own records, the credential service
            provider's token as it is; it goes into the assertion and into nothing else.
    """

    subject_id: str
    user_id: str
    organization: str
    organization_id: str
    home_community_id: HomeCommunityId
    role: Code
    purpose: Code
    npi: str | None = None
    id_token: str | None = field(default=None, repr=False)


# --- documents --------------------------------------------------------------------------------


class DocumentType(StrEnum):
    """Stable or on-demand; the values are the objectType UUIDs (ITI TF-3 4.2.5.2)."""

    STABLE = "urn:uuid:7edca82f-054d-47f2-a032-9b2a5b5186c1"
    ON_DEMAND = "urn:uuid:34268e47-fdf5-41a6-ba33-82133c465248"


class Availability(StrEnum):
    """The availabilityStatus of a registry object."""

    APPROVED = "urn:oasis:names:tc:ebxml-regrep:StatusType:Approved"
    DEPRECATED = "urn:oasis:names:tc:ebxml-regrep:StatusType:Deprecated"


@dataclass(frozen=True, slots=True, kw_only=True)
class Author:
    """An author in HL7 v2 forms: XCN person, XON institutions, role and specialty texts."""

    person: str | None = None
    institutions: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    specialties: tuple[str, ...] = ()
    telecoms: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class DocumentRef:
    """The three ids that retrieve one document (ITI TF-2 3.43.4.1.2); values kept as received."""

    home_community_id: HomeCommunityId
    repository_unique_id: str
    document_unique_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentEntry:
    """XDS DocumentEntry metadata (ITI TF-3 4.2.3.2).

    ``hash`` is 40 hex digits of SHA-1 (the standard's), ``size`` is in bytes; both are ``None`` for
    on-demand entries. ``extra_slots`` keeps slots we do not know, as (name, values).
    """

    entry_uuid: str
    unique_id: str
    repository_unique_id: str
    home_community_id: HomeCommunityId | None
    patient_id: PatientId | None
    type: DocumentType = DocumentType.STABLE
    status: Availability = Availability.APPROVED
    mime_type: str = "text/xml"
    class_code: Code | None = None
    type_code: Code | None = None
    format_code: Code | None = None
    confidentiality: tuple[Code, ...] = ()
    facility_type: Code | None = None
    practice_setting: Code | None = None
    event_codes: tuple[Code, ...] = ()
    authors: tuple[Author, ...] = ()
    title: str | None = None
    comments: str | None = None
    language: str | None = None
    creation_time: str | None = None
    service_start: str | None = None
    service_stop: str | None = None
    hash: str | None = None
    size: int | None = None
    source_patient_id: PatientId | None = None
    source_patient_info: tuple[str, ...] = ()
    legal_authenticator: str | None = None
    uri: str | None = None
    document_availability: str | None = None
    reference_ids: tuple[str, ...] = ()
    logical_id: str | None = None
    version: str | None = None
    extra_slots: tuple[tuple[str, tuple[str, ...]], ...] = ()

    @property
    def ref(self) -> DocumentRef:
        """The ids to retrieve it with; an entry without home has the empty HCID."""
        return DocumentRef(
            home_community_id=self.home_community_id or HomeCommunityId(""),
            repository_unique_id=self.repository_unique_id,
            document_unique_id=self.unique_id,
        )


# --- queries and answers ----------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class PatientQuery:
    """The question of ITI-55: the demographics, and the node asked alone, if one (QTF-710)."""

    demographics: Demographics
    target: HomeCommunityId | None = None
    minimum_degree_match: int | None = None


class ReturnType(StrEnum):
    """What a stored query returns."""

    LEAF_CLASS = "LeafClass"
    OBJECT_REF = "ObjectRef"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredQuery:
    """One stored query of ITI-18/ITI-38 with its parameters as sent.

    Attributes:
        id: the query's ``urn:uuid:``.
        parameters: per slot name, in order of appearance, one tuple of values for each time the
            slot stood in the message: values inside one occurrence are OR, occurrences are AND
            (facts: ihe-wire 3.1). Values are decoded: no quotes, no parentheses.
        return_type: LeafClass or ObjectRef.
        home: the AdhocQuery's home attribute.
    """

    id: str
    parameters: tuple[tuple[str, tuple[str, ...]], ...] = ()
    return_type: ReturnType = ReturnType.LEAF_CLASS
    home: HomeCommunityId | None = None

    def values(self, slot: str) -> tuple[str, ...]:
        """All values of a slot, over all its occurrences."""
        return tuple(v for name, values in self.parameters if name == slot for v in values)

    def occurrences(self, slot: str) -> tuple[tuple[str, ...], ...]:
        """The value tuples of each occurrence of a slot."""
        return tuple(values for name, values in self.parameters if name == slot)


class Severity(StrEnum):
    """Severity of a registry error."""

    ERROR = "urn:oasis:names:tc:ebxml-regrep:ErrorSeverityType:Error"
    WARNING = "urn:oasis:names:tc:ebxml-regrep:ErrorSeverityType:Warning"


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryError:
    """One error of a registry response; in XCA ``location`` is the HCID it comes from."""

    code: str
    context: str = ""
    severity: Severity = Severity.ERROR
    location: str | None = None


class ResponseStatus(StrEnum):
    """Status of a registry response (ITI TF-3 4.2.4.1)."""

    SUCCESS = "urn:oasis:names:tc:ebxml-regrep:ResponseStatusType:Success"
    PARTIAL_SUCCESS = "urn:ihe:iti:2007:ResponseStatusType:PartialSuccess"
    FAILURE = "urn:oasis:names:tc:ebxml-regrep:ResponseStatusType:Failure"


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectRef:
    """A registry object by id only (returnType ObjectRef).

    ``patient_id`` is known to the side that answers, for policy; it does not travel.
    """

    id: str
    home_community_id: HomeCommunityId | None = None
    patient_id: PatientId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryAnswer:
    """The answer of ITI-38: entries or references, and the errors beside them."""

    status: ResponseStatus = ResponseStatus.SUCCESS
    documents: tuple[DocumentEntry, ...] = ()
    refs: tuple[ObjectRef, ...] = ()
    errors: tuple[RegistryError, ...] = ()


class MatchStatus(StrEnum):
    """queryResponseCode of ITI-55: OK found, NF none, AE application error, QE query error."""

    OK = "OK"
    NF = "NF"
    AE = "AE"
    QE = "QE"


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscoveryAnswer:
    """The answer of ITI-55 (the five cases of ITI TF-2 3.55.4.2.2).

    ``asks`` are codes of attributes the responder wants (case 3); ``problem`` is the code of case 5
    with its code system, whatever system that is; ``problem_text`` its sentence, if any.
    """

    status: MatchStatus
    matches: tuple[Match, ...] = ()
    asks: tuple[str, ...] = ()
    problem: Code | None = None
    problem_text: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrievedDocument:
    """One document of an ITI-39 answer whose bytes have been received into a store of ours.

    ``sha256`` is hex; ``token`` names the stored bytes (see ``exchange.ports.Inbox``).
    """

    ref: DocumentRef
    mime_type: str
    size: int
    sha256: str
    token: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrieveAnswer:
    """The answer of ITI-39: documents that came, and an error for each that did not."""

    status: ResponseStatus
    documents: tuple[RetrievedDocument, ...] = ()
    errors: tuple[RegistryError, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryAnswer:
    """The answer of ITI-80: whether the documents were taken, and why not or what of them not."""

    status: ResponseStatus
    errors: tuple[RegistryError, ...] = ()


# --- what happened ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """The other side of a leg as the directory knows it at that moment."""

    organization_id: str
    home_community_id: HomeCommunityId
    name: str
    address: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Leg:
    """One transaction with one peer, ended (DESIGN section 5).

    ``reason`` is a code: a policy reason, a registry error code or an error code of ours;
    ``sentence`` is what a person reads. Neither holds PHI.
    """

    leg_id: LegId
    exchange_id: ExchangeId
    direction: Direction
    transaction: Step
    peer: Peer
    outcome: Outcome
    started: datetime
    duration_ms: int
    reason: str | None = None
    sentence: str | None = None
    documents: int = 0
    message_id: str | None = None
    relates_to: str | None = None
    errors: tuple[RegistryError, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PrivateFacts:
    """The PHI of a leg, by disclosure group; each group is committed to and erasable on its own.

    Every value is JSON-ready (str, int, list, dict). Groups: ``who`` (the principal), ``patient``,
    ``query``, ``docs``.
    """

    who: dict[str, object] = field(default_factory=dict)
    patient: dict[str, object] = field(default_factory=dict)
    query: dict[str, object] = field(default_factory=dict)
    docs: list[dict[str, object]] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class LegRecord:
    """Everything the ledger writes about a leg: the leg, its evidence and its private facts.

    Attributes:
        leg: the leg as it ended (or, for a served request, as it will be answered).
        own: HCID of this node.
        purpose: purpose code asserted, or ``None`` where no assertion could be read.
        peer_key: SHA-256 (hex) of the SubjectPublicKeyInfo of the peer's TLS certificate.
        assertion_id: SAML assertion id.
        issuer: who issued the assertion, as it says.
        binding: how identity was bound (``pinned`` or ``anchor+name``), or ``None``.
        policy_rules: ids of the policy rules that decided.
        directory_version: version of the directory snapshot used.
        request_digest: SHA-256 of the request's bytes as sent or received.
        response_digest: SHA-256 of the response's bytes, where there was one. For ITI-39 that is
            over the SOAP part; each document has its own digest in ``private.docs``.
        deviations: tolerated deviations of the peer's message, by name (DESIGN, law 4).
        trust: the decision about the peer's keys, as far as they were judged.
        promise: the log promise that came with the peer's answer, as the header's value.
        synthetic: a connectivity test of ours about nobody: it is no patient traffic.
        attempt: which attempt at the same question of the same peer it is, from 1.
        request: the request's SOAP part as it was on the wire; kept only where the operator asks.
        response: the same of the response.
        private: what goes into the erasable private record.
    """

    leg: Leg
    own: HomeCommunityId
    purpose: str | None
    peer_key: str | None = None
    assertion_id: str | None = None
    issuer: str | None = None
    binding: str | None = None
    policy_rules: tuple[str, ...] = ()
    directory_version: str | None = None
    request_digest: bytes | None = None
    response_digest: bytes | None = None
    deviations: tuple[str, ...] = ()
    trust: TrustDecision | None = None
    promise: str | None = None
    synthetic: bool = False
    attempt: int = 1
    request: bytes | None = field(default=None, repr=False)
    response: bytes | None = field(default=None, repr=False)
    private: PrivateFacts = field(default_factory=PrivateFacts)
