"""Looks at one subject with every detector that is about it: the shell around the pure rules."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

import structlog
from sqlalchemy import Engine, func, select

from node.governance.detector_tables import FLAG, FLAG_ENTRY
from node.governance.detectors.care import OwnCare
from node.governance.detectors.catalogue import CARE, REPEATED, treatment
from node.governance.detectors.memory import Memory, untested
from node.governance.detectors.model import DAY, About, Finding, Flagged, Seen, Subject, Whom
from node.governance.detectors.rows import Rows
from node.governance.detectors.store import Setting
from node.ledger.private import LedgerKey
from node.model import Direction

_log = structlog.get_logger(__name__)

_COUNTED: Final = ("D01", "D04")
_MOST_FLAGS: Final = 500
_BROKEN: Final = (ArithmeticError, LookupError, TypeError, ValueError)


class Before(NamedTuple):
    """A detector's flags about a subject: the highest entry behind one, the newest one's time."""

    last: int
    t: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A finding of a detector about a subject."""

    setting: Setting
    whom: Whom
    finding: Finding


class Looking:
    """One look at several subjects; what was read of our own care is kept as long as it lasts."""

    def __init__(
        self,
        engine: Engine,
        key: LedgerKey,
        care: OwnCare | None,
        memory: Memory,
    ) -> None:
        """``care`` is ``None`` where the node has no records of its own."""
        self._engine = engine
        self._rows = Rows(engine, key)
        self._memory = memory
        self._care = care if care is not None and care.any() else None
        self.failed: set[str] = set()

    def rows(self, setting: Setting, whom: Whom, since: int, until: int) -> list[Seen]:
        """The legs of a subject as a detector reads them, oldest first."""
        legs = untested(self._rows.of(whom, since, until=until))
        return self._cared(legs) if setting.detector.id == CARE else legs

    def about(self, whom: Whom, now: int) -> About:
        """What is known of a subject beside its legs, but for earlier flags."""
        peer = whom.subject is Subject.PEER
        return self._about(whom, now, self._rows.first(whom, None) if peer else None)

    def look(
        self,
        whom: Whom,
        settings: Sequence[Setting],
        now: int,
        before: Mapping[str, Before],
    ) -> list[Found]:
        """What these detectors find about a subject that they have not flagged before.

        ``before`` has the subject's flags by detector; the memory has caught up.
        """
        due = [
            each
            for each in settings
            if each.detector.subject is whom.subject and not _is_quiet(each, before, now)
        ]
        if not due:
            return []
        window = self._memory.window(whom)
        about = self._about(whom, now, window.first)
        found: list[Found] = []
        for each in sorted(due, key=lambda setting: setting.detector.id == REPEATED):
            known, rows = about, window.legs
            if each.detector.id in before:
                known = replace(known, flagged=before[each.detector.id].last)
            if each.detector.id == REPEATED:
                known = replace(known, flags=self._flags(whom, found, before, now))
            elif each.detector.id == CARE:
                rows = self._cared(within(rows, each, now), after=known.flagged)
            found += [
                Found(setting=each, whom=whom, finding=finding)
                for finding in self.ask(each, rows, known)
            ]
        return found

    def ask(self, setting: Setting, rows: Sequence[Seen], about: About) -> list[Finding]:
        """Ask one detector about legs within its window; one that breaks is named in ``failed``.

        ``rows`` are in the order of their beginnings.
        """
        try:
            return setting.detector.rule(within(rows, setting, about.now), about, setting.limits)
        except _BROKEN as error:
            # an exception's text may quote a value (law 6): its type goes on
            self.failed.add(setting.detector.id)
            _log.error("detector.broken", code=setting.detector.id, detail=type(error).__name__)
            return []

    def _about(self, whom: Whom, now: int, first: int | None) -> About:
        if whom.subject is Subject.ACTOR:
            return About(now=now, records=self._care is not None)
        facts = self._memory.peers.facts(whom.about)
        return About(
            now=now,
            first=first,
            declared=facts.declared,
            states=facts.states,
            entries=facts.entries,
            npis=facts.npis,
            treatment=treatment(),
            kin=facts.kin,
        )

    def _cared(self, legs: Sequence[Seen], *, after: int = -1) -> list[Seen]:
        """Legs with the nearest care by us, which is looked up for entries ``after`` a number.

        It is looked up anew each time: records and messages about care come late.
        """
        if self._care is None:
            return list(legs)
        asked = [leg for leg in legs if leg.seq > after and leg.direction == Direction.INITIATING]
        cared = self._rows.with_care(asked, self._care.nearest)
        return [cared.get(leg.seq, leg) for leg in legs]

    def _flags(
        self, whom: Whom, new: Sequence[Found], before: Mapping[str, Before], now: int
    ) -> tuple[Flagged, ...]:
        """Earlier flags about a person, and those of this look, as entries."""
        kept = self._kept(whom) if any(code in before for code in _COUNTED) else []
        return (
            *kept,
            *(
                Flagged(
                    detector=each.setting.detector.id,
                    t=now,
                    seq=each.finding.entries[-1][0],
                    exchange=each.finding.entries[-1][1],
                )
                for each in new
                if each.setting.detector.id in _COUNTED
            ),
        )

    def _kept(self, whom: Whom) -> list[Flagged]:
        newest = (
            select(FLAG.c.detector, FLAG.c.t, FLAG.c.last, FLAG_ENTRY.c.exchange_id)
            .join(FLAG_ENTRY, (FLAG_ENTRY.c.flag == FLAG.c.id) & (FLAG_ENTRY.c.seq == FLAG.c.last))
            .where(FLAG.c.about == whom.about, FLAG.c.detector.in_(_COUNTED))
            .order_by(FLAG.c.id.desc())
            .limit(_MOST_FLAGS)
        )
        with self._engine.connect() as connection:
            kept = [
                Flagged(detector=code, t=t, seq=last, exchange=exchange)
                for code, t, last, exchange in connection.execute(newest)
            ]
        return kept[::-1]


def flagged_before(engine: Engine, subjects: Sequence[Whom]) -> dict[str, dict[str, Before]]:
    """Of the flags about some subjects: the highest entry and the newest time, by detector."""
    query = (
        select(FLAG.c.about, FLAG.c.detector, func.max(FLAG.c.last), func.max(FLAG.c.t))
        .where(FLAG.c.about.in_([each.about for each in subjects]))
        .group_by(FLAG.c.about, FLAG.c.detector)
    )
    found: dict[str, dict[str, Before]] = defaultdict(dict)
    with engine.connect() as connection:
        for about, code, last, t in connection.execute(query):
            found[about][code] = Before(last=last, t=t)
    return found


def within(rows: Sequence[Seen], setting: Setting, now: int) -> Sequence[Seen]:
    """The legs, which are in the order of their beginnings, within a detector's window."""
    first = bisect_left(rows, now - setting.detector.days * DAY, key=lambda row: row.t)
    return rows[first:] if first else rows


def _is_quiet(setting: Setting, before: Mapping[str, Before], now: int) -> bool:
    """Whether a detector said something about the subject a short while ago."""
    last = before.get(setting.detector.id)
    return last is not None and now - last.t < setting.detector.quiet * DAY
