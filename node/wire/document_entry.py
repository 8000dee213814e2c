"""Reading an ExtrinsicObject as DocumentEntry, with the variations of facts ihe-wire 3.3.

Slots we do not know are kept.

Values that say something else than they should are not repaired by guessing: a creation time that
is no time, or a source patient id that is no CX, stays as an extra slot with its raw text.

Source: ITI TF-3 4.2.3.2, table 4.2.3.2-1.
"""

from __future__ import annotations

import re

from lxml import etree

from node.errors import LimitError, WireError
from node.model import (
    Author,
    Availability,
    Code,
    DocumentEntry,
    DocumentType,
    HomeCommunityId,
    PatientId,
)
from node.wire.deviations import ContentDeviation, Deviations
from node.wire.ebxml import (
    code_in,
    localized,
    registry_terms,
    slots_of,
)
from node.wire.elements import Group, first, grouped, limited
from node.wire.identifiers import bare_oid, home_community_id, is_oid, parse_cx
from node.wire.timestamps import parse_time

__all__ = ["parse_author", "parse_document_entry", "parse_home_attribute"]

_MAX_PARTS = 500
_HASH = re.compile("[0-9a-f]{40}")
_URN_UUID = re.compile(
    "urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE
)
_PIECE = re.compile(r"([0-9]{1,3})\|(.*)", re.DOTALL)
_AVAILABILITY = {status.value.rpartition(":")[2].lower(): status for status in Availability}
_TYPES = {document_type.value: document_type for document_type in DocumentType}
_SLOTS = frozenset(
    {
        "creationTime",
        "languageCode",
        "repositoryUniqueId",
        "sourcePatientId",
        "sourcePatientInfo",
        "hash",
        "size",
        "serviceStartTime",
        "serviceStopTime",
        "legalAuthenticator",
        "URI",
        "documentAvailability",
    }
)


def parse_document_entry(
    element: etree._Element, deviations: Deviations, *, recipient: str | None = None
) -> DocumentEntry:
    """Read an ExtrinsicObject.

    A missing ``home`` is ``None`` (the caller records the error); a missing repositoryUniqueId is
    taken from ``home``, as one partner's clients do.

    ``recipient`` is the repository that an entry is submitted to: such an entry gets it and names
    no community, whatever it says, and its id may be any name within the message.

    Raises:
        WireError: ``entry-unusable`` when it has no id, no unique id, or neither repository nor
            home: such a document could never be retrieved.
        LimitError: ``too-many-values``, ``value-too-long``.
    """
    parts = grouped(element)
    slots = slots_of(parts.get("Slot", ()))
    entry_uuid = limited(element.get("id") or "", "ExtrinsicObject/@id")
    identifiers = _external_identifiers(parts)
    terms = registry_terms()
    unique_id = identifiers.get(terms.identifications["unique_id"][0], "")
    home = parse_home_attribute(element, deviations) if recipient is None else None
    repository = recipient or _one(slots, "repositoryUniqueId")
    if repository is None and home is not None:
        deviations.add(ContentDeviation.REPOSITORY_MISSING)
        repository = bare_oid(home)
    if not (entry_uuid and unique_id and repository):
        raise WireError(
            "entry-unusable",
            "A document entry has no id, no unique id or no repository unique id.",
            where="ExtrinsicObject",
        )
    _check_forms(entry_uuid if recipient is None else None, unique_id, repository, deviations)
    extra = [(name, values) for name, values in slots.items() if _is_extra(name)]
    times = {
        name: _time(slots, name, extra, deviations)
        for name in ("creationTime", "serviceStartTime", "serviceStopTime")
    }
    codes, authors = _classifications(parts, deviations)
    patient = _cx(
        identifiers.get(terms.identifications["patient_id"][0]),
        deviations,
        ContentDeviation.PATIENT_ID_FORM,
    )
    source_patient = _cx(
        _one(slots, "sourcePatientId"), deviations, ContentDeviation.SOURCE_PATIENT_ID_FORM
    )
    if source_patient is None and "sourcePatientId" in slots:
        extra.append(("sourcePatientId", slots["sourcePatientId"]))
    document_hash, size = _content_facts(slots, deviations)
    version = first(parts, "VersionInfo")
    return DocumentEntry(
        entry_uuid=entry_uuid,
        unique_id=unique_id,
        repository_unique_id=repository,
        home_community_id=home,
        patient_id=patient,
        type=_document_type(element, deviations),
        status=_availability(element, deviations) if recipient is None else Availability.APPROVED,
        mime_type=_mime_type(element, deviations),
        class_code=_single(codes, "class_code"),
        type_code=_single(codes, "type_code"),
        format_code=_single(codes, "format_code"),
        confidentiality=tuple(codes.get("confidentiality", ())),
        facility_type=_single(codes, "facility_type"),
        practice_setting=_single(codes, "practice_setting"),
        event_codes=tuple(codes.get("event_code", ())),
        authors=authors,
        title=localized(first(parts, "Name")),
        comments=localized(first(parts, "Description")),
        language=_one(slots, "languageCode"),
        creation_time=times["creationTime"],
        service_start=times["serviceStartTime"],
        service_stop=times["serviceStopTime"],
        hash=document_hash,
        size=size,
        source_patient_id=source_patient,
        source_patient_info=slots.get("sourcePatientInfo", ()),
        legal_authenticator=_one(slots, "legalAuthenticator"),
        uri=_uri(slots.get("URI", ())),
        document_availability=_one(slots, "documentAvailability"),
        reference_ids=slots.get(terms.reference_ids, ()),
        logical_id=limited(element.get("lid") or "", "lid") or None,
        version=_attribute(version, "versionName"),
        extra_slots=tuple(extra),
    )


def parse_home_attribute(element: etree._Element, deviations: Deviations) -> HomeCommunityId | None:
    """The ``home`` of a registry object; what is no HCID counts as missing."""
    raw = limited(element.get("home") or "", "home")
    if not raw:
        deviations.add(ContentDeviation.HOME_MISSING)
        return None
    try:
        home = home_community_id(raw)
    except WireError:
        deviations.add(ContentDeviation.HOME_COMMUNITY_FORM)
        return None
    if home != raw:
        deviations.add(ContentDeviation.HOME_COMMUNITY_FORM)
    return home


def _external_identifiers(parts: Group) -> dict[str, str]:
    return {
        (element.get("identificationScheme") or "").strip().lower(): limited(
            element.get("value") or "", "ExternalIdentifier/@value"
        )
        for element in _bounded(parts, "ExternalIdentifier")
    }


def _bounded(parts: Group, name: str) -> list[etree._Element]:
    elements = parts.get(name, [])
    if len(elements) > _MAX_PARTS:
        raise LimitError("too-many-values", "A registry object has too many parts.", where=name)
    return elements


def _check_forms(
    entry_uuid: str | None, unique_id: str, repository: str, deviations: Deviations
) -> None:
    if entry_uuid is not None and _URN_UUID.fullmatch(entry_uuid) is None:
        deviations.add(ContentDeviation.ENTRY_ID_FORM)
    if not is_oid(unique_id.partition("^")[0]):
        deviations.add(ContentDeviation.UNIQUE_ID_FORM)
    if not is_oid(repository):
        deviations.add(ContentDeviation.REPOSITORY_FORM)


def _is_extra(name: str) -> bool:
    return bool(name) and name not in _SLOTS and name != registry_terms().reference_ids


def _one(slots: dict[str, tuple[str, ...]], name: str) -> str | None:
    values = slots.get(name)
    return values[0] if values else None


def _attribute(element: etree._Element | None, name: str) -> str | None:
    return (limited(element.get(name) or "", name) or None) if element is not None else None


def _time(
    slots: dict[str, tuple[str, ...]],
    name: str,
    extra: list[tuple[str, tuple[str, ...]]],
    deviations: Deviations,
) -> str | None:
    raw = _one(slots, name)
    if raw is None:
        return None
    time = parse_time(raw)
    if time is None:
        deviations.add(ContentDeviation.TIME_INVALID)
        extra.append((name, slots[name]))
    elif time != raw:
        deviations.add(ContentDeviation.TIME_ISO)
    return time


def _cx(raw: str | None, deviations: Deviations, deviation: ContentDeviation) -> PatientId | None:
    if not raw:
        return None
    try:
        return parse_cx(raw)
    except WireError:
        deviations.add(deviation)
        return None


def _content_facts(
    slots: dict[str, tuple[str, ...]], deviations: Deviations
) -> tuple[str | None, int | None]:
    """Hash and size; zeros and nonsense are absent (content made on retrieve, or not known)."""
    raw_hash = (_one(slots, "hash") or "").lower()
    document_hash = raw_hash if _HASH.fullmatch(raw_hash) and raw_hash.strip("0") else None
    if raw_hash and document_hash is None:
        deviations.add(ContentDeviation.HASH_INVALID)
    raw_size = _one(slots, "size") or ""
    is_number = raw_size.isascii() and raw_size.isdigit() and len(raw_size) <= 15  # noqa: PLR2004 - a petabyte
    size = int(raw_size) if is_number and int(raw_size) > 0 else None
    if raw_size and size is None:
        deviations.add(ContentDeviation.SIZE_INVALID)
    return document_hash, size


def _classifications(
    parts: Group, deviations: Deviations
) -> tuple[dict[str, list[Code]], tuple[Author, ...]]:
    attributes = registry_terms().attributes
    codes: dict[str, list[Code]] = {}
    authors: list[Author] = []
    for element in _bounded(parts, "Classification"):
        scheme = (element.get("classificationScheme") or "").strip().lower()
        attribute = attributes.get(scheme)
        if attribute == "author":
            author = parse_author(element)
            authors.extend([author] if author is not None else [])
        elif attribute is not None:
            code = code_in(element, deviations)
            codes.setdefault(attribute, []).extend([code] if code is not None else [])
    return codes, tuple(authors)


def parse_author(element: etree._Element) -> Author | None:
    """The author that a Classification holds, ``None`` for an empty one."""
    slots = slots_of(grouped(element).get("Slot", ()))
    author = Author(
        person=_one(slots, "authorPerson"),
        institutions=slots.get("authorInstitution", ()),
        roles=slots.get("authorRole", ()),
        specialties=slots.get("authorSpecialty", ()),
        telecoms=slots.get("authorTelecommunication", ()),
    )
    return None if author == Author() else author


def _single(codes: dict[str, list[Code]], attribute: str) -> Code | None:
    found = codes.get(attribute)
    return found[0] if found else None


def _document_type(element: etree._Element, deviations: Deviations) -> DocumentType:
    document_type = _TYPES.get((element.get("objectType") or "").strip().lower())
    if document_type is None:
        deviations.add(ContentDeviation.ENTRY_TYPE)
    return document_type or DocumentType.STABLE


def _availability(element: etree._Element, deviations: Deviations) -> Availability:
    raw = (element.get("status") or "").strip()
    status = _AVAILABILITY.get(raw.rpartition(":")[2].lower())
    if status is None or status.value != raw:
        deviations.add(ContentDeviation.ENTRY_STATUS)
    return status or Availability.APPROVED


def _mime_type(element: etree._Element, deviations: Deviations) -> str:
    mime_type = limited(element.get("mimeType") or "", "mimeType")
    if not mime_type:
        deviations.add(ContentDeviation.MIME_TYPE_MISSING)
    return mime_type or "application/octet-stream"


def _uri(values: tuple[str, ...]) -> str | None:
    if len(values) <= 1:
        return values[0] if values else None
    pieces = [_PIECE.fullmatch(value) for value in values]
    numbered = [(int(piece[1]), piece[2]) for piece in pieces if piece is not None]
    if len(numbered) < len(values):
        return values[0]
    return "".join(text for _, text in sorted(numbered))
