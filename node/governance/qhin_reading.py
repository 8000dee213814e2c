"""The legs of a month read from the log, a day at a time; and what else a QHIN's report needs.

The log is streamed in pages and nothing but sums is kept. A day that is over long enough does not
change any more: its sums are kept in memory, so that a month is counted once. One call reads at
most so many legs; what it has not come to is said, and the next call goes on from there.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from threading import Lock
from typing import Final

import orjson
from sqlalchemy import Connection, Engine, func, select

from directory.model import Organization
from directory.store import DirectoryStore
from node.governance.downtime import Downtime, Span, downtime
from node.governance.qhin import parts_of
from node.governance.qhin_model import Basis, Qhin, Report, rules
from node.governance.qhin_period import How, Period
from node.governance.qhin_tally import Alike, Tally, together
from node.ledger import leaf
from node.ledger.aged_out import aged_out
from node.ledger.leaf import Kind
from node.policy.reasons import reasons
from node.storage.tables import ENTRY
from trust.errors import error_table

PAGE: Final = 5000
MOST_LEGS: Final = 200_000
"""Legs that one call reads, days that are kept aside; at least one day is read whole."""

MOST_DAYS: Final = 200
MOST_MEMBERS: Final = 100_000
MOST_BEATS: Final = 100_000
_SETTLED: Final = timedelta(days=2)
"""After a day's end so long, nothing is written any more that began on it."""

_DAY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a report is to be about; ``stated`` and ``planned`` are people's words."""

    period: Period
    by: str
    now: datetime
    stated: Mapping[str, int]
    planned: tuple[Span, ...] = ()


class QhinReports:
    """Makes the reports of a node. Usable from several threads."""

    def __init__(
        self,
        engine: Engine,
        directory: DirectoryStore,
        *,
        own_name: str,
        own_id: str,
        organization_id: str,
        heartbeat: timedelta,
    ) -> None:
        """``own_id`` is our HCID, ``heartbeat`` how often the log gets one."""
        self._engine = engine
        self._directory = directory
        self._own_name = own_name
        self._own_id = own_id
        self._organization_id = organization_id
        self._heartbeat = heartbeat
        self._days: OrderedDict[datetime, Tally] = OrderedDict()
        self._lock = Lock()

    def report(self, wanted: Wanted, *, most: int | None = MOST_LEGS) -> Report:
        """The report; ``most`` are legs read by this call, ``None``: as many as there are."""
        period = wanted.period
        lacks: list[str] = []
        if period.span.end > wanted.now:
            lacks.append("The period is not over.")
        if period.how is How.MONTHLY:
            tally, left = self._month(period.span, wanted.now, most)
            if left:
                lacks.append(
                    f"{left} days of the period are not counted yet: there are many entries. Ask"
                    " again, and the counting goes on."
                )
            down = self._down(period.span, wanted)
            basis = Basis(tally=tally, down=down, stated=wanted.stated)
            lacks += _said(tally, down)
        else:
            levels, cut = self._levels()
            basis = Basis(levels=levels, stated=wanted.stated)
            if cut:
                lacks.append(f"More than {MOST_MEMBERS} organizations: not all are counted.")
        gone = aged_out(self._engine)
        before = gone.before if gone else None
        if before is not None and before > period.span.begin:
            lacks.append(
                f"Entries from before {before:%-d %B %Y} were dropped when their time of"
                " retention was over."
            )
        due = None
        if period.how is How.MONTHLY:
            due = period.span.end.date().replace(day=rules()["monthly_due_day"])
        return Report(
            period=period,
            own_name=self._own_name,
            own_id=self._own_id,
            made=wanted.now,
            by=wanted.by,
            due=due,
            parts=parts_of(
                period.how, basis, of_peer=self._qhins(), own_codes=_own_codes(), period=period
            ),
            lacks=tuple(lacks),
            listed=rules()["listed"],
        )

    def _month(self, span: Span, now: datetime, most: int | None) -> tuple[Tally, int]:
        """The legs of a period, and how many of its days were not come to."""
        days, read, left = [], 0, 0
        day = span.begin
        while day < min(span.end, now):
            tally = self._kept(day)
            if tally is None and most is not None and read >= most:
                left += 1
            elif tally is None:
                tally = self._day(day)
                read += sum(row.legs for row in tally.rows.values()) + tally.synthetic + tally.own
                if day + _DAY + _SETTLED <= now:
                    self._keep(day, tally)
            if tally is not None:
                days.append(tally)
            day += _DAY
        return together(days), left

    def _kept(self, day: datetime) -> Tally | None:
        with self._lock:
            return self._days.get(day)

    def _keep(self, day: datetime, tally: Tally) -> None:
        with self._lock:
            self._days[day] = tally
            while len(self._days) > MOST_DAYS:
                self._days.popitem(last=False)

    def _day(self, day: datetime) -> Tally:
        tally = Tally()
        first, end = leaf.milliseconds(day), leaf.milliseconds(day + _DAY)
        at: tuple[int, int] = (first, -1)
        columns = (
            ENTRY.c.t, ENTRY.c.seq, ENTRY.c.direction, ENTRY.c.txn, ENTRY.c.peer, ENTRY.c.purpose,
            ENTRY.c.outcome, ENTRY.c.reason, ENTRY.c.leaf,
        )  # fmt: skip
        while True:
            query = (
                select(*columns)
                .where(
                    (ENTRY.c.t > at[0]) | ((ENTRY.c.t == at[0]) & (ENTRY.c.seq > at[1])),
                    ENTRY.c.t >= at[0],
                    ENTRY.c.t < end,
                    ENTRY.c.kind == Kind.EXCHANGE.value,
                )
                .order_by(ENTRY.c.t, ENTRY.c.seq)
                .limit(PAGE)
            )
            with self._engine.connect() as connection:
                rows = connection.execute(query).all()
            for row in rows:
                self._count(tally, Alike(*row[2:8]), orjson.loads(row.leaf))
            if len(rows) < PAGE:
                return tally
            at = (rows[-1][0], rows[-1][1])

    def _count(self, tally: Tally, alike: Alike, fields: Mapping[str, object]) -> None:
        if "test" in fields:
            tally.synthetic += 1
        elif alike.peer == self._own_id:
            tally.own += 1
        else:
            took, documents = fields["dur_ms"], fields["docs"]
            tally.add(alike, took=int(str(took)), documents=int(str(documents)))

    def _down(self, span: Span, wanted: Wanted) -> Downtime:
        begin, end = leaf.milliseconds(span.begin), leaf.milliseconds(span.end)
        beat = ENTRY.c.kind == Kind.HEARTBEAT.value
        with self._engine.connect() as connection:
            before = _one(connection, func.max(ENTRY.c.t), beat, ENTRY.c.t < begin)
            after = _one(connection, func.min(ENTRY.c.t), beat, ENTRY.c.t >= end)
            within = select(ENTRY.c.t).where(beat, ENTRY.c.t >= begin, ENTRY.c.t < end)
            times = list(connection.execute(within.order_by(ENTRY.c.t).limit(MOST_BEATS)).scalars())
        every = [t for t in (before, *times, after) if t is not None]
        return downtime(
            [datetime.fromtimestamp(t / 1000, UTC) for t in every],
            period=span,
            every=self._heartbeat,
            planned=wanted.planned,
            now=wanted.now,
        )

    def _levels(self) -> tuple[Mapping[str, int], bool]:
        """The organisations below ours by level, and whether there are more than are counted."""
        found: Counter[str] = Counter()
        seen, waiting = {self._organization_id}, [self._organization_id]
        while waiting:
            parent, after = waiting.pop(), None
            while True:
                page = self._directory.children(parent, after=after)
                for each in page.organizations:
                    if each.id in seen:
                        continue
                    if len(seen) > MOST_MEMBERS:
                        return found, True
                    seen.add(each.id)
                    waiting.append(each.id)
                    if each.active:
                        found[each.type or "not stated"] += 1
                after = page.after
                if after is None:
                    break
        return found, False

    def _qhins(self) -> _Qhins:
        return _Qhins(self._directory)


class _Qhins:
    """The QHIN of a home community, as the directory says today; each is looked up once."""

    def __init__(self, directory: DirectoryStore) -> None:
        self._directory = directory
        self._known: dict[str | None, Qhin] = {None: Qhin(hcid=None, name="not named")}

    def __call__(self, hcid: str | None) -> Qhin:
        if hcid not in self._known:
            self._known[hcid] = self._find(str(hcid))
        return self._known[hcid]

    def _find(self, hcid: str) -> Qhin:
        own = next(iter(self._directory.by_home_community_id(hcid)), None)
        if own is None:
            return Qhin(hcid=hcid, name=hcid)
        chain = [own, *self._directory.ancestors(own.id)]
        top = next((each for each in chain if each.type == rules()["qhin_type"]), None)
        found: Organization = top or self._directory.managing_organization(own) or own
        return Qhin(hcid=found.home_community_id or hcid, name=found.name)


def _one(connection: Connection, what: object, *where: object) -> int | None:
    found: int | None = connection.execute(select(what).where(*where)).scalar()  # type: ignore[call-overload]
    return found


def _own_codes() -> frozenset[str]:
    """Codes of errors and refusals that are ours; a leg without a code has ours as well."""
    return frozenset({"", *error_table("node"), *error_table("trust"), *reasons()})


def _said(tally: Tally, down: Downtime) -> list[str]:
    said = []
    if tally.synthetic:
        said.append(f"Connectivity tests about made-up people are not counted: {tally.synthetic}.")
    if tally.own:
        said.append(f"Questions of our own systems are not counted: {tally.own}.")
    if tally.folded:
        said.append(f"Too many kinds of legs: {tally.folded} lost their peer and purpose here.")
    if down.unknown:
        minutes = int(down.unknown.total_seconds() // 60)
        said.append(f"For {minutes} minutes of the period the log has no heartbeat to go by.")
    return said
