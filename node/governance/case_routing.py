"""Flags of detectors become cases: one case for all that is flagged about one subject.

A flag goes into the open case that an earlier flag about the same peer or person began, and opens a
new one where there is none that takes evidence any more (facts: governance-ux 3.1 G16, 6.6). Flags
in shadow, and those that a suppression stands for, make no case.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import ColumnElement, Engine, select, update

from node.errors import OurFault
from node.governance.case_model import NODE, Given, Person, Refusal, State, Verb
from node.governance.case_rows import DETECTOR, Opening
from node.governance.cases import MOST_AT_ONCE, Actor, Cases
from node.governance.detector_tables import FLAG, FLAG_ENTRY
from node.governance.detectors.flags import Flag, flag_of
from node.ledger import leaf
from node.ledger.trust_log import NODE as NODE_AUTHOR
from node.storage.case_tables import CASE
from node.storage.engine import IMMEDIATE

_TAKING: Final = tuple(state.value for state in (State.NEW, State.WORKING, State.WAITING))
_LEFT_OVER: Final = timedelta(minutes=10)
_MOST: Final = 1000

Named = Callable[[Flag], str]
"""The sentence of a flag with the names of whom it is about put in."""


class Routing:
    """Puts flags into cases. Usable from several threads."""

    def __init__(self, engine: Engine, cases: Cases, named: Named) -> None:
        self._engine = engine
        self._cases = cases
        self._named = named
        self._actor = Actor(person=Person(login=NODE), author=NODE_AUTHOR)

    def take(self, numbers: Iterable[int], *, now: datetime) -> tuple[str, ...]:
        """Put flags into cases, those in shadow and suppressed ones left out; the cases' numbers.

        Raises:
            OurFault: as ``Cases.open``; what is left over goes with a later sweep.
        """
        touched: dict[str, None] = {}
        for number in numbers:
            flag = self._read(number)
            if flag is not None:
                touched[self.into_case(flag, now=now)] = None
        return tuple(touched)

    def leftover(self, *, now: datetime) -> tuple[str, ...]:
        """Put into cases what a process that died left over."""
        before = leaf.milliseconds(now - _LEFT_OVER)
        query = select(FLAG.c.id).where(_to_take(), FLAG.c.t <= before)
        with self._engine.connect() as connection:
            ids = connection.execute(query.order_by(FLAG.c.id).limit(_MOST)).scalars().all()
        return self.take(ids, now=now)

    def into_case(self, flag: Flag, *, now: datetime, actor: Actor | None = None) -> str:
        """Put one flag into a case, whoever asks for it; the case's number.

        Raises:
            OurFault: ``detector-case-refused`` when the rules of cases refuse it.
        """
        actor = actor or self._actor
        exchanges = self._exchanges(flag)
        text = self._named(flag)
        number = self._open_case(flag)
        if number is None:
            opening = Opening(
                kind=f"{DETECTOR}{flag.detector.lower()}", text=text, exchanges=exchanges
            )
            opened = self._cases.open(actor, opening, now=now)
            if isinstance(opened, Refusal):
                raise OurFault("detector-case-refused", opened.sentence)
            number = opened
        else:
            given = Given(text=text, evidence=exchanges)
            done = self._cases.act(number, Verb.COLLECT, actor, given, now=now)
            if isinstance(done, Refusal):
                raise OurFault("detector-case-refused", done.sentence)
        with self._engine.execution_options(**{IMMEDIATE: True}).begin() as connection:
            connection.execute(update(FLAG).where(FLAG.c.id == flag.id).values(case_number=number))
        return number

    def _read(self, number: int) -> Flag | None:
        query = select(FLAG).where(FLAG.c.id == number, _to_take())
        with self._engine.connect() as connection:
            row = connection.execute(query).mappings().first()
        return flag_of(row) if row is not None else None

    def _open_case(self, flag: Flag) -> str | None:
        query = (
            select(CASE.c.number)
            .join(FLAG, FLAG.c.case_number == CASE.c.number)
            .where(FLAG.c.about == flag.about, CASE.c.state.in_(_TAKING))
            .order_by(CASE.c.id.desc())
            .limit(1)
        )
        with self._engine.connect() as connection:
            return connection.execute(query).scalar()

    def _exchanges(self, flag: Flag) -> tuple[str, ...]:
        """The exchanges behind a flag, the newest ones, oldest first."""
        query = (
            select(FLAG_ENTRY.c.exchange_id)
            .where(FLAG_ENTRY.c.flag == flag.id)
            .order_by(FLAG_ENTRY.c.seq.desc())
            .limit(MOST_AT_ONCE)
        )
        with self._engine.connect() as connection:
            found = connection.execute(query).scalars().all()
        return tuple(dict.fromkeys(reversed(found)))


def _to_take() -> ColumnElement[bool]:
    return (FLAG.c.state == "on") & FLAG.c.case_number.is_(None) & FLAG.c.suppression.is_(None)
