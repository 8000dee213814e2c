"""Writing a DocumentEntry as ExtrinsicObject.

Children stand in the order of the schema: slots, Name, Description, VersionInfo, Classifications,
ExternalIdentifiers.

Source: ITI TF-3 4.2.3.2, table 4.2.3.2-1; facts ihe-wire 3.3.
"""

from __future__ import annotations

from functools import lru_cache

from node.errors import OurFault
from node.model import Author, DocumentEntry, HomeCommunityId
from node.wire.ebxml import Owner, code_text, localized_text, registry_terms, slot_text
from node.wire.elements import escaped

__all__ = ["author_text", "document_entry_text"]

_URI_PIECE = 128
_MAX_AUTHORS = 1024
"""Authors kept as written text: those of one chart are few."""


def document_entry_text(entry: DocumentEntry, *, home: HomeCommunityId | None) -> str:
    """An ExtrinsicObject as XML text in the prefix ``rim``.

    Args:
        entry: the metadata.
        home: HCID for an entry that names none; every object must carry one in XCA. ``None``
            writes the entry as a source submits it: community, repository and status are the
            recipient's to give.

    Raises:
        OurFault: ``entry-incomplete`` when id, unique id or repository is empty; ``text-not-xml``
            for characters XML cannot carry.
    """
    if not (entry.entry_uuid and entry.unique_id and entry.repository_unique_id):
        raise OurFault(
            "entry-incomplete", "A document entry has no id, unique id or repository unique id."
        )
    owner = Owner(entry.entry_uuid)
    lid = f' lid="{escaped(entry.logical_id, "lid")}"' if entry.logical_id is not None else ""
    version = entry.version
    patient = entry.patient_id
    held = ""
    if home is not None:
        community = escaped(entry.home_community_id or home, "home")
        held = f' home="{community}" status="{entry.status.value}"'
    head = (
        f'<rim:ExtrinsicObject id="{owner.id}"{lid}{held} objectType="{entry.type.value}"'
        f' mimeType="{escaped(entry.mime_type, "mimeType")}" isOpaque="false">'
    )
    return "".join(
        (
            head,
            *[
                slot_text(name, values)
                for name, values in _slots(entry)
                if home is not None or name != "repositoryUniqueId"
            ],
            localized_text("Name", entry.title),
            localized_text("Description", entry.comments),
            f'<rim:VersionInfo versionName="{escaped(version, "VersionInfo")}"/>'
            if version is not None
            else "",
            *_classifications(owner, entry),
            owner.external_identifier("patient_id", patient.cx) if patient else "",
            owner.external_identifier("unique_id", entry.unique_id),
            "</rim:ExtrinsicObject>",
        )
    )


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


def _classifications(owner: Owner, entry: DocumentEntry) -> list[str]:
    written = [
        owner.classification("author", position, author_text(author))
        for position, author in enumerate(entry.authors)
    ]
    for attribute, codes in (
        ("class_code", (entry.class_code,)),
        ("type_code", (entry.type_code,)),
        ("format_code", (entry.format_code,)),
        ("confidentiality", entry.confidentiality),
        ("event_code", entry.event_codes),
        ("facility_type", (entry.facility_type,)),
        ("practice_setting", (entry.practice_setting,)),
    ):
        written += [
            owner.classification(attribute, position, code_text(code))
            for position, code in enumerate(codes)
            if code is not None
        ]
    return written


@lru_cache(maxsize=_MAX_AUTHORS)
def author_text(author: Author) -> str:
    """The end of the Classification of an author; its code is empty (ITI TF-3 4.2.3.2.1)."""
    slots = (
        ("authorPerson", (author.person,) if author.person else ()),
        ("authorInstitution", author.institutions),
        ("authorRole", author.roles),
        ("authorSpecialty", author.specialties),
        ("authorTelecommunication", author.telecoms),
    )
    return 'nodeRepresentation="">' + "".join(
        [slot_text(name, values) for name, values in slots if values]
    )
