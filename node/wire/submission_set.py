"""The SubmissionSet of a submission: RegistryPackage ⇄ ``SubmissionSet``.

Source: ITI TF-3 4.2.3.3, table 4.2.3.3-1; facts ihe-wire 3.3 (other identifiers), 5.
"""

from __future__ import annotations

from dataclasses import dataclass

from lxml import etree

from node.errors import WireError
from node.model import Author, Code, PatientId
from node.wire.deviations import ContentDeviation, Deviations
from node.wire.document_entry import parse_author
from node.wire.ebxml import (
    Owner,
    code_in,
    code_text,
    localized,
    localized_text,
    registry_terms,
    slot_text,
    slots_of,
)
from node.wire.elements import first, grouped, limited
from node.wire.extrinsic_object import author_text
from node.wire.identifiers import is_oid, parse_cx
from node.wire.timestamps import parse_time

__all__ = ["SubmissionSet", "parse_submission_set", "submission_set_text"]

_SUBMISSION_TIME = "submissionTime"
_INTENDED_RECIPIENT = "intendedRecipient"


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmissionSet:
    """What binds the documents of one submission together.

    Attributes:
        entry_uuid: the package's id inside the message.
        unique_id: an OID.
        source_id: OID of the system that submits.
        submission_time: HL7 text of digits in UTC.
        patient_id: the recipient's id of the person, where the source knows it (optional in XCDR).
        content_type: contentTypeCode, the clinical act that led to the submission.
        authors: who made it.
        intended_recipients: ``XON|XCN|XTN`` texts, kept as received.
        is_limited: whether it is labelled as carrying limited metadata.
    """

    entry_uuid: str
    unique_id: str
    source_id: str
    submission_time: str | None = None
    patient_id: PatientId | None = None
    content_type: Code | None = None
    authors: tuple[Author, ...] = ()
    intended_recipients: tuple[str, ...] = ()
    title: str | None = None
    comments: str | None = None
    is_limited: bool = False


def submission_set_text(submission: SubmissionSet) -> str:
    """A RegistryPackage as XML text in the prefix ``rim``, children in the order of the schema.

    Raises:
        OurFault: ``text-not-xml`` for characters XML cannot carry.
    """
    owner = Owner(submission.entry_uuid)
    slots = {
        _SUBMISSION_TIME: (submission.submission_time,) if submission.submission_time else (),
        _INTENDED_RECIPIENT: submission.intended_recipients,
    }
    patient = submission.patient_id
    return "".join(
        (
            f'<rim:RegistryPackage id="{owner.id}">',
            *[slot_text(name, values) for name, values in slots.items() if values],
            localized_text("Name", submission.title),
            localized_text("Description", submission.comments),
            owner.node("submission_set"),
            owner.node("limited_set") if submission.is_limited else "",
            *[
                owner.classification("set_author", position, author_text(author))
                for position, author in enumerate(submission.authors)
            ],
            owner.classification("set_content_type", 0, code_text(submission.content_type))
            if submission.content_type
            else "",
            owner.external_identifier("set_unique_id", submission.unique_id),
            owner.external_identifier("set_source_id", submission.source_id),
            owner.external_identifier("set_patient_id", patient.cx) if patient else "",
            "</rim:RegistryPackage>",
        )
    )


def parse_submission_set(
    element: etree._Element, deviations: Deviations, *, is_limited: bool
) -> SubmissionSet:
    """Read a RegistryPackage that is a submission set; missing ids are empty.

    Raises:
        LimitError: ``too-many-values``, ``value-too-long``.
    """
    parts = grouped(element)
    terms = registry_terms()
    slots = slots_of(parts.get("Slot", ()))
    identifiers = {
        (each.get("identificationScheme") or "").strip().lower(): limited(
            each.get("value") or "", "ExternalIdentifier/@value"
        )
        for each in parts.get("ExternalIdentifier", ())
    }
    content_type: Code | None = None
    authors: list[Author] = []
    for each in parts.get("Classification", ()):
        attribute = terms.attributes.get((each.get("classificationScheme") or "").strip().lower())
        if attribute == "set_author" and (author := parse_author(each)) is not None:
            authors.append(author)
        elif attribute == "set_content_type":
            content_type = content_type or code_in(each, deviations)
    unique_id = identifiers.get(terms.identifications["set_unique_id"][0], "")
    if not is_oid(unique_id):
        deviations.add(ContentDeviation.UNIQUE_ID_FORM)
    return SubmissionSet(
        entry_uuid=limited(element.get("id") or "", "RegistryPackage/@id"),
        unique_id=unique_id,
        source_id=identifiers.get(terms.identifications["set_source_id"][0], ""),
        submission_time=_time(slots.get(_SUBMISSION_TIME, ()), deviations),
        patient_id=_patient(
            identifiers.get(terms.identifications["set_patient_id"][0]), deviations
        ),
        content_type=content_type,
        authors=tuple(authors),
        intended_recipients=slots.get(_INTENDED_RECIPIENT, ()),
        title=localized(first(parts, "Name")),
        comments=localized(first(parts, "Description")),
        is_limited=is_limited,
    )


def _time(values: tuple[str, ...], deviations: Deviations) -> str | None:
    if not values:
        return None
    time = parse_time(values[0])
    if time is None:
        deviations.add(ContentDeviation.TIME_INVALID)
    elif time != values[0]:
        deviations.add(ContentDeviation.TIME_ISO)
    return time


def _patient(raw: str | None, deviations: Deviations) -> PatientId | None:
    if not raw:
        return None
    try:
        return parse_cx(raw)
    except WireError:
        deviations.add(ContentDeviation.PATIENT_ID_FORM)
        return None
