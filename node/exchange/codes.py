"""The codes that tell a refusal from a failure, read from ``data/endings.toml``."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources


@dataclass(frozen=True, slots=True, kw_only=True)
class EndingCodes:
    """Codes by meaning: refusals by transaction kind, and time-outs.

    ``discovery_problem_system`` is the code system of the codes of ITI-55 case 5; ``unavailable``
    is the registry error that stands for a community that gave no answer.
    """

    discovery_problem_system: str
    unavailable: str
    discovery_declined: frozenset[str]
    registry_declined: frozenset[str]
    fault_declined: frozenset[str]
    timeouts: frozenset[str]


@lru_cache
def ending_codes() -> EndingCodes:
    """The table shipped with this version."""
    text = resources.files("node.exchange").joinpath("data/endings.toml").read_text("utf-8")
    table = tomllib.loads(text)
    return EndingCodes(
        discovery_problem_system=table["discovery_problem_system"],
        unavailable=table["unavailable"],
        discovery_declined=frozenset(table["discovery_declined"]),
        registry_declined=frozenset(table["registry_declined"]),
        fault_declined=frozenset(table["fault_declined"]),
        timeouts=frozenset(table["timeouts"]),
    )
