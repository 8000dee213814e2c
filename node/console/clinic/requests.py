"""The clinicians' own requests: bounded, each for the person who asked alone.

They live in this process; what came is stored within a second, so that a restart finds it again.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from threading import Lock
from typing import Final

import structlog
from sqlalchemy.exc import SQLAlchemyError

from node.console.clinic.keeping import ClinicStore
from node.console.clinic.record import Record
from node.console.clinic.request import ClinicRequest, Progress, SamePerson
from node.console.clinic.stored import StoredRequest
from node.exchange.network_ports import Compare
from node.exchange.ports import PeerEntry
from node.model import Code, Demographics, ExchangeId, HomeCommunityId, PatientId, Principal

LIFETIME: Final = timedelta(hours=12)
"""How long a request is kept: a session's longest."""

MOST: Final = 500
"""Requests that are kept; the oldest that does not run goes for a new one."""

MOST_OF_ONE: Final = 50
"""Of one person."""

TWICE: Final = timedelta(seconds=10)
"""Within so long the same request sent again is the same one."""

_FLUSH_SECONDS: Final = 1.0
_ROUNDS_OF_SWEEP: Final = 60

MOST_LISTENERS: Final = 8
"""Pages that follow one request at a time."""

Listener = Callable[[], None]

_log = structlog.get_logger(__name__)


@dataclass(slots=True, kw_only=True)
class _Kept:
    login: str
    token: str
    began: datetime
    record: Record
    listeners: list[Listener] = field(default_factory=list)


class Requests:
    """Kept by token. Safe to use from any thread."""

    def __init__(
        self,
        compare: Compare,
        store: ClinicStore | None = None,
        *,
        now: datetime | None = None,
        let_go: Callable[[frozenset[str]], object] = frozenset,
    ) -> None:
        """``compare`` says how alike two sets of demographics are.

        With a ``store``, what was stored and is not too old at ``now`` is there again.
        ``let_go`` is told of requests that were erased in the store.
        """
        self._compare = compare
        self._store = store
        self._let_go = let_go
        self._changed: set[str] = set()
        self._in_store: set[str] = set()
        self._gone: set[str] = set()
        self._storing = Lock()
        self._lock = Lock()
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        if store is not None and now is not None:
            self._restore(store.requests(now), now)

    def begin(
        self,
        login: str,
        principal: Principal,
        demographics: Demographics,
        entries: Sequence[PeerEntry],
        *,
        exchange_id: ExchangeId,
        now: datetime,
        patient: PatientId | None = None,
        usual: dict[HomeCommunityId, int] | None = None,
        barred: bool = False,
    ) -> str:
        """Keep a new request; its token.

        Args:
            login: whose it is.
            principal: who asks and why.
            demographics: whom about.
            entries: who is to be asked.
            exchange_id: of all its legs.
            now: the current time.
            patient: the id of our own record of the person.
            usual: milliseconds that a discovery with an organization usually takes.
            barred: whether nobody may be asked yet.
        """
        token = secrets.token_urlsafe(16)
        base = ClinicRequest(
            token=token,
            login=login,
            principal=principal,
            exchange_id=exchange_id,
            began=now,
            progress=Progress.BARRED if barred else Progress.ASKING,
            demographics=demographics,
            patient=patient,
        )
        record = Record(base, entries, self._compare, usual or {})
        with self._lock:
            self._kept[token] = _Kept(login=login, token=token, began=now, record=record)
            self._changed.add(token)
            self._forget(login, now)
        return token

    def twin(
        self, login: str, purpose: Code, demographics: Demographics, now: datetime
    ) -> str | None:
        """The token of a person's same request of just now: a form that was sent twice."""
        with self._lock:
            for kept in reversed(self._kept.values()):
                asked = kept.record.base
                if (
                    kept.login == login
                    and now < kept.began + TWICE
                    and not kept.record.was_broken_off
                    and (asked.principal.purpose, asked.demographics) == (purpose, demographics)
                ):
                    return kept.token
        return None

    def forget(self, token: str) -> None:
        """Drop a request that was not begun."""
        with self._lock:
            self._drop(token)

    def of(self, login: str, token: str, now: datetime) -> ClinicRequest | None:
        """A person's request; ``None`` alike for unknown, too old and somebody else's."""
        with self._lock:
            kept = self._find(login, token, now)
            return kept.record.picture() if kept else None

    def all_of(self, login: str, now: datetime) -> tuple[ClinicRequest, ...]:
        """A person's requests, newest first."""
        with self._lock:
            mine = [k for k in self._kept.values() if k.login == login and now < k.began + LIFETIME]
            return tuple(kept.record.picture() for kept in reversed(mine))

    def say(
        self, login: str, token: str, identity: int, answer: SamePerson, now: datetime
    ) -> ClinicRequest | None:
        """Take a person's answer about an identity; the request as it then stands."""
        with self._lock:
            kept = self._find(login, token, now)
            if kept is None:
                return None
            kept.record.say(identity, answer, login, now)
            self._changed.add(token)
            listeners, picture = list(kept.listeners), kept.record.picture()
        _tell(listeners)
        return picture

    def change(self, token: str, change: Callable[[Record], None]) -> None:
        """Let the search write what came; whoever follows is told."""
        with self._lock:
            kept = self._kept.get(token)
            if kept is None:
                return
            change(kept.record)
            self._changed.add(token)
            listeners = list(kept.listeners)
        _tell(listeners)

    @contextmanager
    def listening(
        self, login: str, token: str, listener: Listener, now: datetime
    ) -> Iterator[bool]:
        """Be told of changes for the block; whether that is possible (unknown, or too many)."""
        with self._lock:
            kept = self._find(login, token, now)
            may = kept is not None and len(kept.listeners) < MOST_LISTENERS
            if kept is not None and may:
                kept.listeners.append(listener)
        try:
            yield may
        finally:
            with self._lock:
                if kept is not None and may:
                    kept.listeners.remove(listener)

    def _find(self, login: str, token: str, now: datetime) -> _Kept | None:
        kept = self._kept.get(token)
        if kept is None or kept.login != login or now >= kept.began + LIFETIME:
            return None
        return kept

    def _forget(self, login: str, now: datetime) -> None:
        """Drop what is too old, and the oldest of what is too much; never what still runs."""
        done = [k for k in self._kept.values() if not k.record.is_running]
        gone = [kept for kept in done if now >= kept.began + LIFETIME]
        mine = [kept for kept in self._kept.values() if kept.login == login]
        over = {
            len(mine) - MOST_OF_ONE: [kept for kept in done if kept.login == login],
            len(self._kept) - MOST: done,
        }
        for number, kept in over.items():
            gone += kept[: max(number, 0)]
        for each in gone:
            self._drop(each.token)

    def _drop(self, token: str) -> None:
        self._kept.pop(token, None)
        self._changed.discard(token)
        self._gone.add(token)

    # --- stored -------------------------------------------------------------------------------

    def _restore(self, requests: Sequence[StoredRequest], now: datetime) -> None:
        for stored in requests:
            base = stored.base
            self._kept[base.token] = _Kept(
                login=base.login,
                token=base.token,
                began=base.began,
                record=Record.restored(stored, self._compare, now),
            )
            self._in_store.add(base.token)

    def flush(self) -> None:
        """Store what changed. What was erased meanwhile is forgotten.

        Raises ``SQLAlchemyError``; it is then stored at the next time.
        """
        if self._store is None:
            return
        with self._storing:
            self._forget_erased(self._store)
            with self._lock:
                changed, gone = frozenset(self._changed), frozenset(self._gone)
                kept = [self._kept[token] for token in changed if token in self._kept]
                stored = [(each.began, each.record.stored()) for each in kept]
                self._changed.clear()
                self._gone.clear()
            try:
                if gone:
                    self._store.forget(gone)
                for began, each in stored:
                    self._store.save([each], until=began + LIFETIME)
                    self._in_store.add(each.token)
            except SQLAlchemyError:
                with self._lock:
                    self._changed |= changed & self._kept.keys()
                    self._gone |= gone
                raise

    def _forget_erased(self, store: ClinicStore) -> None:
        """Forget what was stored and is no more: ``log erase`` deletes it, in another process."""
        with self._lock:
            self._in_store &= self._kept.keys()
            stored = frozenset(self._in_store)
        erased = stored - store.there(stored) if stored else stored
        if not erased:
            return
        with self._lock:
            for token in erased:
                self._drop(token)
            self._in_store -= erased
        self._let_go(erased)

    @asynccontextmanager
    async def stored(self, now: Callable[[], datetime]) -> AsyncIterator[None]:
        """Store what changes while the block lasts, and once more at its end."""

        async def storing() -> None:
            rounds = 0
            while True:
                await asyncio.sleep(_FLUSH_SECONDS)
                await asyncio.to_thread(self._flushed)
                if self._store is not None and rounds % _ROUNDS_OF_SWEEP == 0:
                    await asyncio.to_thread(self._swept, now())
                rounds += 1

        task = asyncio.create_task(storing())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])
            await asyncio.to_thread(self._flushed)

    def _flushed(self) -> None:
        try:
            self.flush()
        except SQLAlchemyError as error:
            _log.error("console.requests-not-stored", code=type(error).__name__)

    def _swept(self, now: datetime) -> None:
        try:
            if self._store is not None:
                self._store.sweep(now)
        except SQLAlchemyError as error:
            _log.error("console.requests-not-swept", code=type(error).__name__)


def _tell(listeners: Sequence[Listener]) -> None:
    for listener in listeners:
        listener()
