"""DocumentReferences of a FHIR server as entries of the list: what they say, one per attachment."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from uuid import NAMESPACE_URL, uuid5

import orjson

from node.model import Demographics, DocumentEntry, HomeCommunityId
from node.wire.fhir.attachment import (
    MOST_ATTACHMENTS,
    Attachment,
    attachment_at,
    attachments,
    document_name,
)
from node.wire.fhir.searchset_reader import ReadEntry
from node.wire.fhir_bundle import attachment_facts
from node.wire.fhir_values import child, objects

_TYPE = "DocumentReference"
_NOBODY = Demographics()


def listed(home: HomeCommunityId, entry: ReadEntry) -> Iterator[tuple[DocumentEntry, bytes]]:
    """The documents of one resource, with its bytes; none for another type of resource."""
    if entry.type != _TYPE or entry.mode != "match":
        return
    reference = orjson.loads(entry.resource)
    contents = islice(objects(reference.get("content")), MOST_ATTACHMENTS)
    said = zip(contents, attachments(reference), strict=True)
    for place, (content, attachment) in enumerate(said):
        facts = attachment_facts(reference, content, child(content, "attachment"), b"", _NOBODY)
        yield (
            DocumentEntry(
                entry_uuid=uuid5(NAMESPACE_URL, f"{entry.full_url}#{place}").urn,
                unique_id=document_name(entry.full_url, place),
                repository_unique_id="",
                home_community_id=home,
                patient_id=None,
                mime_type=facts.mime_type,
                class_code=facts.class_code,
                type_code=facts.type_code,
                format_code=facts.format_code,
                confidentiality=facts.confidentiality,
                facility_type=facts.facility_type,
                practice_setting=facts.practice_setting,
                authors=facts.authors,
                title=facts.title,
                language=facts.language,
                creation_time=facts.creation_time,
                service_start=facts.service_start,
                service_stop=facts.service_stop,
                size=attachment.size or None,  # 0: made when it is asked for
            ),
            entry.resource,
        )


def attachment_of(resource: bytes | None, unique_id: str) -> Attachment | None:
    """What the DocumentReference says of one of those documents; ``None`` for another one."""
    place = unique_id.rpartition(".")[2]
    if resource is None or not place.isdecimal():
        return None
    return attachment_at(resource, int(place))
