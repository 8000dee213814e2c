"""Blocking keys: which people are worth comparing at all.

Two people are compared when they share a key, and each key is an indexed row. The keys overlap on
purpose: any single mistake (a name misspelt, a birth date mistyped, a move, a marriage) leaves
others standing.

Every key ties facts together that are independent of each other, so that few strangers share one:
not the birth date with an initial, which every eighth stranger of that day shares, but the birth
date with a sound, or with both initials. A question that finds nobody meets about three strangers
for each million people in the index (made-up people, ``tests/bench/people.py``), ``per_key`` of one
key at most.

| key | facts | what may differ |
|---|---|---|
| i, s, t, m | an identifier, social security number, telephone, mail | all else |
| l | last four digits of the number, year of birth | the names, the day |
| x | birth date, sound of one name | the other name |
| d | birth date, both initials | the spelling of both names |
| y, n | year (day and month) of birth, sounds of both names | the day (the year) |
| h | house, year (day and month) of birth | the names, the day (the year) |
| b | birth date, house number | the names, the postal code |
| a | house, both initials | the birth date |

Keys hold demographics and stay inside the node's database.
"""

from __future__ import annotations

from functools import lru_cache

from node.records.rules import Rules
from node.records.traits import NameTraits, Traits

FORM = 2
"""Changes with the keys that a person has; an index with keys of another form makes them again."""

_DAY_DIGITS = 8
_SKELETON = 4
_CODES = {
    **dict.fromkeys("BFPV", "1"),
    **dict.fromkeys("CGJKQSXZ", "2"),
    **dict.fromkeys("DT", "3"),
    "L": "4",
    **dict.fromkeys("MN", "5"),
    "R": "6",
}


def keys_of(person: Traits, rules: Rules) -> tuple[str, ...]:
    """All keys of a person, at most ``rules.keys``: of numbers, of the first name, of the rest."""
    found = [f"i:{root}:{value}" for root, value in sorted(person.identifiers)]
    born = person.birth_date
    for number in sorted(person.ssns):
        found.append(f"s:{number}")
        if born:
            found.append(f"l:{number[-4:]}:{born[:4]}")
    found += [f"t:{telephone}" for telephone in sorted(person.telephones)]
    found += [f"m:{mail}" for mail in sorted(person.mails)]
    for place, name in enumerate(person.names):
        found += _name_keys(name, born)
        if place == 0:
            found += _home_keys(person)
    return tuple(dict.fromkeys(found))[: rules.keys]


def _name_keys(name: NameTraits, born: str) -> list[str]:
    """Keys of one name with the birth date; names that changed places have the same keys."""
    if not born:
        return []
    given, dated = name.given, len(born) == _DAY_DIGITS
    families = sorted({name.family, *name.family_parts} - {""})
    sounds = sorted({sound(family) for family in families})
    given_sound = sound(given)
    found: list[str] = []
    if dated:
        found += [f"x:{born}:{each}" for each in sounds]
        if given:
            found.append(f"x:{born}:{given_sound}")
            found += [f"d:{born}:{_pair(given[0], family[0])}" for family in families]
    if given:
        for pair in [_pair(given_sound, each) for each in sounds]:
            found.append(f"y:{born[:4]}:{pair}")
            if dated:
                found.append(f"n:{born[4:]}:{pair}")
    return found


def _home_keys(person: Traits) -> list[str]:
    """Keys of the addresses, with the birth date, and with the initials of the names."""
    born, found = person.birth_date, []
    initials = [_pair(n.given[0], n.family[0]) for n in person.names if n.given and n.family]
    for address in person.addresses:
        if not address.number:
            continue
        dated = len(born) == _DAY_DIGITS
        if dated:
            found.append(f"b:{born}:{address.number}")
        if address.postal_code:
            house = f"{address.postal_code}:{address.number}"
            if born:
                found.append(f"h:{house}:{born[:4]}")
            if dated:
                found.append(f"h:{house}:{born[4:]}")
            found += [f"a:{house}:{pair}" for pair in initials]
    return found


def _pair(one: str, other: str) -> str:
    """Two facts, whichever comes first."""
    return f"{one}:{other}" if one < other else f"{other}:{one}"


@lru_cache(maxsize=16384)
def sound(name: str) -> str:
    """Soundex of a name of letters A to Z: first letter and three digits (Russell, 1918)."""
    if not name:
        return ""
    digits: list[str] = []
    last = _CODES.get(name[0], "")
    for letter in name[1:]:
        code = _CODES.get(letter, "")
        if code and code != last:
            digits.append(code)
        if letter not in "HW":
            last = code
    return (name[0] + "".join(digits) + "000")[:_SKELETON]
