"""The search of ITI-67 (MHD): its parameters as a stored query, and what that cannot say. Pure.

What a registry can be asked goes to it (``DocumentSearch`` with its slots); everything is applied
once more to what comes back, because registries differ in what they take, and because many forms
of FHIR have no twin there: prefixes other than ``ge`` and ``lt``, codes without a system,
``date``, ``identifier``, ``related``. Source: IHE MHD 4.2 2:3.67.4.1.2; facts fhir-and-udap 3.1.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Final

from node.errors import WireError
from node.model import HomeCommunityId, PatientId
from node.wire import document_codes
from node.wire.fhir.conditions import (
    DateCondition,
    Prefix,
    TokenCondition,
    date_condition,
    split_escaped,
    token_condition,
    unescaped,
)
from node.wire.fhir.dates import EARLIEST, LATEST
from node.wire.fhir.parameter_values import (
    invalid,
    one_of,
    take_each,
    text_of,
    twice,
    unsupported,
    values_of,
)
from node.wire.fhir.problem import FhirProblem
from node.wire.fhir.query import Pair
from node.wire.fhir.references import is_id, local_reference
from node.wire.identifiers import home_community_id, is_oid

DEFAULT_COUNT: Final = 50
MAX_COUNT: Final = 200
_LONGEST_SLOT = 200
_MAX_DIGITS = 9
_CHAINS = ("patient.identifier", "author.given", "author.family")
_STATUSES = frozenset({"current", "superseded"})
_REVINCLUDE = "Provenance:target"

SLOTS: Final = {
    "category": "$XDSDocumentEntryClassCode",
    "type": "$XDSDocumentEntryTypeCode",
    "setting": "$XDSDocumentEntryPracticeSettingCode",
    "facility": "$XDSDocumentEntryHealthcareFacilityTypeCode",
    "event": "$XDSDocumentEntryEventCodeList",
    "security-label": "$XDSDocumentEntryConfidentialityCode",
    "format": "$XDSDocumentEntryFormatCode",
}
"""Parameters of codes, and the slot of the stored query that says the same."""

_REPEATABLE = frozenset({"event", "security-label"})
_AUTHOR = "$XDSDocumentEntryAuthorPerson"
_CREATED = "$XDSDocumentEntryCreationTime"
_DATES = ("creation", "period", "date")


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentQuestion:
    """What is wanted of whose documents.

    Attributes:
        patient: id of a network patient, where one is named.
        identifier: an identifier of the person, where that is how they are named.
        statuses: ``current`` and ``superseded``, as far as wanted.
        codes, dates, authors, identifiers, related: what an entry must keep, by parameter.
        ids: of DocumentReferences, where some are wanted alone.
        targets: the communities asked alone, where some are named.
        count: documents of a page.
        provenance: whether it is asked along.
        used: what was understood, for the self link.
        ignored: names of what was not.
    """

    patient: str | None = None
    identifier: PatientId | None = None
    statuses: frozenset[str] = _STATUSES
    codes: tuple[tuple[str, tuple[TokenCondition, ...]], ...] = ()
    dates: tuple[tuple[str, DateCondition], ...] = ()
    authors: tuple[Pair, ...] = ()
    identifiers: tuple[tuple[TokenCondition, ...], ...] = ()
    related: tuple[tuple[TokenCondition, ...], ...] = ()
    ids: frozenset[str] = frozenset()
    targets: tuple[HomeCommunityId, ...] = ()
    count: int = DEFAULT_COUNT
    provenance: bool = False
    used: tuple[Pair, ...] = ()
    ignored: tuple[str, ...] = ()

    @property
    def slots(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """The slots of the stored query that say a part of it."""
        found: dict[str, list[tuple[str, ...]]] = {}
        for name, conditions in self.codes:
            values = _coded(conditions)
            if values and (name in _REPEATABLE or SLOTS[name] not in found):
                found.setdefault(SLOTS[name], []).append(values)
        for name, slot in _pattern(self.authors):
            found.setdefault(name, []).append((slot,))
        slots = [(name, values) for name, each in found.items() for values in each]
        since, until = self._range("creation")
        slots += [(f"{_CREATED}From", (since,))] if since else []
        slots += [(f"{_CREATED}To", (until,))] if until else []
        return tuple(slots)

    @property
    def care(self) -> tuple[str | None, str | None]:
        """From when to when the care was, as HL7 timestamps."""
        return self._range("period")

    def _range(self, name: str) -> tuple[str | None, str | None]:
        low, high = EARLIEST, LATEST
        for each, condition in self.dates:
            if each == name:
                low = max(low, _low(condition))
                high = min(high, _high(condition))
        return _digits(low), _digits(high)


def read_document_question(
    pairs: Sequence[Pair], *, strict: bool, base_url: str, now: datetime
) -> DocumentQuestion:
    """Read the parameters; ``base_url`` is that of the network, for absolute references.

    Raises:
        FhirProblem: ``fhir-parameter-unknown`` (strict), ``fhir-parameter-unsupported``,
            ``fhir-value-invalid``, ``fhir-search-limit``, and ``fhir-question-incomplete`` where
            no patient is named.
    """
    reader = _Reader(base_url, now)
    used, ignored = take_each(pairs, reader.take, strict=strict, chains=_CHAINS)
    question = reader.question
    if question.patient is None and question.identifier is None:
        raise FhirProblem(
            "fhir-question-incomplete",
            "Documents are asked for with patient or patient.identifier.",
        )
    return replace(question, used=used, ignored=ignored)


@dataclass(slots=True)
class _Reader:
    base_url: str
    now: datetime
    question: DocumentQuestion = field(default_factory=DocumentQuestion)

    def take(self, whole: str, value: str) -> bool:
        taking = _TAKING.get(whole)
        if taking is not None:
            return taking(self, whole, value)
        name, _, modifier = whole.partition(":")
        if modifier and name in _TAKING:
            raise unsupported(whole)
        return False

    def patient(self, name: str, value: str) -> bool:
        plain = text_of(name, value).removeprefix(f"{self.base_url}/")
        local = local_reference(plain)
        found = plain if local is None else local[1]
        if (local is not None and local[0] != "Patient") or not is_id(found):
            raise invalid(name)
        if self.question.patient not in (None, found):
            raise twice(name)
        self.question = replace(self.question, patient=found)
        return True

    def identifier_of_patient(self, name: str, value: str) -> bool:
        parts = [unescaped(part) for part in split_escaped(one_of(name, value), "|")]
        if len(parts) != 2 or not all(parts):  # noqa: PLR2004 - system and value
            raise FhirProblem("fhir-value-invalid", f"{name} is asked as system|value.")
        if self.question.identifier is not None:
            raise twice(name)
        system = document_codes.fhir_system(parts[0])
        found = PatientId(assigning_authority=system, id=parts[1])
        self.question = replace(self.question, identifier=found)
        return True

    def status(self, name: str, value: str) -> bool:
        wanted = {part.rpartition("|")[2] for part in values_of(name, value)}
        self.question = replace(self.question, statuses=self.question.statuses & frozenset(wanted))
        return True

    def code(self, name: str, value: str) -> bool:
        conditions = _tokens(name, value)
        self.question = replace(self.question, codes=(*self.question.codes, (name, conditions)))
        return True

    def date(self, name: str, value: str) -> bool:
        condition = date_condition(one_of(name, value), name, self.now)
        self.question = replace(self.question, dates=(*self.question.dates, (name, condition)))
        return True

    def author(self, name: str, value: str) -> bool:
        found = (name, text_of(name, value))
        self.question = replace(self.question, authors=(*self.question.authors, found))
        return True

    def identifier(self, name: str, value: str) -> bool:
        found = (*self.question.identifiers, _tokens(name, value))
        self.question = replace(self.question, identifiers=found)
        return True

    def related(self, name: str, value: str) -> bool:
        found = (*self.question.related, _tokens(name, value))
        self.question = replace(self.question, related=found)
        return True

    def targets(self, name: str, value: str) -> bool:
        try:
            found = [home_community_id(part) for part in values_of(name, value)]
        except WireError:
            raise invalid(name) from None
        self.question = replace(self.question, targets=(*self.question.targets, *found))
        return True

    def ids(self, name: str, value: str) -> bool:
        self.question = replace(self.question, ids=frozenset(values_of(name, value)))
        return True

    def count(self, name: str, value: str) -> bool:
        if not (value.isascii() and value.isdecimal() and len(value) <= _MAX_DIGITS):
            raise invalid(name)
        self.question = replace(self.question, count=max(1, min(int(value), MAX_COUNT)))
        return True

    def revinclude(self, _name: str, value: str) -> bool:
        self.question = replace(self.question, provenance=value == _REVINCLUDE)
        return value == _REVINCLUDE

    def sort(self, _name: str, value: str) -> bool:
        return value == "-date"  # the order in which documents come


_TAKING: Final[dict[str, Callable[[_Reader, str, str], bool]]] = {
    "patient": _Reader.patient,
    "patient.identifier": _Reader.identifier_of_patient,
    "status": _Reader.status,
    **dict.fromkeys(SLOTS, _Reader.code),
    **dict.fromkeys(_DATES, _Reader.date),
    "author.given": _Reader.author,
    "author.family": _Reader.author,
    "identifier": _Reader.identifier,
    "related:identifier": _Reader.related,
    "related": _Reader.related,
    "targetCommunityIdList": _Reader.targets,
    "_id": _Reader.ids,
    "_count": _Reader.count,
    "_revinclude": _Reader.revinclude,
    "_sort": _Reader.sort,
}

PARAMETERS: Final = tuple(_TAKING)
"""What is understood, for the CapabilityStatement."""


def _coded(conditions: Sequence[TokenCondition]) -> tuple[str, ...]:
    """``code^^scheme`` of each, or nothing where one of them cannot be said so."""
    values = []
    for each in conditions:
        scheme = document_codes.fhir_system(each.system) if each.system else ""
        value = f"{each.code or ''}^^{scheme}"
        if not each.code or not is_oid(scheme) or len(value) > _LONGEST_SLOT or "^" in each.code:
            return ()
        values.append(value)
    return tuple(values)


def _pattern(authors: Sequence[Pair]) -> list[Pair]:
    """The author's name as a pattern of the registry (SQL LIKE), family before given as in XCN."""
    by_name = dict(reversed(authors))
    parts = [by_name.get("author.family", ""), by_name.get("author.given", "")]
    known = [part for part in parts if part]
    if not known or any(set(part) & set("%_^&") for part in known):
        return []
    pattern = f"%{'%'.join(known)}%"
    return [(_AUTHOR, pattern)] if len(pattern) <= _LONGEST_SLOT else []


def _low(condition: DateCondition) -> int:
    match condition.prefix:
        case Prefix.EQ | Prefix.GE | Prefix.GT | Prefix.SA | Prefix.AP:
            return condition.span.low
    return EARLIEST


def _high(condition: DateCondition) -> int:
    match condition.prefix:
        case Prefix.LT:
            return condition.span.low
        case Prefix.EQ | Prefix.LE | Prefix.EB | Prefix.AP:
            return condition.span.high
    return LATEST


def _digits(milliseconds: int) -> str | None:
    if milliseconds in (EARLIEST, LATEST):
        return None
    try:
        moment = datetime.fromtimestamp(milliseconds / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return None
    return f"{moment.year:04d}{moment:%m%d%H%M%S}"


def _tokens(name: str, value: str) -> tuple[TokenCondition, ...]:
    return tuple(token_condition(part, name) for part in values_of(name, value))
