"""Traits: demographics in the form in which they are compared.

Accents, case, punctuation and street words are levelled here once per person, so that comparing
two people is only looking at equal things. Values that stand for "unknown" (``Unknown``,
``000-00-0000``) vanish: absent must never agree with absent.

Pure; the vocabularies are in ``data/matching.toml``.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from node.model import Address, Demographics, PersonName
from node.records.rules import Rules

_PLAIN_LETTERS = str.maketrans(
    {"ß": "SS", "ø": "O", "Ø": "O", "æ": "AE", "Æ": "AE", "œ": "OE", "Œ": "OE", "ł": "L", "Ł": "L"}
)
_NO_LETTERS = re.compile("[^A-Z]+")
_WORD = re.compile("[A-Z0-9]+")
_NO_DIGITS = re.compile("[^0-9]+")
_SSN_DIGITS = 9
_LAST_FOUR = 4
_PHONE_DIGITS = 10
_DIGITS = frozenset("0123456789")
_YEAR_DIGITS = 4
_MONTH_DIGITS = 6
_DAY_DIGITS = 8
_SHORTEST_PART = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class NameTraits:
    """One name: letters A to Z only; ``given`` is the first word, ``middles`` the further ones."""

    family: str
    family_parts: frozenset[str]
    given: str
    given_whole: str
    middles: tuple[str, ...]
    newborn: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class AddressTraits:
    """One address: ``street`` with USPS short words, five digits of the postal code."""

    street: str
    number: str
    city: str
    state: str
    postal_code: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Traits:
    """A person in comparable form; empty means unknown."""

    names: tuple[NameTraits, ...]
    suffixes: frozenset[str]
    birth_date: str
    sex: str
    ssns: frozenset[str]
    identifiers: frozenset[tuple[str, str]]
    telephones: frozenset[str]
    mails: frozenset[str]
    addresses: tuple[AddressTraits, ...]
    mothers_maiden_name: str


def traits_of(demographics: Demographics, rules: Rules) -> Traits:
    """Level a person's demographics. Never raises: what cannot be read counts as unknown."""
    bound = rules.compared
    telecoms = demographics.telecoms[:bound]
    ssns, identifiers = _identifiers(demographics, rules)
    mother = demographics.mothers_maiden_name
    named = [(n, words(n.family or "")) for n in demographics.names[:bound]]
    names = [_name(n, family_words, rules) for n, family_words in named]
    return Traits(
        names=tuple(n for n in names if n.family or n.given),
        suffixes=frozenset(
            g for n, family_words in named for g in [_generation(n, family_words, rules)] if g
        ),
        birth_date=_birth_date(demographics.birth_date),
        sex=demographics.sex if demographics.sex in ("M", "F") else "",
        ssns=ssns,
        identifiers=identifiers,
        telephones=frozenset(p for t in telecoms for p in [_telephone(t.value)] if p),
        mails=frozenset(
            t.value.removeprefix("mailto:").strip().lower() for t in telecoms if "@" in t.value
        ),
        addresses=tuple(
            a for a in (_address(x, rules) for x in demographics.addresses[:bound]) if a is not None
        ),
        mothers_maiden_name=_known(letters(mother.family or ""), rules) if mother else "",
    )


def letters(text: str) -> str:
    """The letters A to Z of a text, capital, without accents."""
    capital = _capital(text)
    if capital.isascii() and (capital.isalpha() or not capital):
        return capital
    return _NO_LETTERS.sub("", capital)


def words(text: str) -> list[str]:
    """The words of a text as letters and digits, capital, without accents; hyphens part words."""
    capital = _capital(text)
    if capital.isascii() and capital.isalnum():
        return [capital]
    return _WORD.findall(capital.replace("'", "").replace("\u2019", ""))


def _capital(text: str) -> str:
    if text.isascii():
        return text.upper()
    plain = unicodedata.normalize("NFKD", text.translate(_PLAIN_LETTERS))
    return "".join(c for c in plain if not unicodedata.combining(c)).upper()


def _known(text: str, rules: Rules) -> str:
    return "" if text in rules.unknown else text


def _name(name: PersonName, family_words: list[str], rules: Rules) -> NameTraits:
    given_words: list[str] = []
    first, whole = "", ""
    for number, given in enumerate(name.given):
        found = words(given)
        given_words += found
        if number == 0:
            first, whole = found[0] if found else "", letters(given)
    newborn = bool(given_words) and (
        given_words[0] in rules.placeholders or whole in rules.placeholders
    )
    return NameTraits(
        family=_known(letters(name.family or ""), rules),
        family_parts=_family_parts(family_words, rules),
        given=_known(first, rules),
        given_whole=_known(whole, rules),
        middles=tuple(w for w in given_words[1:] if w not in rules.unknown),
        newborn=newborn,
    )


def _family_parts(family_words: list[str], rules: Rules) -> frozenset[str]:
    """The parts of a double name; particles (``De La Cruz``) stay with the word they lead."""
    parts: list[str] = []
    lead = ""
    for word in family_words:
        if word in rules.particles:
            lead += word
            continue
        if _generation_of(word, rules):
            continue
        parts.append(lead + word)
        lead = ""
    return frozenset(p for p in parts if len(p) >= _SHORTEST_PART and p not in rules.unknown)


def _generation(name: PersonName, family_words: list[str], rules: Rules) -> str:
    if name.suffix:
        for word in words(name.suffix):
            found = _generation_of(word, rules)
            if found:
                return found
    return _generation_of(family_words[-1], rules) if len(family_words) > 1 else ""


def _generation_of(word: str, rules: Rules) -> str:
    return rules.generations.get(word, "")


def _birth_date(text: str | None) -> str:
    digits = (text or "")[:_DAY_DIGITS]
    if len(digits) < _YEAR_DIGITS or not set(digits) <= _DIGITS:
        return ""
    if len(digits) >= _DAY_DIGITS:
        return digits
    return digits[:_MONTH_DIGITS] if len(digits) >= _MONTH_DIGITS else digits[:_YEAR_DIGITS]


def _identifiers(
    demographics: Demographics, rules: Rules
) -> tuple[frozenset[str], frozenset[tuple[str, str]]]:
    ssns: set[str] = set()
    others: set[tuple[str, str]] = set()
    for identifier in demographics.identifiers[: rules.identifiers]:
        if identifier.assigning_authority == rules.ssn_root:
            number = social_security_number(identifier.id, rules)
            if number:
                ssns.add(number)
        elif identifier.id.strip():
            others.add((identifier.assigning_authority, identifier.id.strip().upper()))
    return frozenset(ssns), frozenset(others)


def social_security_number(text: str, rules: Rules) -> str:
    """Nine digits, or the last four; empty for a number that is nobody's."""
    digits = _NO_DIGITS.sub("", text)
    if len(digits) == _LAST_FOUR:
        return digits if digits != "0000" else ""
    if len(digits) != _SSN_DIGITS or len(set(digits)) == 1 or digits in rules.ssn_placeholders:
        return ""
    area, group, serial = digits[:3], digits[3:5], digits[5:]
    return "" if area in ("000", "666") or group == "00" or serial == "0000" else digits


def _telephone(value: str) -> str:
    if "@" in value:
        return ""
    digits = _NO_DIGITS.sub("", value.split(";", maxsplit=1)[0])
    number = digits[-_PHONE_DIGITS:]
    return number if len(number) == _PHONE_DIGITS and len(set(number)) > 1 else ""


def _address(address: Address, rules: Rules) -> AddressTraits | None:
    street_words = [rules.street.get(w, w) for line in address.lines for w in words(line)]
    numbers = [w for w in street_words if w[0].isdigit()]
    postal = "".join(words(address.postal_code or ""))[:5]
    found = AddressTraits(
        street="".join(street_words),
        number=numbers[0] if numbers else "",
        city=letters(address.city or ""),
        state=letters(address.state or ""),
        postal_code=postal if postal.strip("0") else "",
    )
    return found if found.street or found.city or found.postal_code else None
