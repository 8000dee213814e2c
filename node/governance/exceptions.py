"""The catalogue of exceptions: why a refusal may be in order, on a given day. Pure.

``data/exceptions.toml`` is data with days in force, because the ground moves (facts: tefca 9.1,
governance-ux 6.4). A refusal whose code no exception stands behind is undocumented until a person
says which one it is.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from datetime import date, datetime
from functools import cache
from importlib import resources

from node.ledger.review import due_after
from node.policy.reasons import reasons
from trust.errors import error_table


@dataclass(frozen=True, slots=True, kw_only=True)
class Exemption:
    """One row of the catalogue.

    Attributes:
        code: as people's documentation of a refusal names it.
        title: in words.
        cite: the rule.
        on_file: what has to be on file.
        source: where the row comes from.
        reasons: codes of refusals that it stands behind by itself.
        answer: business days within which the requester is answered in writing, if it says so.
        begins: first day in force, where known.
        ends: last day in force, where there is one.
        confirm: whether the row has to be read again in the regulation.
    """

    code: str
    title: str
    cite: str
    on_file: tuple[str, ...]
    source: str
    reasons: frozenset[str] = frozenset()
    answer: int | None = None
    begins: date | None = None
    ends: date | None = None
    confirm: bool = False

    def is_in_force(self, day: date) -> bool:
        """Whether it stands on a day."""
        return (self.begins is None or self.begins <= day) and (
            self.ends is None or day <= self.ends
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalogue:
    """All rows, and the day of the list."""

    listed: date
    rows: tuple[Exemption, ...]

    def on(self, day: date) -> dict[str, Exemption]:
        """Those in force on a day, by their codes."""
        return {row.code: row for row in self.rows if row.is_in_force(day)}

    def behind(self, reason: str | None, day: date) -> Exemption | None:
        """The exception that stands behind a refusal's code by itself; ``None``: undocumented.

        What fails in a message's signatures, claims or keys does not prove who asks.
        """
        rows = self.on(day)
        found = next((row for row in rows.values() if reason in row.reasons), None)
        if found is None and reason is not None and reason in error_table("trust"):
            found = rows.get("not-information-blocking")
        return found

    def documented(self) -> frozenset[str]:
        """The codes of refusals behind which some row stands."""
        own = frozenset().union(*(row.reasons for row in self.rows))
        return own | frozenset(error_table("trust"))


def answer_due(refused: datetime, days: int) -> datetime:
    """Until when a refusal is answered in writing: so many business days later."""
    return due_after(refused, days)


def reason_words(code: str | None) -> tuple[str, str]:
    """What a refusal's code means, and the rule that it cites."""
    row = reasons().get(code or "")
    if row is not None:
        return row.sentence, row.cite
    return (code or "").replace("-", " "), ""


@cache
def catalogue() -> Catalogue:
    """The catalogue of this version."""
    path = resources.files("node.governance").joinpath("data", "exceptions.toml")
    read = tomllib.loads(path.read_text(encoding="utf-8"))
    return Catalogue(
        listed=read["listed"],
        rows=tuple(
            Exemption(
                code=row["code"],
                title=row["title"],
                cite=row["cite"],
                on_file=tuple(row["on_file"]),
                source=row["source"],
                reasons=frozenset(row.get("reasons", ())),
                answer=row.get("answer"),
                begins=row.get("from"),
                ends=row.get("until"),
                confirm=row.get("confirm", False),
            )
            for row in read["exception"]
        ),
    )
