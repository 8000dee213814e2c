"""A person in words, and two of them side by side with the differences said. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Final

from node.console.wording import listed
from node.model import Demographics

_SEXES: Final = {"F": "Female", "M": "Male", "UN": "Other"}
_DAY, _MONTH = 8, 6
_MONTHS: Final = (
    "Jan",
    "Feb",
    "Mar",
    "Apr",
    "May",
    "Jun",
    "Jul",
    "Aug",
    "Sep",
    "Oct",
    "Nov",
    "Dec",
)
_MOST: Final = 3
"""Names, addresses and numbers of a person that are shown."""


class Differs(StrEnum):
    """How a line compares."""

    SAME = "same"
    DIFFERS = "differs"
    ONE_SIDED = "not said there"
    UNASKED = "not known here"


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One field of both; empty where it is not known."""

    words: str
    ours: tuple[str, ...]
    theirs: tuple[str, ...]
    compares: Differs


def name_of(person: Demographics) -> str:
    """The first name, or that there is none."""
    return next(iter(_names(person)), "Name not known")


def born(text: str | None) -> str:
    """``2 Mar 1961``, ``Mar 1961`` or ``1961``."""
    if not text:
        return ""
    year = text[:4]
    if len(text) < _MONTH:
        return year
    month = int(text[4:6])
    words = _MONTHS[month - 1] if 1 <= month <= len(_MONTHS) else text[4:6]
    return f"{int(text[6:8])} {words} {year}" if len(text) >= _DAY else f"{words} {year}"


def age(text: str | None, today: date) -> int | None:
    """Whole years, where the day of birth is known."""
    if not text or len(text) < _DAY:
        return None
    try:
        day = date(int(text[:4]), int(text[4:6]), int(text[6:8]))
    except ValueError:
        return None
    years = today.year - day.year - ((today.month, today.day) < (day.month, day.day))
    return years if years >= 0 else None


def sex(code: str | None) -> str:
    """In a word; empty where it is not known."""
    return _SEXES.get(code or "", code or "")


def lines(ours: Demographics, theirs: Demographics) -> tuple[Line, ...]:
    """The fields that either side knows."""
    fields = (
        ("Name", _names),
        ("Birth date", lambda p: (born(p.birth_date),) if p.birth_date else ()),
        ("Sex", lambda p: (sex(p.sex),) if p.sex else ()),
        ("Address", _addresses),
        ("Telephone", _telephones),
    )
    made = []
    for words, read in fields:
        mine, other = read(ours)[:_MOST], read(theirs)[:_MOST]
        if mine or other:
            compares = _compare(words, mine, other)
            made.append(Line(words=words, ours=mine, theirs=other, compares=compares))
    return tuple(made)


def difference(ours: Demographics, theirs: Demographics) -> str:
    """``Address and name differ``, or that too little is known."""
    found = [line.words for line in lines(ours, theirs) if line.compares is Differs.DIFFERS]
    if not found:
        return "Too little is said there to be sure"
    words = listed([found[0], *(word.lower() for word in found[1:])])
    return f"{words} differ{'s' if len(found) == 1 else ''}"


def _compare(words: str, ours: tuple[str, ...], theirs: tuple[str, ...]) -> Differs:
    if not theirs:
        return Differs.ONE_SIDED
    if not ours:
        return Differs.UNASKED
    mine, other = ({_plain(t) for t in side} for side in (ours, theirs))
    if mine & other or (words == "Address" and _touch(ours, theirs)):
        return Differs.SAME
    return Differs.DIFFERS


def _touch(ours: tuple[str, ...], theirs: tuple[str, ...]) -> bool:
    """Whether one address is a part of another: a ZIP code alone, and the whole."""
    return any(
        set(_plain(a).split()) <= set(_plain(b).split())
        or set(_plain(b).split()) <= set(_plain(a).split())
        for a in ours
        for b in theirs
    )


def _plain(text: str) -> str:
    return " ".join(re.sub(r"[^\w]+", " ", text.casefold()).split())


def _names(person: Demographics) -> tuple[str, ...]:
    made = (" ".join(filter(None, (n.prefix, *n.given, n.family, n.suffix))) for n in person.names)
    return tuple(dict.fromkeys(each for each in made if each))


def _addresses(person: Demographics) -> tuple[str, ...]:
    made = []
    for each in person.addresses:
        place = " ".join(filter(None, (each.city, each.state, each.postal_code)))
        made.append(", ".join(filter(None, (*each.lines, place))))
    return tuple(dict.fromkeys(each for each in made if each))


def _telephones(person: Demographics) -> tuple[str, ...]:
    found = (t.value for t in person.telecoms if t.value.startswith("tel:"))
    return tuple(dict.fromkeys(each.removeprefix("tel:") for each in found))
