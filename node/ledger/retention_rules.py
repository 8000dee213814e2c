"""How long entries are kept: the years of a log, and the rule for minors. Pure.

A year's log is due when so many whole years have passed since it ended. An entry about a person who
was a minor when it was written is kept until they come of age and so many years longer.
"""

from __future__ import annotations

import re
import tomllib
from calendar import monthrange
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from importlib import resources
from typing import Final

from node.errors import SettingsError

# the form of the wire (YYYY[MM[DD]]) and that of FHIR (YYYY[-MM[-DD]])
_BIRTH: Final = re.compile(r"([0-9]{4})(?:-?([0-9]{2})(?:-?([0-9]{2}))?)?", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Majority:
    """A row of ``data/minors.toml``; ``verify``: somebody has to confirm it first."""

    age: int
    source: str
    verify: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What the settings say.

    Attributes:
        years: whole years that a log is kept after its own year.
        majority: from when on a person is of age.
        minor_years: years that an entry about a minor is kept after that.
    """

    years: int
    majority: Majority
    minor_years: int

    def due(self, year: int) -> datetime:
        """From when on the log of a year may be dropped."""
        return datetime(year + 1 + self.years, 1, 1, tzinfo=UTC)

    def kept_for_minor(self, birth_date: str, written: datetime) -> datetime | None:
        """Until when an entry is kept because of the person's age; ``None``: they were of age.

        What a birth date leaves open is taken as late as it may be.
        """
        found = _BIRTH.fullmatch(birth_date.strip()[:10])
        if found is None:
            return None
        parts = (int(found[1]), int(found[2] or 12), int(found[3] or 31))
        of_age = _years_after(parts, self.majority.age)
        if of_age is None or of_age <= written:
            return None
        return _years_after(parts, self.majority.age + self.minor_years)


def _years_after(birth: tuple[int, int, int], years: int) -> datetime | None:
    """A birthday; a day that its month does not have is the month's last one."""
    year, month, day = birth
    try:
        last = monthrange(year + years, month)[1]
        return datetime(year + years, month, min(day, last), tzinfo=UTC)
    except ValueError:
        return None  # no date: nothing is known of the age


@lru_cache
def majorities() -> dict[str, Majority]:
    """The rows of the table."""
    text = resources.files("node.ledger").joinpath("data/minors.toml").read_text("utf-8")
    return {name: Majority(**row) for name, row in tomllib.loads(text).items()}


def rules(*, years: int, majority: str, minor_years: int) -> Rules:
    """The rules of a node.

    Raises:
        SettingsError: ``settings-invalid`` for a majority that the table does not have.
    """
    row = majorities().get(majority)
    if row is None:
        known = ", ".join(sorted(majorities()))
        raise SettingsError("settings-invalid", f"log.majority is one of {known}.")
    return Rules(years=years, majority=row, minor_years=minor_years)
