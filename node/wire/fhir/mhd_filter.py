"""Whether a document that a community named keeps what was asked (ITI-67). Pure."""

from __future__ import annotations

from collections.abc import Sequence

from node.model import Author, Availability, Code, DocumentEntry
from node.wire import document_codes
from node.wire.fhir.authored import document_id
from node.wire.fhir.conditions import DateCondition, Prefix, TokenCondition
from node.wire.fhir.dates import EARLIEST, LATEST, Span, parse_span
from node.wire.fhir.elements import fhir_time
from node.wire.fhir.mhd_search import DocumentQuestion
from node.wire.identifiers import is_oid

_URIS = ("urn:oid:", "urn:uuid:")
_XCN_FAMILY, _XCN_GIVEN, _XCN_FURTHER = 1, 2, 3


def keeps(question: DocumentQuestion, entry: DocumentEntry) -> bool:
    """Whether an entry is what was asked for."""
    status = "current" if entry.status is Availability.APPROVED else "superseded"
    return (
        status in question.statuses
        and (not question.ids or document_id(entry) in question.ids)
        and all(_has_code(entry, name, conditions) for name, conditions in question.codes)
        and all(
            _holds(name, condition, span)
            for name, condition in question.dates
            for span in [_span(entry, name)]
            if span is not None
        )
        and all(name != "date" or _span(entry, name) is not None for name, _ in question.dates)
        and all(_written_by(entry.authors, name, text) for name, text in question.authors)
        and all(_is_named(entry, conditions) for conditions in question.identifiers)
        and all(_is_related(entry, conditions) for conditions in question.related)
    )


def _has_code(entry: DocumentEntry, name: str, conditions: Sequence[TokenCondition]) -> bool:
    codes: dict[str, tuple[Code | None, ...]] = {
        "category": (entry.class_code,),
        "type": (entry.type_code,),
        "setting": (entry.practice_setting,),
        "facility": (entry.facility_type,),
        "event": entry.event_codes,
        "security-label": entry.confidentiality,
        "format": (entry.format_code,),
    }
    return any(_is_code(c, code) for c in conditions for code in codes[name] if code is not None)


def _is_code(condition: TokenCondition, code: Code) -> bool:
    if condition.code not in (None, code.code):
        return False
    if condition.system is None or not is_oid(code.scheme):
        return True  # a scheme that is no OID is a name of the registry's own
    return document_codes.fhir_system(condition.system) == code.scheme


def _span(entry: DocumentEntry, name: str) -> Span | None:
    """When it was; ``None`` where the entry does not say: the registry has decided that."""
    if name in ("creation", "date"):
        text = fhir_time(entry.creation_time)
        return parse_span(text) if text else None
    start, stop = fhir_time(entry.service_start), fhir_time(entry.service_stop)
    if start is None and stop is None:
        return None
    first = parse_span(start) if start else None
    last = parse_span(stop) if stop else None
    return Span(low=first.low if first else EARLIEST, high=last.high if last else LATEST)


def _holds(name: str, condition: DateCondition, span: Span) -> bool:
    """Whether a time keeps a condition; care that lasted into the day of ``ge`` does (ITI-18)."""
    if name == "period" and condition.prefix is Prefix.GE:
        return span.high > condition.span.low
    return condition.holds(span)


def _written_by(authors: Sequence[Author], name: str, text: str) -> bool:
    wanted = text.casefold()
    for author in authors:
        parts = (author.person or "").split("^") + [""] * 4
        family = [parts[_XCN_FAMILY]]
        given = [parts[_XCN_GIVEN], *parts[_XCN_FURTHER].split(" ")]
        found = family if name == "author.family" else given
        if any(each.casefold().startswith(wanted) for each in found):
            return True
    return False


def _is_named(entry: DocumentEntry, conditions: Sequence[TokenCondition]) -> bool:
    names = {_bare(entry.unique_id), _bare(entry.entry_uuid), _bare(entry.logical_id or "")}
    return any(c.code is not None and _bare(c.code) in names for c in conditions)


def _is_related(entry: DocumentEntry, conditions: Sequence[TokenCondition]) -> bool:
    """CXi: ``id^^^&oid&ISO^type``; an id that is an OID or UUID stands without an authority."""
    for reference in entry.reference_ids:
        parts = reference.split("^") + [""] * 4
        authority = [*parts[3].split("&"), "", ""][1]
        for each in conditions:
            if each.code is None or _bare(each.code) != _bare(parts[0]):
                continue
            if each.system in (None, "", "urn:ietf:rfc:3986"):
                return True
            if document_codes.fhir_system(each.system or "") == authority:
                return True
    return False


def _bare(text: str) -> str:
    lowered = text.lower()
    return next((lowered.removeprefix(p) for p in _URIS if lowered.startswith(p)), lowered)
