"""The fourteen stored queries, answered over document entries. Pure.

The form of a query (known id, required slots, repeats, home) is checked where it is parsed; here it
is answered. Submission sets, folders and associations are not kept, so queries for them succeed
empty, as a responding gateway may (facts: ihe-wire 3.2).

Two steps, so that an index reads only what can matter::

    scope = scope_of(query)                  # which rows: one patient, or these ids
    answer = evaluate(query, rows, known_patient=True, policy=policy, now=now)
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from node.errors import WireError
from node.model import (
    DocumentEntry,
    DocumentType,
    HomeCommunityId,
    ObjectRef,
    PatientId,
    QueryAnswer,
    RegistryError,
    ResponseStatus,
    ReturnType,
    StoredQuery,
)
from node.records.document_filter import ParameterError, Test, has_dates, latest, tables, tests_of
from node.wire.identifiers import parse_cx
from node.wire.stored_query_catalogue import catalogue

_BY_IDS = frozenset({"GetDocuments", "GetDocumentsAndAssociations"})
_BY_PATIENT = frozenset({"FindDocuments", "FindDocumentsByReferenceId", "GetAll"})
_DAYS_PER_YEAR = 365.25


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryPolicy:
    """What the community decides about answering.

    Attributes:
        home_community_id: stands on every entry, reference and error.
        default_years: how far back FindDocuments reaches when it names no time (QTF-819 allows
            five years); ``None`` for everything.
        unknown_patient_is_error: answer XDSUnknownPatientId for a patient id that we never gave,
            rather than an empty success.
        max_documents: entries in one LeafClass answer before XDSTooManyResults.
        legacy_schemes: accept codes whose scheme stands in a ``…Scheme`` slot of its own.
    """

    home_community_id: HomeCommunityId
    default_years: int | None = 5
    unknown_patient_is_error: bool = True
    max_documents: int = 5_000
    legacy_schemes: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Which entries a query can be about: those of one patient, or those of these ids."""

    patient_id: PatientId | None = None
    entry_uuids: tuple[str, ...] = ()
    unique_ids: tuple[str, ...] = ()
    logical_ids: tuple[str, ...] = ()


def scope_of(query: StoredQuery) -> Scope:
    """Which entries to read for a query; an empty scope for those about other objects."""
    kind, slots = _kind(query), tables()["slot"]
    if kind in slots["patient"]:
        return Scope(patient_id=_patient_id(query.values(slots["patient"][kind])))
    if kind in _BY_IDS:
        return Scope(
            entry_uuids=query.values(slots["entry_uuid"]),
            unique_ids=query.values(slots["unique_id"]),
            logical_ids=query.values(slots["logical_id"]),
        )
    return Scope()


def evaluate(
    query: StoredQuery,
    documents: Iterable[DocumentEntry],
    *,
    known_patient: bool,
    policy: QueryPolicy,
    now: datetime,
) -> QueryAnswer:
    """Answer a query over the entries of its scope.

    Args:
        query: the query, its form checked.
        documents: at least the entries of ``scope_of(query)``; others are left out again.
        known_patient: whether the patient id of the scope is one of ours.
        policy: what the community decides.
        now: for the years that ``policy.default_years`` counts back.
    """
    kind = _kind(query)
    if kind in tables()["slot"]["patient"] and not known_patient:
        if policy.unknown_patient_is_error:
            return _failure(policy, "XDSUnknownPatientId", "The patient id is not known here.")
        return QueryAnswer()
    try:
        tests = _tests(kind, query, policy, now)
    except ParameterError as error:
        return _failure(policy, "XDSStoredQueryParamNumber", str(error))
    return _answer(query, [e for e in documents if all(test(e) for test in tests)], policy)


def _answer(query: StoredQuery, found: list[DocumentEntry], policy: QueryPolicy) -> QueryAnswer:
    leaf = query.return_type is ReturnType.LEAF_CLASS
    if leaf and len({entry.patient_id for entry in found}) > 1:
        return _failure(
            policy, "XDSResultNotSinglePatient", "The documents belong to more than one patient."
        )
    if leaf and len(found) > policy.max_documents:
        return _failure(
            policy, "XDSTooManyResults", f"More than {policy.max_documents} documents match."
        )
    found.sort(key=lambda e: (latest(e.service_stop or e.creation_time or ""), e.entry_uuid))
    found.reverse()
    if leaf:
        return QueryAnswer(documents=tuple(found))
    return QueryAnswer(
        refs=tuple(
            ObjectRef(
                id=entry.entry_uuid,
                home_community_id=policy.home_community_id,
                patient_id=entry.patient_id,
            )
            for entry in found
        )
    )


def _tests(kind: str | None, query: StoredQuery, policy: QueryPolicy, now: datetime) -> list[Test]:
    """What an entry must pass to be in the answer."""
    scope = scope_of(query)
    if kind in _BY_IDS:
        return [lambda entry: _is_asked_for(entry, scope)]
    if kind not in _BY_PATIENT:
        return [lambda _: False]
    tests = tests_of(query, legacy_schemes=policy.legacy_schemes)
    if kind == "FindDocuments" and policy.default_years is not None and not has_dates(query):
        oldest = now - timedelta(days=policy.default_years * _DAYS_PER_YEAR)
        since = oldest.strftime("%Y%m%d%H%M%S")
        tests.append(lambda entry: _is_recent(entry, since))
    tests.append(lambda entry: entry.patient_id == scope.patient_id)
    return tests


def _is_asked_for(entry: DocumentEntry, scope: Scope) -> bool:
    return (
        entry.entry_uuid in scope.entry_uuids
        or entry.unique_id in scope.unique_ids
        or (entry.logical_id or entry.entry_uuid) in scope.logical_ids
    )


def _is_recent(entry: DocumentEntry, since: str) -> bool:
    """On-demand entries always are, and an entry that has no date is never hidden for its age."""
    times = [t for t in (entry.service_stop, entry.service_start, entry.creation_time) if t]
    return (
        entry.type is DocumentType.ON_DEMAND or not times or any(latest(t) >= since for t in times)
    )


def _kind(query: StoredQuery) -> str | None:
    known = catalogue().queries.get(query.id)
    return None if known is None else known.name


def _patient_id(values: tuple[str, ...]) -> PatientId | None:
    try:
        return parse_cx(values[0]) if values else None
    except WireError:
        return None


def _failure(policy: QueryPolicy, code: str, context: str) -> QueryAnswer:
    return QueryAnswer(
        status=ResponseStatus.FAILURE,
        errors=(RegistryError(code=code, context=context, location=policy.home_community_id),),
    )
