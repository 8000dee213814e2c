"""Writing a DocumentEntry as ExtrinsicObject.

Children stand in the order of the schema: slots, Name, Description, VersionInfo, Classifications,
ExternalIdentifiers.

Source: ITI TF-3 4.2.3.2, table 4.2.3.2-1; facts ihe-wire 3.3.
"""

from __future__ import annotations

from lxml import etree

from node.errors import OurFault
from node.model import Code, DocumentEntry, HomeCommunityId
from node.wire.ebxml import (
    build_classification,
    build_coded,
    build_external_identifier,
    build_localized,
    build_slot,
    registry_terms,
    rim,
)
from node.wire.elements import add

__all__ = ["build_document_entry"]

_URI_PIECE = 128
_AUTHOR_SLOTS = (
    "authorPerson",
    "authorInstitution",
    "authorRole",
    "authorSpecialty",
    "authorTelecommunication",
)


def build_document_entry(
    parent: etree._Element, entry: DocumentEntry, *, home: HomeCommunityId
) -> None:
    """Append an ExtrinsicObject.

    Args:
        parent: the RegistryObjectList.
        entry: the metadata.
        home: HCID for an entry that names none; every object must carry one in XCA.

    Raises:
        OurFault: ``entry-incomplete`` when id, unique id or repository is empty.
    """
    if not (entry.entry_uuid and entry.unique_id and entry.repository_unique_id):
        raise OurFault(
            "entry-incomplete", "A document entry has no id, unique id or repository unique id."
        )
    owner = entry.entry_uuid
    element = add(
        parent,
        rim("ExtrinsicObject"),
        id=owner,
        lid=entry.logical_id,
        home=entry.home_community_id or home,
        objectType=entry.type.value,
        status=entry.status.value,
        mimeType=entry.mime_type,
        isOpaque="false",
    )
    for name, values in _slots(entry):
        build_slot(element, name, values)
    build_localized(element, "Name", entry.title)
    build_localized(element, "Description", entry.comments)
    if entry.version is not None:
        add(element, rim("VersionInfo"), versionName=entry.version)
    _build_classifications(element, owner, entry)
    if entry.patient_id is not None:
        build_external_identifier(element, owner, "patient_id", entry.patient_id.cx)
    build_external_identifier(element, owner, "unique_id", entry.unique_id)


def _slots(entry: DocumentEntry) -> list[tuple[str, tuple[str, ...]]]:
    source = entry.source_patient_id.cx if entry.source_patient_id else None
    single = {
        "creationTime": entry.creation_time,
        "languageCode": entry.language,
        "repositoryUniqueId": entry.repository_unique_id,
        "sourcePatientId": source,
        "sourcePatientInfo": entry.source_patient_info,
        "hash": entry.hash,
        "size": str(entry.size) if entry.size is not None else None,
        "serviceStartTime": entry.service_start,
        "serviceStopTime": entry.service_stop,
        "legalAuthenticator": entry.legal_authenticator,
        "URI": _uri_pieces(entry.uri),
        "documentAvailability": entry.document_availability,
        registry_terms().reference_ids: entry.reference_ids,
    }
    known = [
        (name, (value,) if isinstance(value, str) else value)
        for name, value in single.items()
        if value
    ]
    return [*known, *entry.extra_slots]


def _uri_pieces(uri: str | None) -> tuple[str, ...]:
    """A long URI in numbered pieces of at most 128 characters (ITI TF-3 4.2.3.2.27)."""
    if uri is None or len(uri) <= _URI_PIECE:
        return (uri,) if uri else ()
    room = _URI_PIECE - 4
    return tuple(
        f"{number}|{uri[start : start + room]}"
        for number, start in enumerate(range(0, len(uri), room), start=1)
    )


def _build_classifications(element: etree._Element, owner: str, entry: DocumentEntry) -> None:
    schemes = registry_terms().schemes
    for position, author in enumerate(entry.authors):
        holder = build_classification(element, owner, schemes["author"], "", position)
        person = (author.person,) if author.person else ()
        for name, values in zip(
            _AUTHOR_SLOTS,
            (person, author.institutions, author.roles, author.specialties, author.telecoms),
            strict=True,
        ):
            if values:
                build_slot(holder, name, values)
    coded: tuple[tuple[str, tuple[Code | None, ...]], ...] = (
        ("class_code", (entry.class_code,)),
        ("type_code", (entry.type_code,)),
        ("format_code", (entry.format_code,)),
        ("confidentiality", entry.confidentiality),
        ("event_code", entry.event_codes),
        ("facility_type", (entry.facility_type,)),
        ("practice_setting", (entry.practice_setting,)),
    )
    for attribute, codes in coded:
        for position, code in enumerate(codes):
            if code is not None:
                build_coded(element, owner, schemes[attribute], code, position)
