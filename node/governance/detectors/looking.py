"""Looks at one subject with every detector that is about it: the shell around the pure rules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import structlog
from sqlalchemy import Engine, func, select

from directory.store import DirectoryStore
from node.governance.detector_tables import FLAG, FLAG_ENTRY
from node.governance.detectors.care import OwnCare
from node.governance.detectors.catalogue import REPEATED, treatment
from node.governance.detectors.model import DAY, About, Finding, Flagged, Seen, Subject
from node.governance.detectors.peer_facts import PeerDirectory
from node.governance.detectors.rows import Rows
from node.governance.detectors.store import Setting
from node.ledger.leaf import Kind
from node.ledger.private import LedgerKey
from node.storage.tables import ENTRY

_log = structlog.get_logger(__name__)

_COUNTED: Final = ("D01", "D04")
_MOST_FLAGS: Final = 500
_BROKEN: Final = (ArithmeticError, LookupError, TypeError, ValueError)


@dataclass(frozen=True, slots=True, kw_only=True)
class Whom:
    """A subject: its kind, and its HCID or token (hex)."""

    subject: Subject
    about: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A finding of a detector about a subject."""

    setting: Setting
    whom: Whom
    finding: Finding


class Looking:
    """One look at several subjects; directory and records are read through its own caches."""

    def __init__(
        self, engine: Engine, key: LedgerKey, directory: DirectoryStore, care: OwnCare | None
    ) -> None:
        """``care`` is ``None`` where the node has no records of its own."""
        self._engine = engine
        self._rows = Rows(engine, key)
        self._peers = PeerDirectory(directory)
        self._care = care if care is not None and care.any() else None
        self.failed: set[str] = set()

    def rows(self, whom: Whom, since: int, until: int, *, cared_after: int = -1) -> list[Seen]:
        """The legs of a subject, oldest first."""
        if whom.subject is Subject.PEER:
            return self._rows.of_peer(whom.about, since, until)
        cared = self._care.nearest if self._care else None
        return self._rows.of_actor(whom.about, since, until, cared, after=cared_after)

    def about(self, whom: Whom, now: int) -> About:
        """What is known of a subject beside its legs, but for earlier flags."""
        if whom.subject is Subject.ACTOR:
            return About(now=now, records=self._care is not None)
        facts = self._peers.facts(whom.about)
        with self._engine.connect() as connection:
            first = connection.execute(
                select(func.min(ENTRY.c.t)).where(
                    ENTRY.c.peer == whom.about, ENTRY.c.kind == Kind.EXCHANGE.value
                )
            ).scalar()
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

    def look(self, whom: Whom, settings: Sequence[Setting], now: int) -> list[Found]:
        """What these detectors find about a subject that they have not flagged before."""
        mine = [each for each in settings if each.detector.subject is whom.subject]
        if not mine:
            return []
        before = self._before(whom)
        due = [each for each in mine if not _is_quiet(each, before, now)]
        if not due:
            return []
        since = now - max(each.detector.days for each in due) * DAY
        after = before.get("D04", (-1, 0))[0]
        rows = self.rows(whom, since, now, cared_after=after)
        about = self.about(whom, now)
        found: list[Found] = []
        for each in sorted(due, key=lambda setting: setting.detector.id == REPEATED):
            flagged = before.get(each.detector.id, (-1, 0))[0]
            known = replace(about, flagged=flagged)
            if each.detector.id == REPEATED:
                known = replace(known, flags=self._flags(whom, found, now))
            found += [
                Found(setting=each, whom=whom, finding=finding)
                for finding in self.ask(each, rows, known)
            ]
        return found

    def ask(self, setting: Setting, rows: Sequence[Seen], about: About) -> list[Finding]:
        """Ask one detector about legs within its window; one that breaks is named in ``failed``."""
        since = about.now - setting.detector.days * DAY
        within = [row for row in rows if row.t >= since]
        try:
            return setting.detector.rule(within, about, setting.limits)
        except _BROKEN as error:
            # an exception's text may quote a value (law 6): its type goes on
            self.failed.add(setting.detector.id)
            _log.error("detector.broken", code=setting.detector.id, detail=type(error).__name__)
            return []

    def _before(self, whom: Whom) -> Mapping[str, tuple[int, int]]:
        """Of each detector's flags about a subject: the highest entry, the newest time."""
        query = (
            select(FLAG.c.detector, func.max(FLAG.c.last), func.max(FLAG.c.t))
            .where(FLAG.c.about == whom.about)
            .group_by(FLAG.c.detector)
        )
        with self._engine.connect() as connection:
            return {code: (last, t) for code, last, t in connection.execute(query)}

    def _flags(self, whom: Whom, new: Sequence[Found], now: int) -> tuple[Flagged, ...]:
        """Earlier flags about a person, and those of this look, as entries."""
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
        return (
            *reversed(kept),
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


def _is_quiet(setting: Setting, before: Mapping[str, tuple[int, int]], now: int) -> bool:
    """Whether a detector said something about the subject a short while ago."""
    last = before.get(setting.detector.id)
    return last is not None and now - last[1] < setting.detector.quiet * DAY
