"""A sweep: what is new in the log since the last one, looked at subject by subject.

The cursor is the highest entry number of the newest sweep's row. A sweep takes the peers and the
people of ours who have a new entry, reads each one's window once, and writes flags, its own row and
its entry of the log in one transaction; one that another sweep overtook writes nothing. At most
``MOST_NEW`` entries are taken at a time, and of one subject ``rows.MOST`` legs are read: a sweep
costs time with the number of subjects, never with the size of the log.

The first sweep of a node begins ``FIRST_DAYS`` back.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection, Engine, distinct, func, insert, select

from directory.store import DirectoryStore
from node.governance.case_routing import Routing
from node.governance.detector_tables import FLAG, FLAG_ENTRY, SWEEP
from node.governance.detectors.care import OwnCare
from node.governance.detectors.catalogue import State
from node.governance.detectors.flags import suppressed
from node.governance.detectors.looking import Found, Looking, Whom
from node.governance.detectors.model import Subject
from node.governance.detectors.store import next_id, settings
from node.ledger import leaf
from node.ledger.hold import lock_log
from node.ledger.leaf import Kind
from node.ledger.private import LedgerKey
from node.ledger.trust_change import TrustChange
from node.ledger.trust_log import NODE, write_fact
from node.model import Direction
from node.storage.engine import IMMEDIATE
from node.storage.tables import ENTRY, TOKEN

MOST_NEW: Final = 50_000
"""Entries that one sweep takes; what is left over, the next one takes."""

MOST_SUBJECTS: Final = 10_000
MOST_KEPT: Final = 200
"""Entries that are kept of one flag, the newest ones."""

FIRST_DAYS: Final = 30
_MOST_LISTED: Final = 500
_SENTENCE: Final = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Swept:
    """What a sweep did; ``more``: there are further new entries."""

    exchanges: int
    flags: int
    shadow: int
    failed: tuple[str, ...]
    more: bool = False
    overtaken: bool = False
    cases: tuple[str, ...] = ()


_Nothing: Final = Swept(exchanges=0, flags=0, shadow=0, failed=())


class Sweeper:
    """Sweeps a node's log. Usable from several threads and processes."""

    def __init__(
        self,
        engine: Engine,
        key: LedgerKey,
        directory: DirectoryStore,
        routing: Routing,
        *,
        own: str,
        care: Callable[[], OwnCare | None] = lambda: None,
    ) -> None:
        """``own`` is our HCID; ``care`` reads our own records anew for each sweep."""
        self._engine = engine
        self._immediate = engine.execution_options(**{IMMEDIATE: True})
        self._key = key
        self._directory = directory
        self._routing = routing
        self._own = own
        self._care = care

    def run(self, *, now: datetime, rest: Callable[[], None] = lambda: None) -> Swept:
        """Look at what is new; ``rest`` is called between subjects, and may end it by raising.

        Raises:
            OurFault: when the log cannot take the entry; nothing is written then.
        """
        began = time.monotonic()
        with self._engine.connect() as connection:
            after = _reached(connection, now)
            bound = _bound(connection, after)
            if bound <= after:
                self._routing.leftover(now=now)
                return _Nothing
            subjects = _subjects(connection, after, bound)
            exchanges = _exchanges(connection, after, bound)
            more = _bound(connection, bound) > bound
        looking = Looking(self._engine, self._key, self._directory, self._care())
        active = [each for each in settings(self._engine).values() if each.state is not State.OFF]
        found: list[Found] = []
        for whom in subjects:
            found += looking.look(whom, active, leaf.milliseconds(now))
            rest()
        flags = self._write(
            found,
            {
                "after": after,
                "reached": bound,
                "exchanges": exchanges,
                "subjects": len(subjects),
                "took_ms": round((time.monotonic() - began) * 1000),
                "failed": ",".join(sorted(looking.failed)),
            },
            now,
        )
        if flags is None:
            return Swept(exchanges=0, flags=0, shadow=0, failed=(), overtaken=True)
        cases = self._routing.take(flags, now=now)
        on = sum(each.setting.state is State.ON for each in found)
        return Swept(
            exchanges=exchanges,
            flags=on,
            shadow=len(found) - on,
            failed=tuple(sorted(looking.failed)),
            more=more,
            cases=cases,
        )

    def _write(
        self, found: Sequence[Found], row: dict[str, int | str], now: datetime
    ) -> list[int] | None:
        """Write flags, row and entry; ``None`` when another sweep was faster."""
        after = row.pop("after")
        on = sum(each.setting.state is State.ON for each in found)
        with self._immediate.begin() as connection:
            lock_log(connection)
            if _reached(connection, now) != after:
                return None
            sweep = next_id(connection, SWEEP.c.id)
            numbers = [self._flag(connection, each, sweep, now) for each in found]
            values = {**row, "flags": on, "shadow": len(found) - on}
            connection.execute(insert(SWEEP).values(id=sweep, t=leaf.milliseconds(now), **values))
            change = TrustChange(
                act="detector-sweep",
                counts={
                    "entries": int(row["exchanges"]),
                    "added": on,
                    "kept": len(found) - on,
                },
                private={
                    "reached": row["reached"],
                    "failed": row["failed"],
                    "flags": [
                        _told(number, each) for number, each in zip(numbers, found, strict=True)
                    ][:_MOST_LISTED],
                },
            )
            write_fact(connection, self._key, change, author=NODE, own=self._own, now=now)
        return numbers

    def _flag(self, connection: Connection, each: Found, sweep: int, now: datetime) -> int:
        detector, entries = each.setting.detector, each.finding.entries
        number = next_id(connection, FLAG.c.id)
        t = leaf.milliseconds(now)
        seqs = [seq for seq, _ in entries]
        connection.execute(
            insert(FLAG).values(
                id=number,
                detector=detector.id,
                version=detector.version,
                subject=each.whom.subject.value,
                about=each.whom.about,
                state=each.setting.state.value,
                t=t,
                sentence=detector.sentence(each.finding)[:_SENTENCE],
                first=min(seqs),
                last=max(seqs),
                count=len(seqs),
                sweep=sweep,
                suppression=suppressed(connection, detector.id, each.whom.about, t),
                case_number=None,
            )
        )
        kept = dict(sorted(entries)[-MOST_KEPT:])
        connection.execute(
            insert(FLAG_ENTRY),
            [{"flag": number, "seq": seq, "exchange_id": kept[seq]} for seq in sorted(kept)],
        )
        return number


def _told(number: int, each: Found) -> dict[str, object]:
    return {
        "flag": number,
        "detector": each.setting.detector.id,
        "version": each.setting.detector.version,
        "state": each.setting.state.value,
        "about": each.whom.about,
        "sentence": each.setting.detector.sentence(each.finding)[:_SENTENCE],
        "entries": len(each.finding.entries),
    }


def _reached(connection: Connection, now: datetime) -> int:
    """The highest entry number that was looked at; where none was, that before the first days."""
    query = select(SWEEP.c.reached).order_by(SWEEP.c.id.desc()).limit(1)
    found = connection.execute(query).scalar()
    if found is not None:
        return int(found)
    since = leaf.milliseconds(now - timedelta(days=FIRST_DAYS))
    oldest = select(ENTRY.c.seq).where(ENTRY.c.t >= since).order_by(ENTRY.c.t, ENTRY.c.seq)
    first = connection.execute(oldest.limit(1)).scalar()
    if first is not None:
        return int(first) - 1
    newest = connection.execute(select(func.max(ENTRY.c.seq))).scalar()
    return -1 if newest is None else int(newest)


def _bound(connection: Connection, after: int) -> int:
    """The highest exchange entry that this sweep takes, or ``after`` when nothing is new.

    Entries of other kinds alone, such as those about sweeps, are no reason for a sweep.
    """
    new = (
        select(ENTRY.c.seq, ENTRY.c.kind)
        .where(ENTRY.c.seq > after)
        .order_by(ENTRY.c.seq)
        .limit(MOST_NEW)
        .subquery()
    )
    query = select(func.max(new.c.seq)).where(new.c.kind == Kind.EXCHANGE.value)
    found = connection.execute(query).scalar()
    return after if found is None else int(found)


def _subjects(connection: Connection, after: int, bound: int) -> list[Whom]:
    """The peers, and those of ours who asked, with a new entry."""
    new = (ENTRY.c.seq > after) & (ENTRY.c.seq <= bound) & (ENTRY.c.kind == Kind.EXCHANGE.value)
    peers = select(ENTRY.c.peer).distinct().where(new, ENTRY.c.peer.is_not(None))
    ours = (
        select(TOKEN.c.token)
        .distinct()
        .select_from(ENTRY)
        .join(TOKEN, TOKEN.c.seq == ENTRY.c.seq)
        .where(new, ENTRY.c.direction == Direction.INITIATING.value, TOKEN.c.part == "who")
    )
    found = [
        Whom(subject=Subject.PEER, about=hcid)
        for hcid in sorted(connection.execute(peers.limit(MOST_SUBJECTS)).scalars())
    ]
    found += [
        Whom(subject=Subject.ACTOR, about=token.hex())
        for token in sorted(connection.execute(ours.limit(MOST_SUBJECTS)).scalars())
    ]
    return found


def _exchanges(connection: Connection, after: int, bound: int) -> int:
    query = select(func.count(distinct(ENTRY.c.exchange_id))).where(
        ENTRY.c.seq > after, ENTRY.c.seq <= bound, ENTRY.c.kind == Kind.EXCHANGE.value
    )
    return int(connection.execute(query).scalar() or 0)
