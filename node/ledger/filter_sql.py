"""The SQL of a filter: pages newest first, pages in log order, capped counts.

**One condition leads.** Each index of the log is ordered by time, so a page of one condition is
read from its index and nothing else. Of several conditions one leads: its index is read, and the
entries found there are tried on the others, which are written so that no index serves them. Else
each planner would guess, and both guess wrong where it hurts: a peer with millions of entries and
an outcome with a few. ``leading`` says which it is; ``find`` asks the indexes which is rarest.

**A case** is the exception: its entries are few, wherever they are, and are sorted
(``filter_case``).

**Several values** of the leading condition are as many ordered reads of its index, each of one page
at most, merged: an index cannot give two of its values in the order of time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, cast

from sqlalchemy import (
    ColumnElement,
    CompoundSelect,
    FromClause,
    Select,
    Table,
    func,
    literal_column,
    select,
    true,
    tuple_,
    union,
    union_all,
)

from node.errors import OurFault
from node.ledger import filter_case, leaf
from node.ledger.filter import LedgerFilter, Moment, Term, allowed, personal, token_of
from node.ledger.leaf import Kind
from node.ledger.private import LedgerKey
from node.ledger.qualifiers import Qualifier
from node.storage.tables import ENTRY, NO_EXCHANGE, TOKEN
from node.storage.tally_tables import MARK

PAGE_LIMIT: Final = 1000
"""Entries of the largest page."""

_RAREST_FIRST: Final = (
    "exchange", "case", "message", "relates-to", "document", "patient", "user", "mark", "reason",
    "act", "peer", "kind", "purpose", "outcome", "transaction", "direction",
)  # fmt: skip
"""Which condition leads when nobody counted: what chooses least, as a rule."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cursor:
    """Where the next page begins: after the entry with this time and number."""

    t: int
    seq: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """One condition: values of a column, numbers of cases, or what a table of rows has.

    ``rows`` is that table (tokens, marks): its key is the value, then ``t`` and ``seq``. With
    ``without`` an entry must have no such row.
    """

    name: str
    column: ColumnElement[Any] | None = None
    case: bool = False
    rows: Table = TOKEN
    without: bool = False
    values: tuple[str, ...] | tuple[bytes, ...]

    @property
    def leads(self) -> bool:
        """Whether an index gives its entries in order; exchanges are found by time alone."""
        return not self.without and not (self.name == "kind" and Kind.EXCHANGE.value in self.values)

    def key_of(self, table: FromClause) -> ColumnElement[Any]:
        """The column of the table of rows that has the values."""
        return next(iter(table.c))

    def looked_up(self, t: Any, seq: Any, name: str) -> ColumnElement[bool]:
        """Whether an entry has a row, by the row's whole key: one is read, not all of a value."""
        other = self.rows.alias(name)
        found = (
            select(literal_column("1"))
            .where(self.key_of(other).in_(self.values), other.c.t == t, other.c.seq == seq)
            .exists()
        )
        return ~found if self.without else found

    def tried(self) -> ColumnElement[bool]:
        """The condition on an entry that another one found, in a form that no index serves."""
        if self.case:
            return filter_case.tried(tuple(map(str, self.values)))
        # planners know how much this lets through. A form that hides the column (``column || ''``)
        # looks rarer to PostgreSQL than it is: of two of them it expects so little that it reads
        # all that the leading condition has, and sorts it
        column = cast("ColumnElement[Any]", self.column)
        one = len(self.values) == 1
        return (column == self.values[0] if one else column.in_(self.values)).is_(true())


def statement(
    chosen: LedgerFilter,
    key: LedgerKey | None,
    *,
    limit: int,
    after: Cursor | None = None,
    leading: str | None = None,
) -> Select[Any]:
    """The SQL of one page, newest first; its rows are (seq, entry_id, leaf).

    ``leading`` is the name of the qualifier that leads, one of ``leaders``.

    Raises:
        OurFault: ``ledger-filter-invalid``: a limit out of bounds, an instant without time zone, a
            time that is relative still, or a person's filter without the ledger key.
    """
    if not 1 <= limit <= PAGE_LIMIT + 1:
        raise OurFault("ledger-filter-invalid", f"A page has 1 to {PAGE_LIMIT} entries.")
    row = (ENTRY.c.seq, ENTRY.c.entry_id, ENTRY.c.leaf)
    branches = _branches(chosen, key, after=after, leading=leading)
    if len(branches) == 1:
        found = branches[0]
        joined = found.source if found.has_entry else found.with_entry()
        query = select(*row).select_from(joined).where(*found.where)
        return query.order_by(found.t.desc(), found.seq.desc()).limit(limit)
    page = _merged(branches, limit).subquery("page")
    newest = (page.c.t.desc(), page.c.seq.desc())
    merged = select(page.c.t, page.c.seq).order_by(*newest).limit(limit).subquery("merged")
    query = select(*row).join_from(merged, ENTRY, ENTRY.c.seq == merged.c.seq)
    return query.order_by(merged.c.t.desc(), merged.c.seq.desc())


def statement_of_times(
    chosen: LedgerFilter, key: LedgerKey | None, *, limit: int, leading: str | None = None
) -> Select[Any]:
    """The SQL of when the newest entries began, up to a limit; its rows are (t, seq).

    Raises:
        OurFault: ``ledger-filter-invalid``, as ``statement``.
    """
    times = _merged(_branches(chosen, key, leading=leading), limit).subquery("times")
    newest = (times.c.t.desc(), times.c.seq.desc())
    return select(times.c.t, times.c.seq).order_by(*newest).limit(limit)


def count_statement(
    chosen: LedgerFilter,
    key: LedgerKey | None,
    *,
    limit: int,
    leading: str | None = None,
    alone: bool = False,
) -> Select[Any]:
    """The SQL that counts entries up to a limit; ``alone``: of the leading condition and the times.

    Raises:
        OurFault: ``ledger-filter-invalid``, as ``statement``.
    """
    branches = _branches(chosen, key, leading=leading, alone=alone)
    some = _merged(branches, limit, ordered=False).subquery("some")
    capped = select(literal_column("1")).select_from(some).limit(limit).subquery("capped")
    return select(func.count()).select_from(capped)


def leaders(chosen: LedgerFilter, key: LedgerKey | None) -> list[str]:
    """The qualifiers that may lead, the likely rarest first."""
    names = {part.name for part in _parts(chosen, key) if part.leads}
    return [name for name in _RAREST_FIRST if name in names]


def statement_in_log_order(
    chosen: LedgerFilter, key: LedgerKey | None, *, after: int, bound: int, limit: int
) -> Select[Any]:
    """The SQL of the entries with numbers above ``after`` and up to ``bound``, by their numbers.

    Whoever reads all pages reads the table once, along its primary key (or, for a person's filter,
    the rows of a token): the indexes of ``statement`` are ordered by time, and each page would sort
    anew all that the filter chooses.

    Raises:
        OurFault: ``ledger-filter-invalid``, as ``statement``.
    """
    seq = ENTRY.c.seq
    query = select(seq, ENTRY.c.entry_id, ENTRY.c.leaf)
    for part in _parts(chosen, key):
        if part.case:
            numbers = tuple(map(str, part.values))
            query = query.where(seq.in_(filter_case.in_log_order(numbers, after, bound)))
        elif part.column is None:
            if part.without:
                query = query.where(part.looked_up(ENTRY.c.t, seq, "excluded"))
                continue
            table = part.rows
            rows = select(table.c.seq).where(
                part.key_of(table).in_(part.values), table.c.seq > after, table.c.seq <= bound
            )
            query = query.where(seq.in_(rows))
        else:
            query = query.where(part.tried())
    query = query.where(*_within(chosen, ENTRY.c.t + 0))
    return query.where(seq > after, seq <= bound).order_by(seq).limit(limit)


# --- parts ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Branch:
    """One ordered read: of an index of the entries, or of a token's rows."""

    source: FromClause
    where: tuple[ColumnElement[bool], ...]
    t: ColumnElement[int]
    seq: ColumnElement[int]
    has_entry: bool

    def with_entry(self) -> FromClause:
        """The source joined with its entries."""
        return self.source.join(ENTRY, ENTRY.c.seq == self.seq)


def _branches(
    chosen: LedgerFilter,
    key: LedgerKey | None,
    *,
    after: Cursor | None = None,
    leading: str | None = None,
    alone: bool = False,
) -> list[_Branch]:
    parts = _parts(chosen, key)
    leading = leading or next(iter(leaders(chosen, key)), None)
    lead = next((part for part in parts if part.name == leading), None)
    others = [] if alone else [part for part in parts if part is not lead]
    if lead is None:
        return [_branch(chosen, after, ENTRY, [], others)]
    if lead.case:
        return [
            _branch(chosen, after, ENTRY, [where], others, source=source)
            for number in lead.values
            for source, where in filter_case.sources(str(number))
        ]
    if lead.column is None:
        return [
            _branch(chosen, after, lead.rows, [lead.key_of(lead.rows) == value], others)
            for value in lead.values
        ]
    known = [NO_EXCHANGE] if lead.name == "kind" else []  # what the index by kind holds
    return [
        _branch(chosen, after, ENTRY, [*known, lead.column == value], others)
        for value in lead.values
    ]


def _branch(
    chosen: LedgerFilter,
    after: Cursor | None,
    table: Any,
    leading: Sequence[Any],
    others: Sequence[_Part],
    *,
    source: FromClause | None = None,
) -> _Branch:
    t, seq = table.c.t, table.c.seq
    source = table if source is None else source
    where = [*leading, *_within(chosen, t)]
    if after is not None:
        where.append(tuple_(t, seq) < tuple_(after.t, after.seq))
    has_entry = table is ENTRY
    if others and not has_entry:
        source, has_entry = source.join(ENTRY, ENTRY.c.seq == seq), True
    for number, part in enumerate(others):
        if part.column is None and not part.case:
            where.append(part.looked_up(t, seq, f"rows{number}"))
        else:
            where.append(part.tried())
    return _Branch(source=source, where=tuple(where), t=t, seq=seq, has_entry=has_entry)


def _merged(
    branches: Sequence[_Branch], limit: int, *, ordered: bool = True
) -> Select[Any] | CompoundSelect[Any]:
    found = []
    for number, branch in enumerate(branches):
        query = select(branch.t, branch.seq).select_from(branch.source).where(*branch.where)
        if ordered:
            query = query.order_by(branch.t.desc(), branch.seq.desc())
        inner = query.limit(limit).subquery(f"branch{number}")
        found.append(select(inner.c.t, inner.c.seq))
    if len(found) == 1:
        return found[0]
    # an entry may have several tokens of one filter, or be in several cases, but one value of a
    # column
    once = branches[0].source is ENTRY
    return union_all(*found) if once else union(*found)


def _parts(chosen: LedgerFilter, key: LedgerKey | None) -> list[_Part]:
    found = []
    for qualifier, term in chosen.terms():
        found.extend(_of(qualifier, term, key))
    return found


def _of(qualifier: Qualifier, term: Term, key: LedgerKey | None) -> list[_Part]:
    values = allowed(qualifier, term)
    if qualifier.name == "case":
        return [_Part(name=qualifier.name, case=True, values=values)]
    if qualifier.name == "mark":
        return [
            _Part(name=qualifier.name, rows=MARK, values=each, without=without)
            for each, without in ((term.any_of, False), (term.none_of, True))
            if each
        ]
    tokens = tuple(token_of(qualifier, v, key) for v in values if personal(qualifier, v))
    if not tokens:
        column = ENTRY.c[str(qualifier.column)]
        return [_Part(name=qualifier.name, column=column, values=values)]
    if len(tokens) < len(values):
        raise OurFault(
            "ledger-filter-invalid",
            "Message ids of the form urn:uuid: and others cannot be looked for at once.",
        )
    return [_Part(name=qualifier.name, values=tokens)]


def _within(chosen: LedgerFilter, t: ColumnElement[int]) -> list[ColumnElement[bool]]:
    found = []
    if chosen.since is not None:
        found.append(t >= _instant(chosen.since))
    if chosen.until is not None:
        found.append(t < _instant(chosen.until))
    return found


def _instant(moment: Moment) -> int:
    if not isinstance(moment, datetime):
        raise OurFault("ledger-filter-invalid", "A time in a filter is relative: to when?")
    if moment.tzinfo is None:
        raise OurFault("ledger-filter-invalid", "An instant in a filter has no time zone.")
    return leaf.milliseconds(moment)
