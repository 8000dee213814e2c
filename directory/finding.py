"""A remark about one directory entry; what can be remarked is data (``data/findings.toml``)."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from importlib import resources

_SHOWN = 80
"""Characters of a published value that a sentence repeats."""


class Severity(StrEnum):
    """How bad it is; the order of the members is from worst to least."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One remark.

    Attributes:
        severity: error, warning or info.
        code: the rule's name, a key of ``data/findings.toml``.
        resource_id: id of the Organization or Endpoint, or ``None`` where it has none.
        sentence: what a person reads.
        where: the place in the source, e.g. ``entry[3]`` or ``line 17``, or ``None``.
    """

    severity: Severity
    code: str
    resource_id: str | None
    sentence: str
    where: str | None = None


@lru_cache
def finding_table() -> dict[str, dict[str, str]]:
    """All findings there are, by code."""
    text = resources.files("directory").joinpath("data/findings.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


def finding(
    code: str, resource_id: str | None, where: str | None = None, **values: object
) -> Finding:
    """Make a finding; published values are cut to 80 printable characters in its sentence.

    Raises:
        KeyError: the code is not in the table, or its sentence needs another value (a bug).
    """
    row = finding_table()[code]
    return Finding(
        severity=Severity(row["severity"]),
        code=code,
        resource_id=resource_id,
        sentence=row["sentence"].format(**{k: _shown(v) for k, v in values.items()}),
        where=where,
    )


def _shown(value: object) -> str:
    text = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in str(value))
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"
