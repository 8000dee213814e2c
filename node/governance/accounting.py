"""The rules of the accounting of disclosures (45 CFR 164.528), effective-dated data. Pure."""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from functools import cache
from importlib import resources
from typing import Any

from node.errors import SettingsError


@dataclass(frozen=True, slots=True, kw_only=True)
class Exclusion:
    """Why a disclosure is not owed in an accounting.

    Attributes:
        code: as the setting ``disclosures.count`` names it.
        title: in words.
        cite: the rule.
        purposes: codes of the exchange purposes that it covers.
        source: where the row comes from.
        begins: first day in force, where known.
        ends: last day in force, where there is one.
        confirm: whether the row has to be read again before anybody relies on it.
    """

    code: str
    title: str
    cite: str
    purposes: frozenset[str]
    source: str
    begins: date | None = None
    ends: date | None = None
    confirm: bool = False

    def covers(self, purpose: str | None, day: date) -> bool:
        """Whether it stands behind a disclosure for a purpose on a day."""
        begun = self.begins is None or self.begins <= day
        return begun and (self.ends is None or day <= self.ends) and purpose in self.purposes


@dataclass(frozen=True, slots=True, kw_only=True)
class Accounting:
    """All rules of one list, as one node applies them.

    Attributes:
        listed: the day of the list.
        cite: the rule that owes the accounting.
        years: how far back it goes.
        rows: the exclusions; ``counted`` are the codes of those that the node does not apply.
        given: what was handed over, by direction and transaction.
        inside: transactions, and beginnings of their names, that hand nothing to others.
    """

    listed: date
    cite: str
    years: int
    rows: tuple[Exclusion, ...]
    given: Mapping[str, Mapping[str, str]]
    inside: frozenset[str]
    prefixes: tuple[str, ...]
    counted: frozenset[str] = frozenset()

    def behind(self, purpose: str | None, day: date) -> Exclusion | None:
        """The exclusion that leaves a disclosure out; ``None``: it is accounted for."""
        used = (row for row in self.rows if row.code not in self.counted)
        return next((row for row in used if row.covers(purpose, day)), None)

    def is_inside(self, transaction: str) -> bool:
        """Whether a transaction hands nothing to others by itself."""
        return transaction in self.inside or transaction.startswith(self.prefixes)

    def what(self, direction: str, transaction: str) -> str:
        """What a transaction handed over, in words; one without words is named by its code."""
        return self.given.get(direction, {}).get(transaction, f"An exchange ({transaction})")

    def first_day(self, now: datetime) -> datetime:
        """How far back an accounting goes that is asked for now."""
        year = now.year - self.years
        try:
            return now.replace(year=year)
        except ValueError:  # 29 February
            return now.replace(year=year, day=28)


@dataclass(frozen=True, slots=True, kw_only=True)
class Clocks:
    """How long a request may wait, its one extension, and an oral suspension at most."""

    request: timedelta
    extension: timedelta
    oral: timedelta


@cache
def clocks() -> Clocks:
    """The times of this version."""
    row = _table()["clocks"]
    return Clocks(**{name: timedelta(days=row[name]) for name in ("request", "extension", "oral")})


def applied(count: Collection[str]) -> Accounting:
    """The rules of this version, less the exclusions that a node does not rely on.

    Raises:
        SettingsError: ``settings-invalid`` for a code that no row has.
    """
    rules = _read()
    for code in count:
        if code not in {row.code for row in rules.rows}:
            raise SettingsError(
                "settings-invalid", f"disclosures.count: no exclusion has the code {code}."
            )
    return replace(rules, counted=frozenset(count))


@cache
def _table() -> dict[str, Any]:
    path = resources.files("node.governance").joinpath("data", "accounting.toml")
    return tomllib.loads(path.read_text(encoding="utf-8"))


@cache
def _read() -> Accounting:
    read = _table()
    return Accounting(
        listed=read["listed"],
        cite=read["cite"],
        years=read["years"],
        rows=tuple(
            Exclusion(
                code=row["code"],
                title=row["title"],
                cite=row["cite"],
                purposes=frozenset(row["purposes"]),
                source=row["source"],
                begins=row.get("from"),
                ends=row.get("until"),
                confirm=row.get("confirm", False),
            )
            for row in read["exclusion"]
        ),
        given=read["given"],
        inside=frozenset(read["inside"]["transactions"]),
        prefixes=tuple(read["inside"]["prefixes"]),
    )
