"""Why there are no records of an organization, for the person who asked. Pure.

``data/explanations.toml`` has a row for each code that a clinician may meet. A code that it does
not have is one of the other side's own, and is said to be that.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from importlib import resources
from typing import Final


class Side(StrEnum):
    """On whose side the reason is."""

    OURS = "ours"
    THEIRS = "theirs"
    NETWORK = "network"
    PATIENT = "patient"


class Call(StrEnum):
    """Whom it helps to call."""

    HELP_DESK = "help-desk"
    PRIVACY_OFFICER = "privacy-officer"
    ORGANIZATION = "organization"
    NOBODY = "nobody"


NO: Final = "no"


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """One row. ``again`` says when asking again may help; ``NO`` that it does not."""

    code: str
    title: str
    text: str
    side: Side
    again: str
    call: Call


@lru_cache
def explanations() -> Mapping[str, Explanation]:
    """All rows by code."""
    text = resources.files("node.policy").joinpath("data/explanations.toml").read_text("utf-8")
    return {
        code: Explanation(
            code=code,
            title=row["title"],
            text=row["text"],
            side=Side(row["side"]),
            again=row["again"],
            call=Call(row["call"]),
        )
        for code, row in tomllib.loads(text).items()
    }


def explained(code: str) -> Explanation:
    """The row of a code; of one that is not ours, what can be said of it."""
    return explanations().get(code) or Explanation(
        code=code,
        title="They gave a reason of their own",
        text="The code is one that the organization uses itself; only they know what it means.",
        side=Side.THEIRS,
        again=NO,
        call=Call.ORGANIZATION,
    )
