"""The filter of the log: one frozen object for the command line, the console and the API.

It knows its SQL (``filter_sql``), its sentence and its qualifiers (``filter_text``). Here are its
parts and what can be said of it without a database. Pure: ``at`` gets the time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from node.errors import OurFault
from node.ledger import leaf
from node.ledger.private import LedgerKey
from node.ledger.qualifiers import MAX_VALUES, QUALIFIERS, TOKEN, Qualifier, unreadable
from node.model import PatientId

Value = str | PatientId
Moment = datetime | timedelta
"""An instant, or how long ago it was."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """The values that one qualifier may have; at most one of the two is set in a filter.

    Attributes:
        any_of: an entry must have one of these.
        none_of: an entry must have another one of the closed set than these.
    """

    any_of: tuple[str, ...] = ()
    none_of: tuple[str, ...] = ()


Given = Value | tuple[Value, ...] | Term | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerFilter:
    """Which entries; all fields that are set must hold, and each may hold with any of its values.

    A field takes one value, several, or a ``Term``; it then holds a ``Term`` with canonical values
    in canonical order, so that equal filters are equal objects.

    Attributes:
        since: entries that began at or after this, or so long ago.
        until: entries that began before this.
        peer: HCIDs of the other side.
        kind: of the entries, such as ``exchange`` or ``cert``.
        act: of changes of trust, such as ``anchor-add``.
        transaction: as in the leaf, such as ``ITI-55``.
        mark: marks of legs, as they were counted (``governance.tallying``).
        case: numbers of cases: the exchanges in their baskets, and what was said in them.
        message_id: of the leg's own message, whatever its form.
        relates_to: of the message answered (UUID form).
        patient: identifiers of a person (CX); needs the ledger key, as the next two.
        user: the user id of the person who asked.
        document: unique id of a document.

    Raises:
        OurFault: ``filter-unreadable`` for values that a field cannot have.
    """

    since: Moment | None = None
    until: Moment | None = None
    peer: Given = None
    kind: Given = None
    act: Given = None
    transaction: Given = None
    outcome: Given = None
    direction: Given = None
    purpose: Given = None
    reason: Given = None
    mark: Given = None
    exchange_id: Given = None
    case: Given = None
    message_id: Given = None
    relates_to: Given = None
    patient: Given = None
    user: Given = None
    document: Given = None

    def __post_init__(self) -> None:
        for qualifier in QUALIFIERS.values():
            given = getattr(self, qualifier.field)
            if given is not None:
                object.__setattr__(self, qualifier.field, _term(qualifier, given))

    def terms(self) -> Iterator[tuple[Qualifier, Term]]:
        """The qualifiers that are set, in the table's order."""
        for qualifier in QUALIFIERS.values():
            term = getattr(self, qualifier.field)
            if term is not None:
                yield qualifier, term

    @property
    def needs_key(self) -> bool:
        """Whether only the ledger key finds what it chooses."""
        return any(
            personal(qualifier, value) and not TOKEN.fullmatch(value)
            for qualifier, term in self.terms()
            for value in term.any_of
        )

    def at(self, now: datetime) -> LedgerFilter:
        """The same filter with instants in place of "so long ago": it stays what it is."""
        return replace(self, since=_instant(self.since, now), until=_instant(self.until, now))

    def tokenized(self, key: LedgerKey) -> LedgerFilter:
        """The same filter with keyed tokens in place of values about a person."""
        changed: dict[str, Given] = {}
        for qualifier, term in self.terms():
            if any(personal(qualifier, value) for value in term.any_of):
                changed[qualifier.field] = tuple(
                    f"~{token_of(qualifier, value, key).hex()}"
                    if personal(qualifier, value)
                    else value
                    for value in term.any_of
                )
        return replace(self, **changed)  # type: ignore[arg-type]


def personal(qualifier: Qualifier, value: str) -> bool:
    """Whether a value may be about a person: also a message id of a peer's own form may be."""
    return qualifier.personal or (qualifier.name == "message" and not leaf.fits("msg", value))


def token_of(qualifier: Qualifier, value: str, key: LedgerKey | None) -> bytes:
    """The token by which a value is found.

    Raises:
        OurFault: ``ledger-filter-invalid`` without the ledger key.
    """
    if TOKEN.fullmatch(value):
        return bytes.fromhex(value[1:])
    if key is None:
        raise OurFault("ledger-filter-invalid", "This filter needs the ledger key of the node.")
    return key.token(qualifier.name, value)


def allowed(qualifier: Qualifier, term: Term) -> tuple[str, ...]:
    """The values that an entry may have under a term."""
    return term.any_of or tuple(v for v in qualifier.values if v not in term.none_of)


def _term(qualifier: Qualifier, given: Value | tuple[Value, ...] | Term) -> Term:
    chosen: tuple[Value, ...]
    excluded: tuple[Value, ...] = ()
    match given:
        case Term():
            chosen, excluded = given.any_of, given.none_of
        case tuple():
            chosen = given
        case _:
            chosen = (given,)
    any_of, none_of = _values(qualifier, chosen), _values(qualifier, excluded)
    if none_of and not qualifier.excluding:
        raise unreadable(
            f"{qualifier.name} cannot be excluded: no index finds everything else."
            f" These can: {', '.join(q.name for q in QUALIFIERS.values() if q.excluding)}."
        )
    if any_of and none_of:
        any_of, none_of = tuple(v for v in any_of if v not in none_of), ()
    term = Term(any_of=any_of, none_of=none_of)
    left = allowed(qualifier, term) or (qualifier.open_excluding and none_of)
    if not left or not (any_of or none_of):
        raise unreadable(f"{qualifier.name} has no value left, so nothing can fit.")
    return term


def _values(qualifier: Qualifier, given: tuple[Value, ...]) -> tuple[str, ...]:
    texts = (v.cx if isinstance(v, PatientId) else str(v) for v in given)
    found = {qualifier.value(text) for text in texts}
    if len(found) > MAX_VALUES:
        raise unreadable(f"{qualifier.name} has more than {MAX_VALUES} values.")
    if qualifier.values:
        return tuple(value for value in qualifier.values if value in found)
    return tuple(sorted(found))


def _instant(moment: Moment | None, now: datetime) -> datetime | None:
    return now - moment if isinstance(moment, timedelta) else moment
