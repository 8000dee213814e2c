"""A report of a QHIN as values, and the table of its parts, read once. Pure otherwise."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import cache
from importlib import resources
from typing import Any

from node.governance.downtime import Downtime
from node.governance.qhin_period import Period
from node.governance.qhin_tally import Tally
from node.ledger.filter import LedgerFilter


@dataclass(frozen=True, slots=True, kw_only=True)
class Qhin:
    """A QHIN as the report names it; ``hcid`` is ``None`` where the log names nobody."""

    hcid: str | None
    name: str

    @property
    def words(self) -> str:
        """Name and HCID."""
        known = self.hcid is not None and self.hcid != self.name
        return f"{self.name} ({self.hcid})" if known else self.name


OfPeer = Callable[[str | None], Qhin]
"""The QHIN to which a home community belongs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row of a part: words and numbers, and the filter that opens the legs behind it."""

    cells: tuple[str | int, ...]
    rows: LedgerFilter | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One part; ``missing`` says what it lacks, ``verify`` that its rule is to be read again."""

    code: str
    title: str
    source: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    missing: str | None = None
    verify: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A report; ``lacks`` says what the whole may lack, in sentences."""

    period: Period
    own_name: str
    own_id: str
    made: datetime
    by: str
    due: date | None
    parts: tuple[Part, ...]
    lacks: tuple[str, ...]
    listed: date


@dataclass(frozen=True, slots=True, kw_only=True)
class Basis:
    """What a report is made from.

    Attributes:
        tally: the legs of the period.
        down: of the period.
        levels: how many organisations are below ours, by level.
        stated: numbers that people stated, by the codes of the table ``stated``.
    """

    tally: Tally = field(default_factory=Tally)
    down: Downtime | None = None
    levels: Mapping[str, int] = field(default_factory=dict)
    stated: Mapping[str, int] = field(default_factory=dict)


def stated_names() -> Mapping[str, str]:
    """What may be stated, by its codes, in words."""
    table = rules()["stated"]
    return {**table["organizations"], **table["people"]}


@cache
def rules() -> dict[str, Any]:
    """The table of this version."""
    path = resources.files("node.governance").joinpath("data", "qhin_reports.toml")
    return tomllib.loads(path.read_text(encoding="utf-8"))
