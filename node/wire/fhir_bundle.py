"""FHIR R4 Bundles → documents of one person.

What becomes a document (our decision, because neither IHE nor TEFCA says):

* The bundle as a whole is one stable document, ``application/fhir+json``, typed as a summary
  (LOINC 34133-9): a partner who asks by document gets everything the export holds, unchanged.
* Each file *inside* it — an attachment of a DocumentReference, inline or in a Binary of the same
  bundle — is a document of its own, with the DocumentReference's metadata. A CDA among them is read
  by :mod:`node.wire.cda`, because its own header says more.

Attachments that only point elsewhere are skipped and noted: fetching them is not a codec's work.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass, replace
from typing import Any

import orjson

from node.errors import LimitError, WireError
from node.model import Author, Code, Demographics
from node.wire import document_codes
from node.wire.cda import read_document
from node.wire.cda_patient import source_patient_id
from node.wire.document_facts import DocumentFacts, Note
from node.wire.fhir_patient import read_patient
from node.wire.fhir_values import Json, child, codes, identifier, objects, text, time

MIME_TYPE = "application/fhir+json"
MAX_ENTRIES = 200_000
MAX_ATTACHMENTS = 1_000
CDA_TYPES = frozenset({"text/xml", "application/xml", "application/hl7-sda+xml"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """A file inside the bundle: what is said about it, and its bytes."""

    facts: DocumentFacts
    content: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleFacts:
    """A bundle as a document, and the documents inside it."""

    facts: DocumentFacts
    attachments: tuple[Attachment, ...]


def read_bundle(data: bytes) -> BundleFacts:
    """Read a FHIR R4 Bundle with exactly one Patient.

    Raises:
        LimitError: ``fhir-limit`` past ``MAX_ENTRIES`` entries.
        WireError: ``fhir-malformed`` for what is not JSON, ``fhir-not-a-bundle``,
            ``fhir-patient-missing``, ``fhir-patient-several``, ``fhir-patient-unusable``.
    """
    try:
        bundle = orjson.loads(data)
    except orjson.JSONDecodeError:
        raise WireError("fhir-malformed", "The file is not JSON.") from None
    if not isinstance(bundle, dict) or bundle.get("resourceType") != "Bundle":
        raise WireError("fhir-not-a-bundle", "The JSON is not a FHIR Bundle.")
    resources = _resources(bundle)
    patient, notes = _patient(resources)
    attachments, skipped = _attachments(bundle, resources, patient)
    return BundleFacts(
        facts=_bundle_facts(bundle, resources, patient, (*notes, *skipped)),
        attachments=attachments,
    )


def _resources(bundle: Json) -> list[Json]:
    entries = bundle.get("entry")
    if not isinstance(entries, list):
        return []
    if len(entries) > MAX_ENTRIES:
        raise LimitError("fhir-limit", f"The Bundle has more than {MAX_ENTRIES} entries.")
    found = (e.get("resource") for e in entries if isinstance(e, dict))
    return [r for r in found if isinstance(r, dict)]


def _patient(resources: list[Json]) -> tuple[Demographics, tuple[Note, ...]]:
    patients = [r for r in resources if r.get("resourceType") == "Patient"]
    if not patients:
        raise WireError("fhir-patient-missing", "The Bundle has no Patient.")
    if len(patients) > 1:
        raise WireError("fhir-patient-several", "The Bundle has more than one Patient.")
    patient, notes = read_patient(patients[0])
    if not patient.names:
        raise WireError("fhir-patient-unusable", "The Bundle's Patient has no name.")
    return patient, notes


def _bundle_facts(
    bundle: Json, resources: list[Json], patient: Demographics, notes: tuple[Note, ...]
) -> DocumentFacts:
    type_ = document_codes.type_code(document_codes.bundle("type"))
    starts, stops = _care(resources)
    created = time(bundle.get("timestamp")) or time(child(bundle, "meta").get("lastUpdated"))
    found = list(notes)
    if created is None:
        # The last thing recorded is when the bundle was true; when it was exported nobody knows.
        created = max(stops, default=None)
        found.append(Note.CREATION_TIME_MISSING)
    own = identifier(child(bundle, "identifier"))
    return DocumentFacts(
        patient=patient,
        mime_type=MIME_TYPE,
        source_patient_id=source_patient_id(patient),
        unique_id=f"{own.assigning_authority}^{own.id}" if own else None,
        type_code=type_,
        class_code=document_codes.class_code(type_),
        format_code=document_codes.plain_format(),
        title=document_codes.bundle("title"),
        language=text(bundle.get("language")),
        confidentiality=_confidentiality(child(bundle, "meta").get("security")),
        creation_time=created,
        service_start=min(starts, default=created),
        service_stop=max(stops, default=created),
        notes=tuple(dict.fromkeys(found)),
    )


def _care(resources: list[Json]) -> tuple[list[str], list[str]]:
    """Start and stop times of all encounters."""
    periods = [child(r, "period") for r in resources if r.get("resourceType") == "Encounter"]
    starts = [t for p in periods for t in [time(p.get("start"))] if t]
    return starts, [t for p in periods for t in [time(p.get("end"))] if t] or starts


def _confidentiality(labels: object) -> tuple[Code, ...]:
    wanted = document_codes.system("confidentiality")
    return tuple(
        document_codes.confidentiality(c.code) for c in codes(labels) if c.scheme == wanted
    )


def _attachments(
    bundle: Json, resources: list[Json], patient: Demographics
) -> tuple[tuple[Attachment, ...], tuple[Note, ...]]:
    binaries = _binaries(bundle)
    found: list[Attachment] = []
    skipped: list[Note] = []
    for reference in resources:
        if reference.get("resourceType") != "DocumentReference":
            continue
        for content in objects(reference.get("content")):
            attachment = child(content, "attachment")
            data = _data(attachment, binaries)
            if data is None or len(found) >= MAX_ATTACHMENTS:
                skipped.append(Note.ATTACHMENT_SKIPPED)
                continue
            facts = attachment_facts(reference, content, attachment, data, patient)
            found.append(Attachment(facts=facts, content=data))
    return tuple(found), tuple(skipped[:1])


def _binaries(bundle: Json) -> dict[str, str]:
    """Base64 content of the bundle's Binary resources by every name a reference may use."""
    found: dict[str, str] = {}
    entries: list[Any] = bundle.get("entry") or []
    for entry in entries:
        resource = child(entry, "resource")
        data = resource.get("data")
        if resource.get("resourceType") == "Binary" and isinstance(data, str):
            for name in (text(entry.get("fullUrl")), f"Binary/{resource.get('id')}"):
                if name:
                    found[name] = data
    return found


def _data(attachment: Json, binaries: dict[str, str]) -> bytes | None:
    inline = attachment.get("data")
    encoded = inline if isinstance(inline, str) else binaries.get(str(attachment.get("url")))
    if not encoded:
        return None
    try:
        return base64.b64decode("".join(encoded.split()), validate=True) or None
    except (binascii.Error, ValueError):
        return None


def attachment_facts(
    reference: Json, content: Json, attachment: Json, data: bytes, patient: Demographics
) -> DocumentFacts:
    """What a DocumentReference says of one of its contents; the header of a C-CDA says more."""
    mime = (text(attachment.get("contentType")) or "application/octet-stream").split(";")[0].strip()
    if mime in CDA_TYPES:
        try:
            return replace(read_document(data), patient=patient)
        except WireError:
            pass  # some other XML: the DocumentReference describes it
    type_ = _loinc_first(codes(reference.get("type")))
    context, own = child(reference, "context"), identifier(child(reference, "masterIdentifier"))
    created = time(attachment.get("creation")) or time(reference.get("date"))
    period = child(context, "period")
    start = time(period.get("start")) or created
    format_ = codes(content.get("format"))
    return DocumentFacts(
        patient=patient,
        mime_type=mime,
        source_patient_id=source_patient_id(patient),
        unique_id=f"{own.assigning_authority}^{own.id}" if own else None,
        type_code=type_,
        class_code=_loinc_first(codes(reference.get("category")), exact=True)
        or (document_codes.class_code(type_) if type_ else None),
        format_code=format_[0] if format_ else document_codes.plain_format(),
        title=text(attachment.get("title")) or text(reference.get("description")),
        language=text(attachment.get("language")) or text(reference.get("language")),
        confidentiality=_confidentiality(reference.get("securityLabel")),
        creation_time=created,
        service_start=start,
        service_stop=time(period.get("end")) or start,
        authors=_authors(reference),
        facility_type=next(iter(codes(context.get("facilityType"))), None),
        practice_setting=next(iter(codes(context.get("practiceSetting"))), None),
        event_codes=codes(context.get("event")),
        notes=() if created else (Note.CREATION_TIME_MISSING,),
    )


def _loinc_first(found: tuple[Code, ...], *, exact: bool = False) -> Code | None:
    loinc = [c for c in found if c.scheme == document_codes.system("loinc")]
    if loinc:
        return document_codes.type_code(loinc[0].code, loinc[0].display)
    return None if exact or not found else found[0]


def _authors(reference: Json) -> tuple[Author, ...]:
    """Names only: a FHIR reference's display has no parts and no id that a partner could use."""
    names = (text(a.get("display")) for a in objects(reference.get("author")))
    return tuple(
        Author(person="^" + name.replace("^", " ").replace("&", " ")) for name in names if name
    )
