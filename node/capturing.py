"""Keeps messages as they were on the wire, where ``[capture]`` asks for it; off by default.

Nothing waits for it and nothing fails because of it: a message is offered once its entry is durable
and the answer may leave, a thread of its own writes it, and what cannot be kept (too many wait, the
limit of all messages is reached, the disk is full) is counted and told.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import structlog
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from node.errors import CodedError
from node.exchange.ports import Ledger, Receipt
from node.ledger import leaf
from node.ledger.bodies import Captured, body_of, keep_bodies, kept_bytes, load_capture_key
from node.ledger.private import LedgerKey
from node.log_settings import CaptureSection
from node.model import LegRecord
from node.opened import OpenedHome
from node.ops.metrics import Metrics
from node.storage.engine import IMMEDIATE

_log = structlog.get_logger(__name__)

_WAITING: Final = 64
_AT_ONCE: Final = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptureRules:
    """Whose messages are kept, and how much of them."""

    transactions: frozenset[str]
    peers: frozenset[str]
    message_bytes: int
    total_bytes: int

    @classmethod
    def of(cls, settings: CaptureSection) -> CaptureRules:
        """As the settings say."""
        return cls(
            transactions=frozenset(settings.transactions),
            peers=frozenset(settings.peers),
            message_bytes=settings.message_bytes,
            total_bytes=settings.total_bytes,
        )

    def captured(self, record: LegRecord, receipt: Receipt) -> Captured | None:
        """What is to be kept of a leg; ``None`` for nothing."""
        leg = record.leg
        if record.synthetic or leg.transaction.value not in self.transactions:
            return None
        if self.peers and leg.peer.home_community_id not in self.peers:
            return None
        made = Captured(
            seq=receipt.seq,
            entry_id=receipt.entry_id,
            t=leaf.milliseconds(leg.started),
            request=body_of(record.request, self.message_bytes),
            response=body_of(record.response, self.message_bytes),
        )
        return made if made.size else None


class CapturingLedger:
    """Implements ``exchange.ports.Ledger`` over another one; ``close`` writes what waits."""

    def __init__(
        self, ledger: Ledger, engine: Engine, key: LedgerKey, rules: CaptureRules, metrics: Metrics
    ) -> None:
        """Starts the thread that writes."""
        self._ledger = ledger
        self._engine = engine.execution_options(**{IMMEDIATE: True})
        self._key = key
        self._rules = rules
        self._metrics = metrics
        self._queue: queue.Queue[Captured | None] = queue.Queue(maxsize=_WAITING)
        self._thread = threading.Thread(target=self._run, name="capture", daemon=True)
        self._thread.start()

    async def append(self, record: LegRecord) -> Receipt:
        """Write the entry; then offer its messages. Raises as the ledger does."""
        receipt = await self._ledger.append(record)
        captured = self._rules.captured(record, receipt)
        if captured is not None:
            try:
                self._queue.put_nowait(captured)
            except queue.Full:
                self._lost(1, "busy")
        return receipt

    def close(self) -> None:
        """Write what waits and stop."""
        self._queue.put(None)
        self._thread.join()

    # --- the thread ---------------------------------------------------------------------------

    def _run(self) -> None:
        while items := self._next():
            self._keep([item for item in items if item is not None])
            if None in items:
                return

    def _next(self) -> list[Captured | None]:
        items = [self._queue.get()]
        while len(items) < _AT_ONCE and items[-1] is not None:
            try:
                items.append(self._queue.get_nowait())
            except queue.Empty:
                break
        return items

    def _keep(self, items: list[Captured]) -> None:
        if not items:
            return
        try:
            if kept_bytes(self._engine) + sum(i.size for i in items) > self._rules.total_bytes:
                self._lost(len(items), "full")
                return
            with self._engine.begin() as connection:
                keep_bodies(connection, self._key, items)
        except (CodedError, SQLAlchemyError, OSError) as error:
            # the database's own text may quote a value: only its type goes on
            self._lost(len(items), type(getattr(error, "orig", None) or error).__name__)
            return
        self._metrics.captured(len(items))

    def _lost(self, count: int, why: str) -> None:
        self._metrics.not_captured(count)
        _log.warning("capture.lost", count=count, reason=why)


@contextmanager
def capturing(opened: OpenedHome, ledger: Ledger, metrics: Metrics) -> Iterator[Ledger]:
    """The ledger, with messages kept beside it where the settings ask for it.

    Raises:
        SettingsError: when the key of the messages cannot be used.
    """
    rules = CaptureRules.of(opened.settings.capture)
    if not rules.transactions:
        yield ledger
        return
    key = load_capture_key(opened.home.path)
    made = CapturingLedger(ledger, opened.engine, key, rules, metrics)
    try:
        yield made
    finally:
        made.close()
