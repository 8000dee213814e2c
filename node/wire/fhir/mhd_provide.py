"""A Provide Document Bundle (ITI-65) read: its documents, or the reason why it is refused. Pure.

A bundle is taken whole or not at all. What this node does not do with a bundle that it takes is a
warning in the answer, with the code that the guide names. Source: IHE MHD 4.2 2:3.65; facts
fhir-and-udap 3.1.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import orjson

from node.model import Demographics
from node.wire.document_facts import DocumentFacts
from node.wire.fhir.mhd_recipients import Recipients, read_recipients
from node.wire.fhir.outcome import CODE_SYSTEM
from node.wire.fhir.problem import FhirProblem
from node.wire.fhir.references import local_reference
from node.wire.fhir_bundle import attachment_facts
from node.wire.fhir_patient import read_patient
from node.wire.fhir_values import Json, child, objects, text
from node.wire.identifiers import is_oid

MOST_ENTRIES: Final = 200
_LIST_TYPES = "https://profiles.ihe.net/ITI/MHD/CodeSystem/MHDlistTypes"
_UPDATE = "Parameters"
_METHODS: Final = {
    "List": ("POST", "PUT"),
    "DocumentReference": ("POST",),
    "Binary": ("POST", "PUT"),
    _UPDATE: ("PATCH",),
    "Patient": None,
}
"""What entries may ask for; a Patient may be there to be looked at alone."""

_RELATIONS: Final = {
    "replaces": "PartialReplaceContentNotProcessed",
    "transforms": "PartialTransformNotProcessed",
    "appends": "PartialAppendContentNotProcessed",
    "signs": "PartialRelationshipNotProcessed",
}
_FOLDER = "PartialFolderContentNotProcessed"
_RECIPIENT = "UnknownRecipient"
_URIS = "urn:ietf:rfc:3986"
_OID = "urn:oid:"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProvidedDocument:
    """A document of the bundle.

    Attributes:
        place: of its DocumentReference in the bundle, from 0.
        facts: its metadata; ``patient`` is empty where only ``subject`` names the person.
        content: its bytes.
        subject: id of a Patient on our own FHIR server, where the person is named so.
    """

    place: int
    facts: DocumentFacts
    content: bytes
    subject: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Provided:
    """A bundle that can be taken.

    Attributes:
        kinds: the resource type of each entry.
        documents: at least one.
        warnings: by the place of the entry, codes of what is not done with it.
        recipients: to whom it is to be sent, where the submission set says so.
        set_id: the submission set's own identifier, where that is an OID.
    """

    kinds: tuple[str, ...]
    documents: tuple[ProvidedDocument, ...]
    warnings: Mapping[int, tuple[str, ...]]
    recipients: Recipients = field(default_factory=Recipients)
    set_id: str | None = None


def read_provided(body: bytes, *, base_url: str) -> Provided:
    """Read the bundle; ``base_url`` is that of our own FHIR server, for its Patients.

    Raises:
        FhirProblem: ``fhir-body-invalid``, ``fhir-search-limit``, ``fhir-document-unsupported``,
            ``fhir-provide-mismatch`` when a document is not what is said of it.
    """
    entries = _entries(body)
    resources = [child(entry, "resource") for entry in entries]
    kinds = tuple(str(each.get("resourceType")) for each in resources)
    _check(entries, kinds, resources)
    names = {
        name: place
        for place, entry in enumerate(entries)
        for name in (text(entry.get("fullUrl")), f"{kinds[place]}/{resources[place].get('id')}")
        if name
    }
    documents: list[ProvidedDocument] = []
    recipients, set_id = Recipients(), None
    warnings: dict[int, tuple[str, ...]] = {}
    for place, resource in enumerate(resources):
        if kinds[place] == "DocumentReference":
            documents.append(_document(place, resource, resources, names, base_url))
            related = [str(each.get("code")) for each in objects(resource.get("relatesTo"))]
            found = tuple(dict.fromkeys(_RELATIONS[r] for r in related if r in _RELATIONS))
            if found:
                warnings[place] = found
        elif kinds[place] == _UPDATE:
            warnings[place] = (_RELATIONS["replaces"],)  # the one replaced stays as it is
        elif kinds[place] == "List" and _list_code(resource) == "folder":
            warnings[place] = (_FOLDER,)
        elif kinds[place] == "List":
            recipients, set_id = read_recipients(resource), _set_id(resource)
            if recipients.others:
                warnings[place] = (_RECIPIENT,)
    return Provided(
        kinds=kinds,
        documents=tuple(documents),
        warnings=warnings,
        recipients=recipients,
        set_id=set_id,
    )


def _entries(body: bytes) -> list[Json]:
    try:
        bundle = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise _invalid("The body is not JSON.") from None
    if not isinstance(bundle, dict) or bundle.get("resourceType") != "Bundle":
        raise _invalid("The body is no Bundle.")
    if bundle.get("type") != "transaction":
        raise _invalid("The Bundle is no transaction.")
    entries = bundle.get("entry")
    if not isinstance(entries, list) or not all(isinstance(each, dict) for each in entries):
        raise _invalid("The Bundle has no entries.")
    if len(entries) > MOST_ENTRIES:
        raise FhirProblem("fhir-search-limit", f"The Bundle has more than {MOST_ENTRIES} entries.")
    return entries


def _check(entries: Sequence[Json], kinds: Sequence[str], resources: Sequence[Json]) -> None:
    if "Bundle" in kinds:
        raise FhirProblem(
            "fhir-document-unsupported",
            "FHIRDocumentNotSupported: documents in FHIR are not taken.",
        )
    for place, (entry, kind) in enumerate(zip(entries, kinds, strict=True), start=1):
        if kind not in _METHODS:
            raise _invalid(f"Entry {place} is of a type that is not taken.")
        allowed = _METHODS[kind]
        if allowed is not None and child(entry, "request").get("method") not in allowed:
            raise _invalid(f"Entry {place} asks for what is not done (request.method).")
    sets = [r for r, kind in zip(resources, kinds, strict=True) if kind == "List"]
    if sum(_list_code(each) == "submissionset" for each in sets) != 1:
        raise _invalid("The Bundle must have one List that is the submission set.")
    if "DocumentReference" not in kinds:
        raise _invalid("The Bundle has no DocumentReference.")


def _list_code(resource: Json) -> str | None:
    for coding in objects(child(resource, "code").get("coding")):
        if coding.get("system") == _LIST_TYPES:
            return text(coding.get("code"))
    return None


def _document(
    place: int,
    reference: Json,
    resources: Sequence[Json],
    names: Mapping[str, int],
    base_url: str,
) -> ProvidedDocument:
    contents = list(objects(reference.get("content")))
    if len(contents) != 1:
        raise _invalid(f"Entry {place + 1}: a DocumentReference has one content.")
    attachment = child(contents[0], "attachment")
    content = _content(place, attachment, resources, names)
    patient, subject = _patient(reference, resources, names, base_url)
    facts = attachment_facts(reference, contents[0], attachment, content, patient)
    unique_id = _unique_id(child(reference, "masterIdentifier"))
    if unique_id is None:
        raise _invalid(f"Entry {place + 1}: the DocumentReference has no masterIdentifier.")
    return ProvidedDocument(
        place=place,
        facts=replace(facts, unique_id=unique_id),
        content=content,
        subject=subject,
    )


def _content(
    place: int, attachment: Json, resources: Sequence[Json], names: Mapping[str, int]
) -> bytes:
    encoded: Any = attachment.get("data")
    if encoded is None:
        target = names.get(str(attachment.get("url")))
        binary = resources[target] if target is not None else {}
        encoded = binary.get("data") if binary.get("resourceType") == "Binary" else None
    if not isinstance(encoded, str):
        raise _invalid(f"Entry {place + 1}: the document is not in the Bundle.")
    try:
        content = base64.b64decode("".join(encoded.split()), validate=True)
    except (binascii.Error, ValueError):
        raise _invalid(f"Entry {place + 1}: the document is not base64.") from None
    size, given = attachment.get("size"), attachment.get("hash")
    if size is not None and size != len(content):
        raise FhirProblem(
            "fhir-provide-mismatch", f"Entry {place + 1}: XDSNonIdenticalSize: the size differs."
        )
    if given is not None and not _is_hash(given, content):
        raise FhirProblem(
            "fhir-provide-mismatch", f"Entry {place + 1}: XDSNonIdenticalHash: the hash differs."
        )
    return content


def _is_hash(given: object, content: bytes) -> bool:
    """The SHA-1 in base64, of its bytes as FHIR says or of its digits as the guide's examples."""
    made = hashlib.sha1(content, usedforsecurity=False)
    try:
        said = base64.b64decode(given if isinstance(given, str) else "", validate=True)
    except (binascii.Error, ValueError):
        return False
    return said in (made.digest(), made.hexdigest().encode())


def _patient(
    reference: Json, resources: Sequence[Json], names: Mapping[str, int], base_url: str
) -> tuple[Demographics, str | None]:
    """The person as the bundle tells them, and the id of our own Patient where that is named."""
    named = str(child(reference, "subject").get("reference") or "")
    target = names.get(named)
    if target is not None and resources[target].get("resourceType") == "Patient":
        return read_patient(resources[target])[0], None
    source = str(child(child(reference, "context"), "sourcePatientInfo").get("reference") or "")
    contained = next(
        (
            each
            for each in objects(reference.get("contained"))
            if each.get("resourceType") == "Patient" and f"#{each.get('id')}" in (source, named)
        ),
        None,
    )
    local = local_reference(named.removeprefix(f"{base_url}/"))
    subject = local[1] if local is not None and local[0] == "Patient" else None
    demographics = read_patient(contained)[0] if contained is not None else Demographics()
    return demographics, subject


def _unique_id(element: Json) -> str | None:
    system, value = text(element.get("system")), text(element.get("value"))
    if system is None or value is None:
        return None
    if system == _URIS:
        return value.removeprefix(_OID)
    return f"{system.removeprefix(_OID)}^{value}" if system.startswith(_OID) else value


def _set_id(resource: Json) -> str | None:
    found = (_unique_id(each) for each in objects(resource.get("identifier")))
    return next((each for each in found if each and is_oid(each)), None)


def unprocessed(code: str) -> dict[str, Any]:
    """The issue about a part of the bundle that was not processed."""
    return {
        "severity": "warning",
        "code": "not-supported",
        "details": {"coding": [{"system": CODE_SYSTEM, "code": code}]},
        "diagnostics": f"{code}: this part was not processed.",
    }


def remark(sentence: str) -> dict[str, Any]:
    """An issue that only informs."""
    return {"severity": "information", "code": "informational", "diagnostics": sentence}


def _invalid(sentence: str) -> FhirProblem:
    return FhirProblem("fhir-body-invalid", sentence)
