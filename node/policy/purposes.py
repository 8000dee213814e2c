"""The register of exchange purposes: codes are data, never spelled in code (DESIGN law 8)."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from importlib import resources

from node.model import Code


class Duty(StrEnum):
    """What a responding node owes for a purpose (SOP Exchange Purposes 5.1, table 1)."""

    MUST = "must"
    SHOULD = "should"
    MAY = "may"
    PUSH_ONLY = "push-only"


@dataclass(frozen=True, slots=True, kw_only=True)
class Purpose:
    """One exchange purpose.

    ``date_range`` says that a query has to carry one, ``individual`` that people ask for their own
    records; ``plain`` is its name for people who do not know the network's.
    """

    code: Code
    duty: Duty
    date_range: bool = False
    individual: bool = False
    plain: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PurposeRegister:
    """The purposes in force, by code."""

    system: str
    system_name: str
    purposes: Mapping[str, Purpose]

    def get(self, code: Code) -> Purpose | None:
        """The purpose of a coded value, or ``None`` when code or code system is not in force."""
        if code.scheme != self.system:
            return None
        return self.purposes.get(code.code)

    def by_code(self, code: str) -> Purpose | None:
        """The purpose with a bare code."""
        return self.purposes.get(code)


@lru_cache
def purpose_register() -> PurposeRegister:
    """The register shipped with this version of the node."""
    text = resources.files("node.policy").joinpath("data/purposes.toml").read_text("utf-8")
    table = tomllib.loads(text)
    system = str(table["system"])
    return PurposeRegister(
        system=system,
        system_name=str(table["system_name"]),
        purposes={
            code: Purpose(
                code=Code(code=code, scheme=system, display=row["display"]),
                duty=Duty(row["duty"]),
                date_range=bool(row.get("date_range", False)),
                individual=bool(row.get("individual", False)),
                plain=str(row.get("plain", row["display"])),
            )
            for code, row in table["codes"].items()
        },
    )
