"""The tables of ADT messages, read once, and why a message is not used."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources

from node.encounter import Does, EncounterClass


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why a message is not used.

    ``ack`` is the code of the answer to its sender (HL7 table 0008), ``error`` that of table 0357.
    """

    code: str
    sentence: str
    ack: str
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AdtTables:
    """``data/adt_events.toml``. An event is what it does, or the code of a refusal."""

    events: Mapping[str, Does | str]
    classes: Mapping[str, EncounterClass]
    left_out: frozenset[str]
    npi: frozenset[str]
    charsets: Mapping[str, str]
    refusals: Mapping[str, Refusal]


@lru_cache
def adt_tables() -> AdtTables:
    """The tables of this version."""
    text = resources.files("node.wire").joinpath("data/adt_events.toml").read_text("utf-8")
    read = tomllib.loads(text)
    return AdtTables(
        events={
            code: Does(row["does"]) if "does" in row else str(row["refused"])
            for code, row in read["events"].items()
        },
        classes={code: EncounterClass(name) for code, name in read["classes"].items()},
        left_out=frozenset(read["identifiers"]["left_out"]),
        npi=frozenset(read["identifiers"]["npi"]),
        charsets=read["charsets"],
        refusals={code: Refusal(code=code, **row) for code, row in read["refusals"].items()},
    )


def refusal(code: str) -> Refusal:
    """The refusal with a code. Raises KeyError for a code that is not in the table: a bug."""
    return adt_tables().refusals[code]
