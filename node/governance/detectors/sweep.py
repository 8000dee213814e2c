"""A sweep: what is new in the log since the last one, looked at subject by subject.

The cursor is the highest entry number of the newest sweep's row. A sweep takes the peers and the
people of ours who have a new entry, looks at each one's window, and writes flags, its own row and
its entry of the log in one transaction; one that another sweep overtook writes nothing.

A sweep sees the log up to its last new entry. What it finds follows from that, the earlier flags,
the directory and the time alone: the windows that a sweeper keeps in memory save reading them
again, and change nothing (``memory``). At most ``MOST_NEW`` entries are taken at a time, and a
window has at most ``rows.MOST`` legs: a sweep costs time with what is new, never with the size of
the log.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, Engine, insert

from node.governance.case_routing import Routing
from node.governance.detector_tables import FLAG, FLAG_ENTRY, SWEEP
from node.governance.detectors.care import OwnCare
from node.governance.detectors.catalogue import State
from node.governance.detectors.flags import suppressed
from node.governance.detectors.looking import Found, Looking, flagged_before
from node.governance.detectors.memory import Memory
from node.governance.detectors.model import Whom
from node.governance.detectors.new_entries import new_entries, reached
from node.governance.detectors.store import next_id, settings
from node.ledger import leaf
from node.ledger.hold import lock_log
from node.ledger.private import LedgerKey
from node.ledger.trust_change import TrustChange
from node.ledger.trust_log import NODE, write_fact
from node.storage.engine import IMMEDIATE

MOST_NEW: Final = 50_000
"""Entries that one sweep takes; what is left over, the next one takes."""

MOST_KEPT: Final = 200
"""Entries that are kept of one flag, the newest ones."""

_MOST_LISTED: Final = 500
_SENTENCE: Final = 512
_AT_ONCE: Final = 500


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
        routing: Routing,
        *,
        own: str,
        care: Callable[[], OwnCare | None],
        memory: Callable[[], Memory],
    ) -> None:
        """``own`` is our HCID; ``care`` reads our own records anew for each sweep.

        ``memory`` makes an empty memory.
        """
        self._engine = engine
        self._immediate = engine.execution_options(**{IMMEDIATE: True})
        self._key = key
        self._routing = routing
        self._own = own
        self._care = care
        self._empty = memory
        self._memory = memory()
        self._remembering = threading.Lock()

    def run(
        self, *, now: datetime, rest: Callable[[], None] = lambda: None, most: int = MOST_NEW
    ) -> Swept:
        """Look at what is new, at most so many entries.

        ``rest`` is called between subjects, and may end it by raising.

        Raises:
            OurFault: when the log cannot take the entry; nothing is written then.
        """
        began = time.monotonic()
        new = new_entries(self._engine, now=now, most=most)
        if new is None:
            self._routing.leftover(now=now)
            with self._lent() as memory:
                memory.check()
            return _Nothing
        with self._lent() as memory:
            memory.catch_up(new.upto, leaf.milliseconds(now))
            looking = Looking(self._engine, self._key, self._care(), memory)
            found = self._look(looking, new.subjects, now, rest)
        flags = self._write(
            found,
            {
                "after": new.after,
                "reached": new.upto,
                "exchanges": new.exchanges,
                "subjects": len(new.subjects),
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
            exchanges=new.exchanges,
            flags=on,
            shadow=len(found) - on,
            failed=tuple(sorted(looking.failed)),
            more=new.more,
            cases=cases,
        )

    def _look(
        self, looking: Looking, subjects: Sequence[Whom], now: datetime, rest: Callable[[], None]
    ) -> list[Found]:
        active = [each for each in settings(self._engine).values() if each.state is not State.OFF]
        found: list[Found] = []
        for first in range(0, len(subjects), _AT_ONCE):
            some = subjects[first : first + _AT_ONCE]
            before = flagged_before(self._engine, some)
            for whom in some:
                flagged = before.get(whom.about, {})
                found += looking.look(whom, active, leaf.milliseconds(now), flagged)
                rest()
        return found

    @contextmanager
    def _lent(self) -> Iterator[Memory]:
        """The memory; where another sweep of this process has it, an empty one."""
        if not self._remembering.acquire(blocking=False):
            yield self._empty()
            return
        try:
            yield self._memory
        finally:
            self._remembering.release()

    def _write(
        self, found: Sequence[Found], row: dict[str, int | str], now: datetime
    ) -> list[int] | None:
        """Write flags, row and entry; ``None`` when another sweep was faster."""
        after = row.pop("after")
        on = sum(each.setting.state is State.ON for each in found)
        with self._immediate.begin() as connection:
            lock_log(connection)
            if reached(connection, now) != after:
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
