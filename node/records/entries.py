"""What a document says about itself → the DocumentEntry we answer with. Pure.

XDS requires some attributes that a document may lack; what then stands there is in
``node/wire/data/documents.toml`` under ``[assumed]`` and is noted, except for dates: an unknown
date stays unknown.
"""

from __future__ import annotations

from dataclasses import dataclass
from uuid import NAMESPACE_OID, uuid5

from node.model import Address, Code, Demographics, DocumentEntry, HomeCommunityId, PersonName
from node.wire import document_codes
from node.wire.document_facts import DocumentFacts, Note
from node.wire.identifiers import is_document_unique_id

_ESCAPES = str.maketrans({"\\": "\\E\\", "|": "\\F\\", "^": "\\S\\", "&": "\\T\\", "~": "\\R\\"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Community:
    """Who we are in answers: all OIDs, the home community id as ``urn:oid:``."""

    home_community_id: HomeCommunityId
    repository_unique_id: str
    assigning_authority: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """A document's bytes: hex digests and size. ``sha256`` is their name in the store."""

    sha1: str
    sha256: str
    size: int


def entry_of(
    facts: DocumentFacts, content: Content, community: Community, *, own_id: bool = False
) -> tuple[DocumentEntry, tuple[Note, ...]]:
    """The entry of a document, without patient id, and all notes about it.

    ``own_id`` gives it an id derived from its content even where it has one: another document has
    that id already, and one id for two contents would be XDSNonIdenticalHash.
    """
    notes = list(facts.notes)
    usable = facts.unique_id if is_document_unique_id(facts.unique_id or "") else None
    if own_id:
        notes.append(Note.DOCUMENT_ID_REUSED)
    unknown = Code(
        code=document_codes.assumed("setting"),
        scheme=document_codes.system("null_flavor"),
        display="unknown",
    )
    if not facts.confidentiality:
        notes.append(Note.CONFIDENTIALITY_ASSUMED)
    if not facts.language:
        notes.append(Note.LANGUAGE_ASSUMED)
    uuid = uuid5(NAMESPACE_OID, f"{community.repository_unique_id}:{content.sha256}").urn
    entry = DocumentEntry(
        entry_uuid=uuid,
        logical_id=uuid,
        unique_id=derived_id(content) if own_id or not usable else usable,
        repository_unique_id=community.repository_unique_id,
        home_community_id=community.home_community_id,
        patient_id=None,
        mime_type=facts.mime_type,
        class_code=facts.class_code,
        type_code=facts.type_code,
        format_code=facts.format_code,
        confidentiality=facts.confidentiality
        or (document_codes.confidentiality(document_codes.assumed("confidentiality")),),
        facility_type=facts.facility_type or unknown,
        practice_setting=facts.practice_setting or unknown,
        event_codes=facts.event_codes,
        authors=facts.authors,
        title=facts.title or (facts.type_code.display if facts.type_code else None),
        language=facts.language or document_codes.assumed("language"),
        creation_time=facts.creation_time,
        service_start=facts.service_start,
        service_stop=facts.service_stop,
        hash=content.sha1,
        size=content.size,
        source_patient_id=facts.source_patient_id,
        source_patient_info=source_patient_info(facts.patient),
        legal_authenticator=facts.legal_authenticator,
        version=facts.version,
    )
    return entry, tuple(dict.fromkeys(notes))


def derived_id(content: Content) -> str:
    """A document id of the content's own: an OID below 2.25 from 128 bits of its SHA-256."""
    return f"2.25.{int(content.sha256[:32], 16)}"


def source_patient_info(patient: Demographics) -> tuple[str, ...]:
    """PID segments of the author's view of the person (ITI TF-3 4.2.3.2.23)."""
    ssn = document_codes.system("ssn")
    fields = [("PID-3", i.cx) for i in patient.identifiers if i.assigning_authority != ssn]
    fields += [("PID-5", _xpn(name)) for name in patient.names[:1]]
    fields += [("PID-7", patient.birth_date or ""), ("PID-8", patient.sex or "")]
    fields += [("PID-11", _xad(address)) for address in patient.addresses[:1]]
    return tuple(f"{name}|{value}" for name, value in fields if value)


def _xpn(name: PersonName) -> str:
    first, further = name.given[:1], name.given[1:]
    return _join(name.family, *(first or ("",)), " ".join(further), name.suffix, name.prefix)


def _xad(address: Address) -> str:
    return _join(
        " ".join(address.lines[:1]),
        " ".join(address.lines[1:]),
        address.city,
        address.state,
        address.postal_code,
        address.country,
    )


def _join(*parts: str | None) -> str:
    return "^".join((part or "").translate(_ESCAPES) for part in parts).rstrip("^")
