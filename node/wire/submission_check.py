"""What is wrong with a submission (ITI-80), as registry errors of its answer. Pure.

A submission is taken whole or not at all (facts ihe-wire 17.7, case 12084). Contexts name documents
by their place and attributes by their names: what an entry says of a person never stands in them.

Source: ITI TF-2 3.41.4.1.3, 3.80.4.1.3; ITI TF-3 4.2.4.1; facts ihe-wire 5, 6, 17.7; QTF-912.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from node.model import DocumentEntry, DocumentType, HomeCommunityId, PatientId, RegistryError
from node.wire.identifiers import same_community
from node.wire.xcdr import Submission

__all__ = ["check_content", "check_submission"]

_REQUIRED: Final[Mapping[str, Callable[[DocumentEntry], object]]] = {
    "classCode": lambda e: e.class_code,
    "confidentialityCode": lambda e: e.confidentiality,
    "creationTime": lambda e: e.creation_time,
    "formatCode": lambda e: e.format_code,
    "healthcareFacilityTypeCode": lambda e: e.facility_type,
    "languageCode": lambda e: e.language,
    "practiceSettingCode": lambda e: e.practice_setting,
    "sourcePatientId": lambda e: e.source_patient_id,
    "typeCode": lambda e: e.type_code,
}
"""What an entry must have unless it is labelled as limited (facts ihe-wire 17.7, case 11998a)."""


def check_submission(submission: Submission, own: HomeCommunityId) -> tuple[RegistryError, ...]:
    """Everything that is wrong as far as the message itself tells it; empty for a good one.

    A submission that is not for us gets the one error that says so: nothing else is looked at.
    """
    if submission.target is None:
        return (
            RegistryError(
                code="XDSMissingHomeCommunityId",
                context="The request names no homeCommunityId of the community it is meant for.",
            ),
        )
    if not same_community(submission.target, own):
        return (
            RegistryError(
                code="XDSUnavailableCommunity",
                context="The community that the request is meant for is not reached through here.",
            ),
        )
    return (
        *submission.problems,
        *_of_contents(submission),
        *_of_identity(submission),
        *_of_attributes(submission),
    )


def check_content(
    place: int, entry: DocumentEntry, *, size: int, sha1: str
) -> tuple[RegistryError, ...]:
    """Whether a document is what its entry says of it; ``place`` counts from 1."""
    wrong = []
    if entry.size is not None and entry.size != size:
        wrong.append("size")
    if entry.hash is not None and entry.hash != sha1:
        wrong.append("hash")
    return tuple(
        RegistryError(
            code="XDSRepositoryMetadataError",
            context=f"The {name} of document {place} is not that of its entry.",
        )
        for name in wrong
    )


def _of_contents(submission: Submission) -> Iterable[RegistryError]:
    named = {entry.entry_uuid for entry in submission.documents}
    for place, entry in enumerate(submission.documents, start=1):
        if entry.entry_uuid not in submission.contents:
            yield RegistryError(
                code="XDSMissingDocument", context=f"Document entry {place} has no document."
            )
    unnamed = len(submission.contents.keys() - named)
    if unnamed:
        yield RegistryError(
            code="XDSMissingDocumentMetadata", context=f"{unnamed} documents have no entry."
        )
    if not submission.documents and not submission.problems:
        yield RegistryError(
            code="XDSRegistryMetadataError", context="The submission has no document entry."
        )


def _of_identity(submission: Submission) -> Iterable[RegistryError]:
    documents, own_set = submission.documents, submission.submission_set
    for name in ("unique_id", "entry_uuid"):
        counted = Counter(getattr(entry, name) for entry in documents)
        if any(count > 1 for count in counted.values()):
            yield RegistryError(
                code="XDSRepositoryDuplicateUniqueIdInMessage",
                context="Two document entries have one id.",
            )
            break
    people = {entry.patient_id for entry in documents if entry.patient_id}
    if own_set is not None and own_set.patient_id is not None:
        people.add(own_set.patient_id)
    sources = [entry.source_patient_id for entry in documents if entry.source_patient_id]
    if len(people) > 1 or _are_two(sources):
        yield RegistryError(
            code="XDSPatientIdDoesNotMatch",
            context="The submission is about more than one patient.",
        )


def _are_two(ids: Iterable[PatientId]) -> bool:
    """Whether one authority gave two ids: two authorities may name one person."""
    authorities = Counter(each.assigning_authority for each in set(ids))
    return any(count > 1 for count in authorities.values())


def _of_attributes(submission: Submission) -> Iterable[RegistryError]:
    own_set = submission.submission_set
    for place, entry in enumerate(submission.documents, start=1):
        if entry.type is not DocumentType.STABLE:
            yield _metadata(f"Document entry {place} is not of a stable document.")
        if own_set is not None and entry.entry_uuid not in submission.members:
            yield _metadata(f"Document entry {place} is no member of the submission set.")
        if entry.entry_uuid in submission.limited and own_set is not None and own_set.is_limited:
            continue
        missing = [name for name, value in _REQUIRED.items() if not value(entry)]
        if missing:
            yield _metadata(f"Document entry {place} lacks {', '.join(missing)}.")


def _metadata(sentence: str) -> RegistryError:
    return RegistryError(code="XDSRegistryMetadataError", context=sentence)
