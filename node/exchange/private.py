"""The private facts of a leg: what a disclosure report or a reviewer may need, JSON-ready.

They go into the erasable private record of the ledger, never into a leaf, a log or a metric.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Final

from node.exchange.deliver import OutgoingDocument
from node.model import (
    Demographics,
    DocumentEntry,
    DocumentRef,
    Match,
    PatientId,
    Principal,
    RetrievedDocument,
    StoredQuery,
)
from node.wire.submission_set import SubmissionSet
from trust.udap.id_token import digest_of_id_token


def of_principal(principal: Principal) -> dict[str, object]:
    """Group ``who``: the user, the organisation and the role as asserted.

    Of an individual's id_token, its SHA-256: who reads a log can show it to nobody.
    """
    facts = _facts(principal)
    if principal.id_token is not None:
        facts["id_token"] = digest_of_id_token(principal.id_token)
    return facts


def of_patients(patients: Iterable[PatientId]) -> dict[str, object]:
    """Group ``patient``: the identifiers of the people concerned, in CX form."""
    ids = sorted(patient.cx for patient in patients)
    return {"ids": ids} if ids else {}


def of_matches(matches: Iterable[Match]) -> dict[str, object]:
    """Group ``patient`` of a discovery: the identifiers a peer gave."""
    return of_patients(match.patient_id for match in matches)


def of_demographics(demographics: Demographics) -> dict[str, object]:
    """Group ``query`` of a discovery: what was asked with."""
    return {"demographics": _facts(demographics)}


def of_stored_query(query: StoredQuery) -> dict[str, object]:
    """Group ``query`` of a stored query: its id and parameters."""
    return {"id": query.id, "parameters": [[name, list(vs)] for name, vs in query.parameters]}


def of_refs(refs: Sequence[DocumentRef]) -> dict[str, object]:
    """Group ``query`` of a retrieve: the documents asked for."""
    return {"documents": [ref.document_unique_id for ref in refs]}


def of_entries(entries: Iterable[DocumentEntry]) -> list[dict[str, object]]:
    """Group ``docs``: the documents named in an answer."""
    return [
        {
            "id": entry.unique_id,
            "repository": entry.repository_unique_id,
            **({"type": entry.type_code.code} if entry.type_code else {}),
            **({"hash": entry.hash} if entry.hash else {}),
        }
        for entry in entries
    ]


def of_retrieved(documents: Iterable[RetrievedDocument]) -> list[dict[str, object]]:
    """Group ``docs`` of a retrieve as initiator: what came, with the digest of its bytes."""
    return [
        {
            "id": document.ref.document_unique_id,
            "repository": document.ref.repository_unique_id,
            "sha256": document.sha256,
            "size": document.size,
        }
        for document in documents
    ]


def of_submission(submission: SubmissionSet | None) -> dict[str, object]:
    """Group ``query`` of a delivery: the id of the submission set."""
    return {"submission_set": submission.unique_id} if submission is not None else {}


def of_outgoing(documents: Iterable[OutgoingDocument]) -> list[dict[str, object]]:
    """Group ``docs`` of a delivery: what was sent, with the digest of its bytes."""
    return [
        {
            "id": document.entry.unique_id,
            "sha256": document.sha256,
            "size": document.entry.size,
            **({"type": document.entry.type_code.code} if document.entry.type_code else {}),
        }
        for document in documents
    ]


def _facts(value: object) -> dict[str, object]:
    """What a dataclass holds, absent values left out at every depth.

    ``dataclasses.asdict`` copies every value and takes several times as long, for each request.
    """
    found: dict[str, object] = {}
    for name in _names(type(value)):
        held = getattr(value, name)
        if isinstance(held, _PLAIN):
            found[name] = held
        elif held is not None and (nested := _nested(held)):
            found[name] = nested
    return found


def _nested(value: object) -> object:
    if isinstance(value, tuple):
        return [each if isinstance(each, _PLAIN) else _nested(each) for each in value]
    return _facts(value) if is_dataclass(value) else value


_PLAIN: Final = (str, int)
_names: Final[Callable[[type], tuple[str, ...]]] = cache(
    lambda kind: tuple(field.name for field in fields(kind))
)
