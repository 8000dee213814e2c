"""What the outcome sample says: of each asker, the share of judged exchanges that were wrong.

An exchange is judged once its case is closed: its outcome is a finding (wrong), nothing (in order)
or neither of them (``case_outcomes.toml``). The share is of those that are wrong or in order, and
its interval (Wilson's, 95 %) is wide while few are judged.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Engine, func, select

from node.governance.case_model import State, outcomes
from node.governance.case_rows import instant
from node.governance.detectors.scoreboard import wilson
from node.governance.sample_tables import DRAW, SAMPLE
from node.storage.case_tables import CASE

MONTHS: Final = 24
"""Months that are looked at together, the newest ones."""

MOST: Final = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One asker: what it asked for, what was drawn of it, and how that was judged."""

    asker: str
    exchanges: int
    drawn: int
    wrong: int = 0
    right: int = 0
    neither: int = 0

    @property
    def judged(self) -> int:
        """The n of the share."""
        return self.wrong + self.right

    @property
    def waiting(self) -> int:
        """Drawn, and not judged."""
        return self.drawn - self.judged - self.neither

    @property
    def share(self) -> float | None:
        """The share of the judged ones that were wrong."""
        return self.wrong / self.judged if self.judged else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """Between which shares the true one lies, at 95 %."""
        return wilson(self.wrong, self.judged) if self.judged else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """One drawn exchange; ``counts`` is ``hit``, ``miss`` or ``neither`` once it is judged."""

    exchange: str
    month: str
    case: str | None
    state: State | None
    outcome: str | None
    counts: str | None
    who: str | None
    when: datetime | None


def drawn_months(engine: Engine) -> tuple[str, ...]:
    """The months that were drawn, newest first."""
    query = select(DRAW.c.month).distinct().order_by(DRAW.c.month.desc()).limit(MONTHS)
    with engine.connect() as connection:
        return tuple(connection.execute(query).scalars())


def results(engine: Engine, months: Sequence[str]) -> tuple[Result, ...]:
    """What some months say of each asker: most found first, then most judged."""
    draws = (
        select(DRAW.c.asker, func.sum(DRAW.c.exchanges), func.sum(DRAW.c.drawn))
        .where(DRAW.c.month.in_(months))
        .group_by(DRAW.c.asker)
        .order_by(DRAW.c.asker)
        .limit(MOST)
    )
    closed = (
        select(SAMPLE.c.asker, CASE.c.outcome, func.count())
        .join(CASE, CASE.c.number == SAMPLE.c.case_number)
        .where(SAMPLE.c.month.in_(months), CASE.c.state.in_(_ENDED))
        .group_by(SAMPLE.c.asker, CASE.c.outcome)
    )
    judged: dict[str, Counter[str]] = defaultdict(Counter)
    with engine.connect() as connection:
        for asker, outcome, number in connection.execute(closed):
            judged[asker][_counts(outcome)] += number
        found = [
            Result(
                asker=asker,
                exchanges=int(exchanges),
                drawn=int(drawn),
                wrong=judged[asker]["hit"],
                right=judged[asker]["miss"],
                neither=judged[asker]["neither"],
            )
            for asker, exchanges, drawn in connection.execute(draws)
        ]
    return tuple(sorted(found, key=lambda each: (-(each.share or 0), -each.judged, each.asker)))


def drawn_of(engine: Engine, months: Sequence[str], asker: str, *, limit: int) -> tuple[Drawn, ...]:
    """The exchanges that were drawn of an asker, newest month first."""
    query = (
        select(
            SAMPLE.c.exchange_id, SAMPLE.c.month, SAMPLE.c.case_number,
            CASE.c.state, CASE.c.outcome, CASE.c.resolver, CASE.c.resolved,
        )
        .outerjoin(CASE, CASE.c.number == SAMPLE.c.case_number)
        .where(SAMPLE.c.month.in_(months), SAMPLE.c.asker == asker)
        .order_by(SAMPLE.c.month.desc(), SAMPLE.c.exchange_id)
        .limit(limit)
    )  # fmt: skip
    with engine.connect() as connection:
        return tuple(
            Drawn(
                exchange=row.exchange_id,
                month=row.month,
                case=row.case_number,
                state=State(row.state) if row.state else None,
                outcome=row.outcome,
                counts=_counts(row.outcome) if row.state in _ENDED else None,
                who=row.resolver,
                when=instant(row.resolved),
            )
            for row in connection.execute(query)
        )


_ENDED: Final = (State.CLOSED.value, State.MERGED.value)


def _counts(outcome: str | None) -> str:
    found = outcomes().get(outcome or "")
    return found.counts if found else "neither"
