"""The HL7 v3 vocabulary of ``data/hl7v3.toml``, read once."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources

__all__ = ["Vocabulary", "vocabulary"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Vocabulary:
    """Code systems and codes by the names the data file gives them.

    Attributes:
        systems: OID by name (``gender``, ``ask``, ``problem`` ...).
        codes: single codes by name (``mother``, ``not_locator`` ...).
        asks: the known codes of case 3; ``misspelt_asks`` maps wrong spellings to them.
        problems: the known codes of case 5.
        details: acknowledgementDetail codes by what they say (``missing``, ``invalid`` ...).
        genders: AdministrativeGender codes; ``gender_words`` maps lower-case words to a code or "".
        forbidden_query: children of queryByParameter that ITI-55 does not allow;
            ``forbidden_criterion`` and ``forbidden_parameter`` those of the two lists in it.
    """

    systems: Mapping[str, str]
    codes: Mapping[str, str]
    asks: frozenset[str]
    misspelt_asks: Mapping[str, str]
    problems: frozenset[str]
    details: Mapping[str, str]
    genders: frozenset[str]
    gender_words: Mapping[str, str]
    forbidden_query: frozenset[str]
    forbidden_criterion: frozenset[str]
    forbidden_parameter: frozenset[str]


@lru_cache(maxsize=1)
def vocabulary() -> Vocabulary:
    """The vocabulary shipped with this version of the node."""
    source = resources.files("node.wire").joinpath("data/hl7v3.toml").read_text("utf-8")
    table = tomllib.loads(source)
    return Vocabulary(
        systems=table["code_systems"],
        codes=table["codes"],
        asks=frozenset(table["asks"]["known"]),
        misspelt_asks=table["asks"]["misspelt"],
        problems=frozenset(table["problems"]["known"]),
        details=table["details"],
        genders=frozenset(table["gender"]["codes"]),
        gender_words=table["gender"]["words"],
        forbidden_query=frozenset(table["forbidden"]["query"]),
        forbidden_criterion=frozenset(table["forbidden"]["match_criterion"]),
        forbidden_parameter=frozenset(table["forbidden"]["parameter"]),
    )
