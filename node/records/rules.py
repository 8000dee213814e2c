"""The matching rules as a value: points, thresholds and vocabularies of ``data/matching.toml``."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """Everything that may be tuned in matching; see the comments in the data file.

    ``points`` maps field and level to a log2 likelihood ratio. ``compared`` and ``identifiers``
    bound how many values of one kind are looked at; ``per_key``, ``candidates`` and ``keys`` bound
    the search for candidates.
    """

    certain: float
    possible: float
    margin: float
    full: float
    percent_possible: int
    percent_certain: int
    close: float
    similar: float
    same_street: float
    shortest: int
    generation_years: int
    points: Mapping[str, Mapping[str, float]]
    sentences: Mapping[str, str]
    generations: Mapping[str, str]
    placeholders: frozenset[str]
    unknown: frozenset[str]
    particles: frozenset[str]
    street: Mapping[str, str]
    ssn_root: str
    ssn_placeholders: frozenset[str]
    per_key: int
    candidates: int
    keys: int
    compared: int
    identifiers: int


def rules_of(text: str) -> Rules:
    """Read rules from TOML.

    Raises:
        KeyError: when a table or key is missing.
        tomllib.TOMLDecodeError: when the text is not TOML.
    """
    table = tomllib.loads(text)
    vocabulary, blocking = table["vocabulary"], table["blocking"]
    similarity, threshold = table["similarity"], table["threshold"]
    return Rules(
        certain=threshold["certain"],
        possible=threshold["possible"],
        margin=threshold["margin"],
        full=threshold["full"],
        percent_possible=table["percent"]["possible"],
        percent_certain=table["percent"]["certain"],
        close=similarity["close"],
        similar=similarity["similar"],
        same_street=similarity["street"],
        shortest=similarity["shortest"],
        generation_years=table["generation"]["years"],
        points=table["points"],
        sentences=table["sentences"],
        generations=vocabulary["generations"],
        placeholders=frozenset(vocabulary["placeholders"]),
        unknown=frozenset(vocabulary["unknown"]),
        particles=frozenset(vocabulary["particles"]),
        street=vocabulary["street"],
        ssn_root=table["identifiers"]["ssn"],
        ssn_placeholders=frozenset(table["identifiers"]["ssn_placeholders"]),
        per_key=blocking["per_key"],
        candidates=blocking["total"],
        keys=blocking["keys"],
        compared=table["limits"]["names"],
        identifiers=table["limits"]["identifiers"],
    )


@lru_cache
def default_rules() -> Rules:
    """The rules that ship with the node."""
    data = resources.files("node.records").joinpath("data/matching.toml")
    return rules_of(data.read_text(encoding="utf-8"))
