"""DocumentReferences of a FHIR server as entries of the list: what they say, one per attachment."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Iterator
from itertools import islice
from uuid import NAMESPACE_URL, uuid5

import orjson

from node.model import Demographics, DocumentEntry, HomeCommunityId
from node.wire.fhir.searchset_reader import ReadEntry
from node.wire.fhir_bundle import attachment_facts
from node.wire.fhir_values import child, objects

_MOST_ATTACHMENTS = 10
_TYPE = "DocumentReference"
_NOBODY = Demographics()


def listed(home: HomeCommunityId, entry: ReadEntry) -> Iterator[tuple[DocumentEntry, bytes]]:
    """The documents of one resource, with its bytes; none for another type of resource."""
    if entry.type != _TYPE or entry.mode != "match":
        return
    reference = orjson.loads(entry.resource)
    contents = islice(objects(reference.get("content")), _MOST_ATTACHMENTS)
    for place, content in enumerate(contents):
        attachment = child(content, "attachment")
        facts = attachment_facts(reference, content, attachment, b"", _NOBODY)
        size = attachment.get("size")
        yield (
            DocumentEntry(
                entry_uuid=uuid5(NAMESPACE_URL, f"{entry.full_url}#{place}").urn,
                unique_id=f"{hashlib.sha256(entry.full_url.encode()).hexdigest()[:32]}.{place}",
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
                size=size if isinstance(size, int) and size >= 0 else None,
            ),
            entry.resource,
        )


def inline_data(resource: bytes | None, unique_id: str) -> bytes | None:
    """What the attachment of one of those documents holds itself; ``None`` where it has a link."""
    place = unique_id.rpartition(".")[2]
    if resource is None or not place.isdecimal():
        return None
    contents = list(islice(objects(orjson.loads(resource).get("content")), _MOST_ATTACHMENTS))
    if int(place) >= len(contents):
        return None
    data = child(contents[int(place)], "attachment").get("data")
    if not isinstance(data, str):
        return None
    try:
        return base64.b64decode(data, validate=True) or None
    except (binascii.Error, ValueError):
        return None
