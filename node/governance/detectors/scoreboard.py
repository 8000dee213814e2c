"""How good each detector is: flags, what became of their cases, precision with its n.

A flag counts as confirmed or dismissed by the outcome of its case once that is closed
(``case_outcomes.toml``: hit, miss, or neither of them). Flags about who reads are not counted.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime
from statistics import median
from typing import Final

from sqlalchemy import Engine, select

from node.governance.case_model import State as CaseState
from node.governance.case_model import outcomes
from node.governance.detector_tables import FLAG
from node.governance.detectors.model import DAY, HOUR
from node.governance.detectors.store import Setting, settings
from node.ledger import leaf
from node.storage.case_tables import CASE

_Z: Final = 1.959964
"""Of the normal distribution, for 95 %."""

WINDOW_DAYS: Final = 30
MOST: Final = 10_000
"""Flags that are counted of all detectors together, the newest ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """One detector: how it is set, and how it did.

    Attributes:
        flags: in the last 30 days, shadow included.
        shadow: of those, in shadow.
        suppressed: of those, kept from becoming cases.
        confirmed: flags of closed cases with a finding, at any time.
        dismissed: flags of closed cases that were nothing.
        median_hours: between flag and resolution; ``None`` where none is resolved.
    """

    setting: Setting
    flags: int = 0
    shadow: int = 0
    suppressed: int = 0
    confirmed: int = 0
    dismissed: int = 0
    median_hours: float | None = None

    @property
    def judged(self) -> int:
        """The n of the precision."""
        return self.confirmed + self.dismissed

    @property
    def precision(self) -> float | None:
        """The share of judged flags that were confirmed."""
        return self.confirmed / self.judged if self.judged else None

    @property
    def wrong(self) -> tuple[float, float] | None:
        """Between which shares of flags that were nothing the true one lies, at 95 %."""
        return wilson(self.dismissed, self.judged) if self.judged else None


def wilson(part: int, whole: int) -> tuple[float, float]:
    """The Wilson score interval (95 %) of a share; it also holds for few and for none."""
    share, square = part / whole, _Z * _Z / whole
    middle = (share + square / 2) / (1 + square)
    half = _Z * math.sqrt(share * (1 - share) / whole + square / (4 * whole)) / (1 + square)
    return max(middle - half, 0.0), min(middle + half, 1.0)


def scoreboard(engine: Engine, *, reader: str, now: datetime) -> tuple[Score, ...]:
    """The scores in the order of the table; ``reader`` is the token (hex) of who reads."""
    query = (
        select(
            FLAG.c.detector, FLAG.c.t.label("found"), FLAG.c.state, FLAG.c.suppression,
            CASE.c.state.label("case_state"), CASE.c.outcome, CASE.c.resolved,
        )
        .outerjoin(CASE, CASE.c.number == FLAG.c.case_number)
        .where(FLAG.c.about != reader)
        .order_by(FLAG.c.id.desc())
        .limit(MOST)
    )  # fmt: skip
    since = leaf.milliseconds(now) - WINDOW_DAYS * DAY
    counts: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    hours: dict[str, list[float]] = defaultdict(list)
    judged = outcomes()
    with engine.connect() as connection:
        for row in connection.execute(query):
            of = counts[row.detector]
            if row.found >= since:
                of["flags"] += 1
                of["shadow"] += row.state == "shadow"
                of["suppressed"] += row.suppression is not None
            if row.case_state == CaseState.CLOSED and row.outcome in judged:
                of["confirmed"] += judged[row.outcome].counts == "hit"
                of["dismissed"] += judged[row.outcome].counts == "miss"
            if row.resolved is not None:
                hours[row.detector].append((row.resolved - row.found) / HOUR)
    return tuple(
        Score(
            setting=setting,
            median_hours=round(median(hours[code]), 1) if hours[code] else None,
            **counts[code],
        )
        for code, setting in settings(engine).items()
    )
