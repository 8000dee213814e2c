"""What a clinician typed to find somebody, read into demographics or into problems by field. Pure.

A name with a birth date, or a record number of ours: less than that no discovery may ask with
(ITI TF-2 3.55.4.1.2). What is typed is never part of a problem's sentence.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Final

from node.model import Address, Demographics, PersonName

SEXES: Final = {"": "Unknown", "F": "Female", "M": "Male", "UN": "Other"}

_LONGEST: Final = {"name": 120, "born": 10, "sex": 2, "zip": 10, "number": 64}
_NAME: Final = re.compile(r"[^\W\d_](?:[^\W\d_]|[ .,'\u2019\-])*")
_ISO: Final = re.compile(r"([0-9]{4})-([0-9]{1,2})-([0-9]{1,2})")
_US: Final = re.compile(r"([0-9]{1,2})/([0-9]{1,2})/([0-9]{4})")
_ZIP: Final = re.compile(r"[0-9]{5}(?:-[0-9]{4})?")
_NUMBER: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]*")
_EARLIEST: Final = 1880


@dataclass(frozen=True, slots=True, kw_only=True)
class Sought:
    """What was typed, read.

    Attributes:
        typed: the fields as they were, cut to their longest, for the form that comes back.
        demographics: whom about, where it was typed so.
        number: our record number, where that was typed.
        problems: by field, what to do.
    """

    typed: Mapping[str, str]
    demographics: Demographics | None = None
    number: str | None = None
    problems: Mapping[str, str]


def read_form(form: Mapping[str, str], today: date) -> Sought:
    """Read the fields ``name``, ``born``, ``sex``, ``zip`` and ``number``."""
    typed = {name: " ".join(form.get(name, "").split())[:most] for name, most in _LONGEST.items()}
    if typed["number"]:
        return _by_number(typed)
    problems: dict[str, str] = {}
    name, born = _name(typed["name"]), _born(typed["born"], today)
    if name is None:
        problems["name"] = "Type the given and the family name, or a record number."
    if born is None:
        problems["born"] = "Type the day of birth as yyyy-mm-dd, a day of the past."
    if typed["sex"] not in SEXES:
        problems["sex"] = "Choose one of the list."
    if typed["zip"] and not _ZIP.fullmatch(typed["zip"]):
        problems["zip"] = "A ZIP code has five digits."
    if problems or name is None:
        return Sought(typed=typed, problems=problems)
    address = (Address(postal_code=typed["zip"]),) if typed["zip"] else ()
    return Sought(
        typed=typed,
        problems={},
        demographics=Demographics(
            names=(name,), birth_date=born, sex=typed["sex"] or None, addresses=address
        ),
    )


def _by_number(typed: Mapping[str, str]) -> Sought:
    if not _NUMBER.fullmatch(typed["number"]):
        problem = "A record number has letters, digits and . _ / - alone."
        return Sought(typed=typed, problems={"number": problem})
    return Sought(typed=typed, problems={}, number=typed["number"])


def _name(text: str) -> PersonName | None:
    """``Given Middle Family`` or ``Family, Given Middle``."""
    if not _NAME.fullmatch(text):
        return None
    family, comma, given = text.partition(",")
    if not comma:
        given, _, family = text.rpartition(" ")
    names = tuple(given.replace(",", " ").split())
    return PersonName(family=family.strip(), given=names) if family.strip() and names else None


def _born(text: str, today: date) -> str | None:
    """``YYYYMMDD``, of ISO or the American form."""
    iso, american = _ISO.fullmatch(text), _US.fullmatch(text)
    if iso:
        year, month, day = iso.groups()
    elif american:
        month, day, year = american.groups()
    else:
        return None
    try:
        born = date(int(year), int(month), int(day))
    except ValueError:
        return None
    return f"{born:%Y%m%d}" if born.year >= _EARLIEST and born <= today else None
