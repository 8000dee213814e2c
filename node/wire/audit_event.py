"""One thing that happened, as an audit record has it: what both renderers are made from.

``node.wire.atna`` writes it as a DICOM audit message, ``node.wire.balp`` as FHIR AuditEvents. Every
value may be a person's (law 6): it goes into exports and to audit repositories, never into our own
log lines.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from node.model import Code, PatientId


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """One of the two gateways; ``address`` is where it is reached, as far as that is known."""

    home_community_id: str | None = None
    address: str | None = None
    name: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Who asked, as asserted; of a command, the operating system's user (``user_id`` alone).

    ``grant`` is a URI for the bearer token of a FHIR client, from which nobody can make the token.
    """

    user_id: str
    issuer: str | None = None
    assertion_id: str | None = None
    name: str | None = None
    role: Code | None = None
    npi: str | None = None
    grant: str | None = None
    organization: str | None = None
    organization_id: str | None = None
    home_community_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """A question: its id, and itself, written anew from what the ledger keeps of it.

    Of a SOAP transaction ``raw`` is XML, of FHIR what stands behind the base address.
    """

    id: str
    raw: bytes
    home_community_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A document that was moved, or asked for in vain; ``is_resource``: its id is ``Type/id``."""

    id: str
    repository: str | None = None
    home_community_id: str | None = None
    sha256: str | None = None
    """Of its bytes, hex."""
    is_resource: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What one message is about: documents that came, those that did not, or everything."""

    outcome: str
    documents: tuple[Document, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEvent:
    """One ledger entry, or one message of the feed itself.

    Attributes:
        occasion: a row of ``audit.toml``'s ``occasion``.
        type: the IHE transaction, or the code of what was done.
        type_name: its name.
        recorded: when it began: RFC 3339, UTC, milliseconds.
        ended: the same of its end, where it took time.
        outcome: a key of ``audit.toml``'s ``outcome``.
        reason: code of a refusal or failure.
        explanation: sentences and errors for a person.
        source: where the question, or the documents, came from; ``None`` where nothing was moved.
        destination: where they went.
        requester: which of the two asked: ``source`` or ``destination``.
        own: this node, which writes the record.
        person: who asked.
        purpose: why.
        patients: whom it is about.
        query: the question of a query.
        parts: what is told in a message of its own; at least one.
        submission: the uniqueId of the submission set that was sent.
        subject: the directory id of the organisation that was decided about.
        message_id: of the SOAP message, ``urn:uuid:``.
        entry_id: the ledger entry's id, or of the message itself.
        trace: a W3C traceparent.
        leaf: the ledger entry's bytes; empty for a message of the feed itself.
        details: more about the entry, by name.
    """

    occasion: str
    type: str
    type_name: str
    recorded: str
    ended: str | None = None
    outcome: str
    reason: str | None = None
    explanation: str | None = None
    source: Machine | None = None
    destination: Machine | None = None
    requester: Literal["source", "destination"] | None = None
    own: Machine
    person: Person | None = None
    purpose: Code | None = None
    patients: tuple[PatientId, ...] = ()
    query: Query | None = None
    parts: tuple[Part, ...]
    submission: str | None = None
    subject: str | None = None
    message_id: str | None = None
    entry_id: str
    trace: str | None = None
    leaf: bytes = b""
    details: Mapping[str, str] = field(default_factory=dict)

    @property
    def said(self) -> str:
        """The explanation, and the reason's code in brackets; empty where there is neither."""
        reason = f"[{self.reason}]" if self.reason else None
        return " ".join(text for text in (self.explanation, reason) if text)
