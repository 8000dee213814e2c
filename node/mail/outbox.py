"""The outbox: what waits to be sent survives a restart.

It is tried again with growing pauses, and ends as sent, refused or given up. A notice is taken by
one process at a time: whoever takes it moves its next try ``LEASE`` away, so that one which dies
meanwhile is tried by another. It may so arrive twice, but is never lost; both have one Message-ID.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final
from uuid import uuid4

from sqlalchemy import Engine, delete, func, insert, select, update

from node.mail.tables import MAIL
from node.storage.engine import IMMEDIATE

MOST_WAITING: Final = 1000
"""Notices that may wait; beyond, new ones are not taken (and that is told)."""

LEASE: Final = timedelta(minutes=10)
KEPT: Final = timedelta(days=30)
"""How long a notice that is over is kept, to be looked at."""

_BATCH: Final = 50


class State(StrEnum):
    """How it stands with a notice."""

    WAITING = "waiting"
    SENT = "sent"
    REFUSED = "refused"
    """The server does not take it for this address."""
    GIVEN_UP = "given-up"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pauses:
    """How long a notice waits after a try that failed: doubled each time up to ``longest``."""

    first: timedelta = timedelta(seconds=15)
    longest: timedelta = timedelta(hours=1)

    def after(self, attempts: int) -> timedelta:
        """The pause after so many tries."""
        pause = self.first * (1 << min(max(attempts - 1, 0), 30))
        return min(pause, self.longest)


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """One notice to one address; ``at`` is when what it tells of happened."""

    id: str
    kind: str
    recipient: str
    login: str
    case: str
    at: datetime
    attempts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """A notice that did not arrive at its last try: why, by code and in detail."""

    recipient: str
    case: str
    state: State
    code: str
    detail: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What is in the outbox; ``troubles`` are the newest of them."""

    waiting: int
    failed: int
    troubles: tuple[Trouble, ...]
    last_sent: datetime | None


class Outbox:
    """Usable from several threads and processes."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._immediate = engine.execution_options(**{IMMEDIATE: True})

    def put(
        self, kind: str, recipients: Sequence[str], *, login: str, case: str, now: datetime
    ) -> bool:
        """One notice for each address; ``False`` when too many wait: none was taken then."""
        if not recipients:
            return True
        waiting = select(func.count()).where(MAIL.c.state == State.WAITING)
        rows = [
            {
                "id": str(uuid4()),
                "kind": kind,
                "recipient": each,
                "login": login,
                "case_number": case,
                "t": _ms(now),
                "state": State.WAITING,
                "due": _ms(now),
                "attempts": 0,
            }
            for each in dict.fromkeys(recipients)
        ]
        with self._immediate.begin() as connection:
            if int(connection.scalar(waiting) or 0) + len(rows) > MOST_WAITING:
                return False
            connection.execute(insert(MAIL), rows)
        return True

    def due(self, now: datetime) -> list[Notice]:
        """Notices whose time has come, oldest first; they are this process's for ``LEASE``."""
        query = (
            select(MAIL)
            .where(MAIL.c.state == State.WAITING, MAIL.c.due <= _ms(now))
            .order_by(MAIL.c.due)
            .limit(_BATCH)
        )
        with self._engine.connect() as connection:  # mostly there is none, and nothing is written
            rows = connection.execute(query).mappings().all()
        taken = []
        for row in rows:
            mine = (
                update(MAIL)
                .where(
                    MAIL.c.id == row["id"],
                    MAIL.c.state == State.WAITING,
                    MAIL.c.due == row["due"],
                )
                .values(due=_ms(now + LEASE), attempts=row["attempts"] + 1)
            )
            with self._immediate.begin() as connection:
                if connection.execute(mine).rowcount != 1:
                    continue  # another process has it
            taken.append(
                Notice(
                    id=row["id"],
                    kind=row["kind"],
                    recipient=row["recipient"],
                    login=row["login"],
                    case=row["case_number"],
                    at=_time(row["t"]),
                    attempts=row["attempts"] + 1,
                )
            )
        return taken

    def sent(self, notice: Notice, now: datetime) -> None:
        """It has arrived at the server."""
        self._end(notice, State.SENT, now)

    def refused(self, notice: Notice, now: datetime, *, code: str, detail: str | None) -> None:
        """The server will not take it for this address, however often it is asked."""
        self._end(notice, State.REFUSED, now, code=code, detail=detail)

    def failed(
        self,
        notice: Notice,
        now: datetime,
        *,
        code: str,
        detail: str | None,
        pauses: Pauses,
        keep: timedelta,
    ) -> State:
        """It did not arrive now: when it is tried again, or that it is not any more."""
        if now - notice.at >= keep:
            self._end(notice, State.GIVEN_UP, now, code=code, detail=detail)
            return State.GIVEN_UP
        due = _ms(now + pauses.after(notice.attempts))
        self._set(notice, due=due, code=code, detail=detail)
        return State.WAITING

    def standing(self, *, most: int = 3) -> Standing:
        """What waits and what did not arrive."""
        bad = MAIL.c.state.in_((State.REFUSED, State.GIVEN_UP))
        troubled = (
            select(MAIL)
            .where(MAIL.c.code.is_not(None), MAIL.c.state != State.SENT)
            .order_by(MAIL.c.t.desc())
            .limit(most)
        )
        with self._engine.connect() as connection:
            count = select(func.count()).select_from(MAIL)
            waiting = connection.scalar(count.where(MAIL.c.state == State.WAITING))
            failed = connection.scalar(count.where(bad))
            last = connection.scalar(select(func.max(MAIL.c.due)).where(MAIL.c.state == State.SENT))
            rows = connection.execute(troubled).mappings().all()
        return Standing(
            waiting=int(waiting or 0),
            failed=int(failed or 0),
            troubles=tuple(
                Trouble(
                    recipient=row["recipient"],
                    case=row["case_number"],
                    state=State(row["state"]),
                    code=row["code"],
                    detail=row["detail"],
                )
                for row in rows
            ),
            last_sent=_time(last) if last is not None else None,
        )

    def sweep(self, now: datetime) -> None:
        """Forget what has been over for long enough."""
        over = delete(MAIL).where(MAIL.c.state != State.WAITING, MAIL.c.due < _ms(now - KEPT))
        with self._immediate.begin() as connection:
            connection.execute(over)

    def _end(
        self,
        notice: Notice,
        state: State,
        now: datetime,
        *,
        code: str | None = None,
        detail: str | None = None,
    ) -> None:
        self._set(notice, state=state, due=_ms(now), code=code, detail=detail)

    def _set(self, notice: Notice, **values: object) -> None:
        change = update(MAIL).where(MAIL.c.id == notice.id).values(**values)
        with self._immediate.begin() as connection:
            connection.execute(change)


def _ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)


def _time(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
