"""What a sweeper remembers between sweeps: windows, and what the directory says of peers.

Each sweep first brings it up to date: it adds the legs that are new, and forgets all of it when the
log does not say any more what it was made of: after an erasure, after entries were dropped when
their time was over, and when sweeps of another process have gone elsewhere. Of a person are kept
keyed tokens, asserted NPIs and what ``reduced`` leaves: an erasure reaches that at the next sweep.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sqlalchemy import Connection, Engine, func, select

from directory.store import DirectoryStore
from node.governance.detectors.catalogue import detectors
from node.governance.detectors.model import DAY, Seen, Subject, Whom
from node.governance.detectors.peer_facts import PeerDirectory
from node.governance.detectors.rows import MOST, Rows
from node.governance.detectors.windows import MOST_LEGS, Window, Windows
from node.ledger.leaf import Kind
from node.ledger.private import LedgerKey
from node.storage.tables import ENTRY, RETIREMENT

MOST_BEHIND: Final = 100_000
"""Entries that are added to what is kept; when there are more, the windows are read anew."""


class Memory:
    """The memory of one sweeper. Not to be used by two threads at once."""

    def __init__(
        self,
        engine: Engine,
        key: LedgerKey,
        directory: DirectoryStore,
        *,
        most: int = MOST_LEGS,
        longest: int = MOST,
    ) -> None:
        """``most`` legs are kept of all, ``longest`` ones of a subject."""
        self._engine = engine
        self._rows = Rows(engine, key, most=longest)
        self._windows = Windows(most=most, longest=longest)
        self._reached = -1
        self._now = 0
        self._marks: tuple[int, object] | None = None
        self.peers = PeerDirectory(directory)

    def __len__(self) -> int:
        """The legs that are kept."""
        return self._windows.legs

    def catch_up(self, reached: int, now: int) -> None:
        """Be as the log is at an instant (ms), up to and with the entry of a number.

        Raises:
            OurFault: for a leaf that is none.
        """
        self.check()
        self.peers.refresh()
        self._windows.begin(now)
        if not 0 <= reached - self._reached <= MOST_BEHIND:
            self._windows.forget()
        if len(self._windows):
            try:
                for whom, leg in self._rows.numbered(
                    self._reached, reached, self._windows.__contains__
                ):
                    self._windows.add(whom, leg)
            except BaseException:
                self._windows.forget()  # half of it was added
                raise
        self._reached, self._now = reached, now

    def check(self) -> None:
        """Forget everything when something that was read may be gone from the log."""
        with self._engine.connect() as connection:
            query = select(func.coalesce(func.max(ENTRY.c.seq), -1))
            newest = int(connection.execute(query).scalar_one())
            dropped = _dropped(connection)
            known, self._marks = self._marks, (newest, dropped)
            if known is None or known[1] != dropped or _erased(connection, known[0]):
                self._windows.forget()

    def window(self, whom: Whom) -> Window:
        """The legs of a subject that its detectors look at, without tests."""
        since = self._now - window_days(whom.subject) * DAY
        found = self._windows.of(whom, since)
        if found is None:
            found = self._read(whom, since)
        return Window(legs=untested(found.legs), first=found.first)

    def _read(self, whom: Whom, since: int) -> Window:
        peer = whom.subject is Subject.PEER
        first = self._rows.first(whom, self._reached) if peer else None
        legs = self._rows.of(whom, since, upto=self._reached)
        if not legs or legs[-1].t <= self._now:
            window = Window(legs=legs, first=first)
            self._windows.keep(whom, window)
            return window
        legs = self._rows.of(whom, since, until=self._now, upto=self._reached)
        return Window(legs=legs, first=first)


def window_days(subject: Subject) -> int:
    """Days that the longest window of the detectors about a kind of subject has."""
    return max(each.days for each in detectors().values() if each.subject is subject)


def untested(legs: Sequence[Seen]) -> list[Seen]:
    """Legs without those of our own connectivity tests."""
    return [leg for leg in legs if not leg.test]


def _erased(connection: Connection, after: int) -> bool:
    """Whether an entry after a number says that something was erased."""
    query = select(ENTRY.c.seq).where(ENTRY.c.seq > after, ENTRY.c.kind == Kind.ERASURE.value)
    return connection.execute(query.limit(1)).first() is not None


def _dropped(connection: Connection) -> object:
    """How many entries were dropped because their time was over."""
    query = select(func.sum(RETIREMENT.c.dropped), func.max(RETIREMENT.c.reached))
    return tuple(connection.execute(query).one())
