"""The reasons of refusal: what a person reads, the rule cited, and the form on the wire."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """One row of ``data/reasons.toml``.

    ``fault`` is the subcode of a SOAP fault and is set exactly when the refusal travels as one;
    otherwise ``xcpd`` and ``xds`` are the codes of ITI-55 and of ITI-38/39. ``quiet`` marks a
    refusal that would itself disclose something about a person.
    """

    code: str
    sentence: str
    cite: str
    xcpd: str = ""
    xds: str = ""
    fault: str | None = None
    quiet: bool = False


@lru_cache
def reasons() -> dict[str, Reason]:
    """All reasons by code."""
    text = resources.files("node.policy").joinpath("data/reasons.toml").read_text("utf-8")
    return {
        code: Reason(
            code=code,
            sentence=row["sentence"],
            cite=row["cite"],
            xcpd=row.get("xcpd", ""),
            xds=row.get("xds", ""),
            fault=row.get("fault"),
            quiet=row.get("quiet", False),
        )
        for code, row in tomllib.loads(text).items()
    }


def reason(code: str) -> Reason:
    """The reason with a code. Raises KeyError for a code that is not in the table: a bug."""
    return reasons()[code]
