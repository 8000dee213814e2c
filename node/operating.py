"""The node as a thing that runs, for the Operations page: checks, queues, rounds, a bug report."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from threading import Lock
from typing import Final

from node.audit_feed.feed import POSITION
from node.audit_feed.position import read_position
from node.bug_report import bug_report
from node.console.machine import Checked, Depth, LastDone
from node.errors import CodedError
from node.examination import examine_home
from node.examined import Examined
from node.last_check import last_check
from node.ledger.find import newest
from node.ledger.log_files import LogFolder
from node.ledger.sealer import CHECKPOINT
from node.log_health import sealed_end
from node.mail.outbox import Outbox
from node.opened import OpenedHome
from node.ops.health import Status
from node.settings_digest import settings_digest
from node.yearly_sealer import sealed_years

PAUSE: Final = timedelta(seconds=10)
"""Between two runs of the checks: they open files and make a handshake."""

_ORDER: Final = (Status.FAIL, Status.WARN, Status.UNKNOWN, Status.OK)


class RunningMachine:
    """Implements ``node.console.machine.Machine`` over an opened node home."""

    def __init__(self, opened: OpenedHome) -> None:
        self._opened = opened
        self._lock = Lock()
        self._at: datetime | None = None
        self._found: tuple[Checked, ...] = ()

    def checks(self, now: datetime) -> tuple[Checked, ...]:
        """See ``Machine``."""
        with self._lock:
            if self._at is None or not timedelta(0) <= now - self._at < PAUSE:
                found = asyncio.run(examine_home(self._opened.home))
                self._found = self._since(found, now)
                self._at = now
            return self._found

    def _since(self, found: list[Examined], now: datetime) -> tuple[Checked, ...]:
        former = {(each.found.check, each.found.status): each.since for each in self._found}
        checked = [
            Checked(found=each, since=former.get((each.check, each.status), now)) for each in found
        ]
        return tuple(sorted(checked, key=lambda each: _ORDER.index(each.found.status)))

    def depths(self) -> tuple[Depth, ...]:
        """See ``Machine``."""
        return tuple(self._depths())

    def _depths(self) -> Iterator[Depth]:
        opened = self._opened
        last = newest(opened.engine)
        try:
            unsealed: int | None = max(last + 1 - sealed_end(opened.home), 0)
        except CodedError:
            unsealed = None
        yield Depth(words="entries under no checkpoint yet", number=unsealed)
        if opened.settings.audit.host:
            try:
                position = read_position(opened.home.path / "audit" / POSITION)
                waiting: int | None = max(last - position.seq, 0) if position else last + 1
            except CodedError:
                waiting = None
            yield Depth(words="entries that the audit repository waits for", number=waiting)
        if opened.settings.mail.host:
            standing = Outbox(opened.engine).standing()
            yield Depth(words="notices that wait to be sent by mail", number=standing.waiting)
            yield Depth(
                words="notices that no mail server took, in 30 days", number=standing.failed
            )

    def last_done(self) -> tuple[LastDone, ...]:
        """See ``Machine``."""
        return tuple(self._last_done())

    def _last_done(self) -> Iterator[LastDone]:
        home = self._opened.home
        years = sealed_years(home)
        when = None
        if years:
            file = LogFolder(home.log / str(years[-1])).path / CHECKPOINT
            when = datetime.fromtimestamp(file.stat().st_mtime, UTC) if file.exists() else None
        yield LastDone(
            words="Checkpoint of the log", when=when, what="signed" if when else "none yet"
        )
        for words, whole in (("Whole comparison of the log", True), ("Sample of the log", False)):
            last = last_check(home, whole=whole)
            yield LastDone(
                words=words,
                when=last.ended if last else None,
                what=_compared(last.entries, last.count) if last else "none yet",
            )
        yield LastDone(
            words="Backup",
            when=None,
            what="the node makes none; whoever runs the machine copies database and log",
        )

    def settings_digest(self) -> str:
        """See ``Machine``."""
        return settings_digest(self._opened.home)

    def bug_report(self, now: datetime) -> bytes:
        """See ``Machine``."""
        return bug_report(self._opened, [each.found for each in self.checks(now)], now=now)


def _compared(entries: int, differences: int) -> str:
    if differences:
        return f"{differences} differences in {entries:,} entries"
    return f"{entries:,} entries in order"
