"""Field by field: at which level do two people agree?

Each function takes two people's traits and gives the name of a level (a key under ``[points]`` of
``data/matching.toml``) or ``None`` where one side knows nothing. All are symmetric: swapping the
two people never changes the level.
"""

from __future__ import annotations

from functools import lru_cache

from nicknames import NickNamer
from rapidfuzz.distance import OSA, JaroWinkler

from node.records.rules import Rules
from node.records.traits import AddressTraits, NameTraits

Levels = tuple[tuple[str, str], ...]
"""Pairs of field and level, in the order a person would read them."""

_DAY_DIGITS = 8
_MONTH_DIGITS = 6
_YEAR_DIGITS = 4
_SSN_DIGITS = 9
_DIMINUTIVE = 3
_YEAR_SLIPS = (1, 10)


@lru_cache
def _nicknames() -> NickNamer:
    return NickNamer()


@lru_cache(maxsize=65536)
def are_nicknames(a: str, b: str) -> bool:
    """Whether one name is a usual nickname of the other, or both are of a third."""
    namer = _nicknames()
    x, y = a.lower(), b.lower()
    return (
        y in namer.nicknames_of(x)
        or x in namer.nicknames_of(y)
        or bool(namer.canonicals_of(x) & namer.canonicals_of(y))
    )


def names(a: NameTraits, b: NameTraits, rules: Rules) -> Levels:
    """Levels of the family, given and middle name of one pair of names."""
    family, given = family_level(a, b, rules), given_level(a, b, rules)
    found = [("family", family), ("given", given)]
    if family in ("different", None) and given in ("different", None) and _exchanged(a, b, rules):
        found = [("names", "swapped")]
    found.append(("middle", middle_level(a, b)))
    return tuple((field, level) for field, level in found if level is not None)


def may_be_exchanged(a: NameTraits, b: NameTraits) -> bool:
    """Whether a given name is the other's family name, as it is where names changed places."""
    return (
        a.given_whole == b.family
        or a.given_whole in b.family_parts
        or b.given_whole == a.family
        or b.given_whole in a.family_parts
    )


def _exchanged(a: NameTraits, b: NameTraits, rules: Rules) -> bool:
    """Whether the names changed places: one agrees whole across, the other at least nearly."""
    if not (a.family and a.given and b.family and b.given):
        return False
    one, other = _crossed(a, b, rules), _crossed(b, a, rules)
    return (one == "exact" and other is not None) or (other == "exact" and one is not None)


def _crossed(a: NameTraits, b: NameTraits, rules: Rules) -> str | None:
    """How the given name of ``a`` agrees with the family name of ``b``."""
    if a.given_whole == b.family or a.given_whole in b.family_parts:
        return "exact"
    x, y = a.given, b.family
    if min(len(x), len(y)) >= _DIMINUTIVE and (
        x.startswith(y) or y.startswith(x) or are_nicknames(x, y)
    ):
        return "near"
    return "near" if _spelling(a.given_whole, y, rules) == "close" else None


def family_level(a: NameTraits, b: NameTraits, rules: Rules) -> str | None:
    """Level of two family names."""
    if not a.family or not b.family:
        return None
    if a.family == b.family:
        return "exact"
    if a.family_parts & b.family_parts:
        return "part"
    return _spelling(a.family, b.family, rules) or "different"


def given_level(  # noqa: PLR0911 - one line for each level, best first
    a: NameTraits, b: NameTraits, rules: Rules
) -> str | None:
    """Level of two given names."""
    if a.newborn or b.newborn:
        return "placeholder"
    x, y = a.given, b.given
    if not x or not y:
        return None
    if x == y or a.given_whole == b.given_whole:
        return "exact"
    if len(x) == 1 or len(y) == 1:
        return "initial" if x[0] == y[0] else "different"
    if are_nicknames(x, y):
        return "nickname"
    if min(len(x), len(y)) >= _DIMINUTIVE and (x.startswith(y) or y.startswith(x)):
        return "diminutive"
    spellings = {_spelling(a.given_whole, b.given_whole, rules), _spelling(x, y, rules)}
    for level in ("close", "similar"):
        if level in spellings:
            return level
    return "middle" if x in b.middles or y in a.middles else "different"


def middle_level(a: NameTraits, b: NameTraits) -> str | None:
    """Level of two people's first middle names."""
    if not a.middles or not b.middles:
        return None
    x, y = a.middles[0], b.middles[0]
    if len(x) > 1 and x == y:
        return "exact"
    if x[0] == y[0] and (len(x) == 1 or len(y) == 1):
        return "initial"
    return "different"


def maiden_level(a: str, b: str, rules: Rules) -> str | None:
    """Level of two mothers' maiden names."""
    if not a or not b:
        return None
    if a == b:
        return "exact"
    return "close" if _spelling(a, b, rules) == "close" else "different"


def _spelling(a: str, b: str, rules: Rules) -> str | None:
    if min(len(a), len(b)) < rules.shortest:
        return None
    if OSA.distance(a, b, score_cutoff=1) <= 1:
        return "close"
    likeness = JaroWinkler.similarity(a, b)
    if likeness >= rules.close:
        return "close"
    return "similar" if likeness >= rules.similar else None


def birth_date_level(a: str, b: str) -> str | None:
    """Level of two birth dates of any precision."""
    if not a or not b:
        return None
    if a[:_YEAR_DIGITS] == b[:_YEAR_DIGITS]:
        return _same_year(a, b)
    if min(len(a), len(b)) < _DAY_DIGITS:
        return "different"
    years = abs(int(a[:_YEAR_DIGITS]) - int(b[:_YEAR_DIGITS]))
    if a[_YEAR_DIGITS:] == b[_YEAR_DIGITS:] and years in _YEAR_SLIPS:
        return "year_slip"
    return "slip" if OSA.distance(a, b, score_cutoff=1) <= 1 else "different"


def _same_year(a: str, b: str) -> str:
    shorter = min(len(a), len(b))
    if a[:shorter] == b[:shorter]:
        return {_DAY_DIGITS: "exact", _MONTH_DIGITS: "month"}.get(shorter, "year")
    if shorter < _DAY_DIGITS:
        return "different"
    if a[4:6] == b[6:8] and a[6:8] == b[4:6]:
        return "swapped"
    if "0101" in (a[4:], b[4:]):
        return "first_of_year"
    return "slip" if OSA.distance(a, b, score_cutoff=1) <= 1 else "different"


def generation_gap(a: str, b: str) -> int:
    """Years between two birth dates; 0 where one is unknown."""
    if not a or not b:
        return 0
    return abs(int(a[:_YEAR_DIGITS]) - int(b[:_YEAR_DIGITS]))


def ssn_level(a: str, b: str) -> str:
    """Level of two social security numbers (nine digits, or the last four)."""
    if a == b:
        return "exact" if len(a) == _SSN_DIGITS else "last_four"
    if len(a) != len(b):
        return "last_four" if a[-4:] == b[-4:] else "different"
    if len(a) == _SSN_DIGITS and OSA.distance(a, b, score_cutoff=1) <= 1:
        return "slip"
    return "different"


def address_level(a: AddressTraits, b: AddressTraits, rules: Rules) -> str | None:
    """Level of two addresses."""
    street = (
        bool(a.street and b.street)
        and a.number == b.number
        and (
            a.street == b.street or JaroWinkler.similarity(a.street, b.street) >= rules.same_street
        )
    )
    postal = bool(a.postal_code) and a.postal_code == b.postal_code
    city = bool(a.city) and a.city == b.city and (a.state == b.state or not (a.state and b.state))
    if street:
        return "exact" if postal or city else "street"
    if postal:
        return "postal_code"
    if city:
        return "city"
    return "different" if (a.postal_code and b.postal_code) or (a.city and b.city) else None
