"""The feed: entries in their order to the audit repository, and a position that never runs ahead.

One pass (``run``) looks how far the log is, leaves the oldest out where too many wait, sends what
comes next, and moves the position once the repository has confirmed it (see ``connection``). It
runs in a thread of its own and reads the database alone: no exchange ever waits for it. When
anything fails, the position stays, and the next pass begins there: an entry may be sent twice,
which its id in the message shows, and is left out only with a message that says so.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from threading import Event
from typing import Final, Protocol

import structlog
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from node.audit_feed.connection import Connection, Repository
from node.audit_feed.own_messages import gap_event
from node.audit_feed.position import Gap, Position, read_position, write_position
from node.errors import CodedError, OurFault
from node.ledger.audit import Site, audit_event
from node.ledger.export import Exported, pieces
from node.ledger.export_rendering import event_of
from node.ledger.filter import LedgerFilter
from node.ledger.find import newest
from node.ledger.leaf_check import fields_of
from node.ledger.private import LedgerKey
from node.wire.atna import write_audit_messages
from node.wire.audit_event import AuditEvent
from node.wire.syslog import Sender, framed, syslog_message

_log = structlog.get_logger(__name__)

POSITION: Final = "position.json"
_LOCK: Final = "lock"
_PAGE: Final = 256
_PASS_ENTRIES: Final = 4096
"""Entries of one pass, after which the lag is looked at anew."""

_CONFIRM_ENTRIES: Final = 1024
_CONFIRM_SECONDS: Final = 5.0
_LONGEST_REST: Final = 0.2


class Counts(Protocol):
    """Where the feed counts (``node.ops.metrics``)."""

    def audit_sent(self, entries: int) -> None:
        """Entries that the repository has."""
        ...

    def audit_lag(self, entries: int) -> None:
        """Entries that wait."""
        ...

    def audit_skipped(self, entries: int) -> None:
        """Entries that were left out."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """How to send: the limits of the settings, and whether private groups are told."""

    private: bool
    lag_entries: int
    message_bytes: int
    confirm_seconds: float = _CONFIRM_SECONDS


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What is known of the feed: entries that wait, what was left out since it began."""

    lag: int = 0
    skipped: int = 0
    last_gap: Gap | None = None
    problem: CodedError | None = None


class AuditFeed:
    """Sends one node's log to one repository. Not for several threads at a time."""

    def __init__(
        self,
        folder: Path,
        engine: Engine,
        key: LedgerKey,
        *,
        site: Site,
        repository: Callable[[], Repository],
        rules: Rules,
        counts: Counts,
        now: Callable[[], datetime],
        sender: Sender,
    ) -> None:
        """``repository`` is asked at each connection, so that switched certificates are taken."""
        self._folder = folder
        self._engine = engine
        self._key = key
        self._site = site
        self._repository = repository
        self._rules = rules
        self._counts = counts
        self._now = now
        self._sender = sender
        self._connection: Connection | None = None
        self._sent = -1
        self._told: Gap | None = None
        self._lock: int | None = None
        self._position: Position | None = None
        self.state = State()
        self.stopping = Event()

    def begin(self) -> None:
        """Note where the log stands, if nothing was ever sent: what comes from now on is.

        Raises:
            OurFault: ``audit-busy``, ``audit-position-invalid``.
            OSError: when the position cannot be written.
        """
        self._folder.mkdir(mode=0o700, exist_ok=True)
        lock = os.open(self._folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(lock)
            raise OurFault(
                "audit-busy", "Another process sends this log to the audit repository."
            ) from error
        self._lock = lock
        at = newest(self._engine)
        position = read_position(self._folder / POSITION)
        if position is None or position.seq > at:
            if position is not None:  # an older copy of the log was restored: its numbers come anew
                _log.warning("audit.log-behind-position", seq=position.seq, size=at + 1)
            position = Position(seq=at) if position is None else position.confirmed(at)
            write_position(self._folder / POSITION, position)
        self._position, self._sent = position, position.seq

    def run(self) -> bool:
        """One pass; whether more is waiting.

        Raises:
            CodedError, OSError, SQLAlchemyError: when it could not be done. Nothing is lost.
        """
        if self._position is None:
            self.begin()
        try:
            return self._pass()
        except BaseException as error:
            self._drop()
            self._tell(problem=_known(error))
            raise

    def end(self) -> None:
        """Confirm what is under way, where that is possible, and let go."""
        try:
            if self._connection is not None:
                self._confirm()
        finally:
            self._drop()
            if self._lock is not None:
                os.close(self._lock)
                self._lock = None

    def _pass(self) -> bool:
        at = newest(self._engine)
        if at - self._held.seq > self._rules.lag_entries:
            self._confirm()  # so that no entry under way counts as left out
        self._leave_out(at)
        gap = self._held.gap
        if self._sent < at or gap is not None:
            self._send(at, gap)
        elif self._connection is not None:
            self._connection.check()
        if self._is_due():
            self._confirm()
        self._tell(problem=None)
        return self._sent < newest(self._engine)

    @property
    def _held(self) -> Position:
        if self._position is None:
            raise OurFault("internal-error", "The audit feed was not begun.")
        return self._position

    def _leave_out(self, at: int) -> None:
        bounded = self._held.bounded(at, self._rules.lag_entries)
        if bounded == self._held or bounded.last_gap is None:
            return
        entries = bounded.skipped - self._held.skipped
        self._drop()
        self._store(bounded)
        self._counts.audit_skipped(entries)
        self.state = State(
            lag=at - bounded.seq,
            skipped=self.state.skipped + entries,
            last_gap=bounded.last_gap,
            problem=self.state.problem,
        )
        _log.warning(
            "audit.entries-left-out",
            sentence=f"Entries {bounded.last_gap.first} to {bounded.last_gap.last} are not sent to "
            "the audit repository: too many were waiting.",
            count=entries,
        )

    def _send(self, at: int, gap: Gap | None) -> None:
        connection = self._opened()
        if gap is not None and gap != self._told:
            marker = gap_event(gap, self._site, limit=self._rules.lag_entries, now=self._now())
            connection.send(b"".join(self._frames(marker)))
            self._told = gap
        bound = min(at, self._sent + _PASS_ENTRIES)
        found = pieces(
            self._engine, LedgerFilter(), self._key, bound=bound, after=self._sent,
            private=self._rules.private, page=_PAGE,
        )  # fmt: skip
        began = time.monotonic()
        for piece in found:
            # rests as long as it worked: a backlog takes half a core from the exchange at most
            if self.stopping.wait(min(time.monotonic() - began, _LONGEST_REST)):
                return
            began = time.monotonic()
            connection = self._opened()
            for entry in piece:
                connection.send(self._of(entry))
                self._sent = entry.seq
            if self._sent - self._held.seq >= _CONFIRM_ENTRIES:
                self._confirm()

    def _of(self, entry: Exported) -> bytes:
        try:
            return b"".join(self._frames(event_of(entry, self._site)))
        except (CodedError, KeyError, TypeError, ValueError, AttributeError) as error:
            # one entry of an unforeseen shape must not hold up all others: its leaf goes alone
            _log.warning("audit.entry-without-private", seq=entry.seq, detail=type(error).__name__)
            event = audit_event(entry.data, fields_of(entry.data), {}, self._site)
            return b"".join(self._frames(event))

    def _frames(self, event: AuditEvent) -> Iterator[bytes]:
        for message in write_audit_messages(event, limit=self._rules.message_bytes):
            yield framed(syslog_message(self._sender, event.recorded, message))

    def _opened(self) -> Connection:
        if self._connection is None:
            self._connection = Connection(self._repository())
        else:
            self._connection.check()
        return self._connection

    def _is_due(self) -> bool:
        connection = self._connection
        return (
            connection is not None
            and time.monotonic() - connection.opened >= self._rules.confirm_seconds
        )

    def _confirm(self) -> None:
        """Everything that was sent on this connection has arrived, or is sent again."""
        if self._connection is None:
            return
        connection, self._connection, self._told = self._connection, None, None
        connection.finish()
        entries = self._sent - self._held.seq
        self._store(self._held.confirmed(self._sent))
        self._counts.audit_sent(entries)

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = self._told = None
        if self._position is not None:
            self._sent = self._position.seq

    def _store(self, position: Position) -> None:
        write_position(self._folder / POSITION, position)
        self._position, self._sent = position, position.seq

    def _tell(self, *, problem: CodedError | None) -> None:
        lag = self.state.lag
        if self._position is not None:
            with suppress(
                SQLAlchemyError
            ):  # then it is what it was when the database answered last
                lag = newest(self._engine) - self._position.seq
        self._counts.audit_lag(lag)
        self.state = State(
            lag=lag,
            skipped=self.state.skipped,
            last_gap=self.state.last_gap,
            problem=problem,
        )


def _known(error: BaseException) -> CodedError:
    """What people are told of a failure; of one without a code, only its type."""
    if isinstance(error, CodedError):
        return error
    sentence = "The audit repository could not be fed."
    return OurFault("internal-error", sentence, detail=type(error).__name__)
