"""Blocking keys: which people are worth comparing at all.

Two people are compared when they share at least one key, and each key is an indexed row, so the
cost of a question does not grow with the index. The keys overlap on purpose: any single mistake (a
name misspelt, a birth date mistyped, a move, a marriage) leaves others standing.

Keys hold demographics and stay inside the node's database.
"""

from __future__ import annotations

from node.records.rules import Rules
from node.records.traits import NameTraits, Traits

ENOUGH = 2
_WEAK = frozenset("yna")
_DAY_DIGITS = 8
_SSN_DIGITS = 9
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
    """All keys of a person, the most selective first, at most ``rules.keys``."""
    found: dict[str, None] = {}
    for root, value in sorted(person.identifiers):
        found[f"i:{root}:{value}"] = None
    for number in sorted(person.ssns):
        found[f"s:{number}"] = None
        if len(number) == _SSN_DIGITS and person.birth_date:
            found[f"l:{number[-4:]}:{person.birth_date[:4]}"] = None
        elif person.birth_date:
            found[f"l:{number}:{person.birth_date[:4]}"] = None
    for telephone in sorted(person.telephones):
        found[f"t:{telephone}"] = None
    for mail in sorted(person.mails):
        found[f"m:{mail}"] = None
    for name in person.names:
        for key in _name_keys(name, person):
            found[key] = None
    return tuple(found)[: rules.keys]


def weight(key: str) -> int:
    """How much sharing a key says; people are compared from ``ENOUGH`` on.

    A year (or a day) with a sound and an initial, or a house with an initial, is shared by many
    strangers: alone it cannot lead to a certain match, two of them can.
    """
    return 1 if key[0] in _WEAK else ENOUGH


def _name_keys(name: NameTraits, person: Traits) -> list[str]:
    """Keys of one name with birth date and address; both orders of the names are keyed."""
    born = person.birth_date
    initials = sorted({w[0] for w in (name.given, name.family, *name.family_parts) if w})
    families = {w for w in (name.family, *name.family_parts) if w}
    sounds = sorted({sound(w) for w in families})
    leading = sound(name.family or name.given)
    given_sound = sound(name.given) if name.family else leading
    found: list[str] = []
    if len(born) == _DAY_DIGITS:
        found.extend(f"d:{born}:{initial}" for initial in initials)
        found.append(f"x:{born[:4]}{born[6:8]}{born[4:6]}:{leading}")
        found.append(f"x:{born}:{leading}")
    if born and name.given:
        crossed = [(s, name.given[0]) for s in sounds]
        if name.family:
            crossed.append((given_sound, name.family[0]))
        found.extend(f"y:{born[:4]}:{s}:{initial}" for s, initial in crossed)
        if len(born) == _DAY_DIGITS:
            found.extend(f"n:{born[4:]}:{s}:{initial}" for s, initial in crossed)
    found.extend(
        f"a:{a.postal_code}:{a.number}:{initial}"
        for a in person.addresses
        if a.postal_code and a.number
        for initial in initials
    )
    return found


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
