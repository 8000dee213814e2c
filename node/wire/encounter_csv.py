"""A CSV file of encounters: one row for each, for systems that send no ADT messages. Pure.

UTF-8 with the header below; columns may stand in any order, those marked * must be there::

    patient_authority*,patient_id*,visit*,class*,began*,ended,state,department,attending,admitting,
    consulting,referring,family,given,birth_date,sex

``patient_authority`` is an OID. ``class`` is a word of ``EncounterClass``, ``state`` one of
``planned``, ``present``, ``ended``, ``cancelled``; empty means what the times say. Times are
``YYYY-MM-DD`` or ``YYYY-MM-DDThh:mm`` with or without an offset. Departments and practitioners
(``ID@AUTHORITY`` or ``ID``) are several where a semicolon stands between them. A later file with
the same ``visit`` replaces what is known of it, as a later message would.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Final

from node.encounter import Does, EncounterClass, EncounterEvent, Part, PractitionerId
from node.model import Demographics, PatientId, PersonName

NEEDED: Final = ("patient_authority", "patient_id", "visit", "class", "began")
COLUMNS: Final = (
    *NEEDED,
    "ended",
    "state",
    "department",
    *(part.value for part in Part),
    "family",
    "given",
    "birth_date",
    "sex",
)
_STATES: Final = {
    "": Does.UPDATE,
    "planned": Does.PLAN,
    "present": Does.BEGIN,
    "ended": Does.END,
    "cancelled": Does.CANCEL,
}
_LONGEST: Final = 128
_MOST: Final = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class LineRefusal:
    """A line that is not used, and the column that is the reason; never its content."""

    line: int
    column: str


def read_encounters(
    text: str, *, now: datetime, zone: tzinfo
) -> Iterator[EncounterEvent | LineRefusal]:
    """The rows of a file, each as an event that happened ``now``; ``zone`` of times without offset.

    A header that lacks a column is line 1 with the column's name, and then nothing is read.
    """
    reader = csv.DictReader(io.StringIO(text.removeprefix("\ufeff")))
    try:
        names = reader.fieldnames or ()
        for name in (
            *(n for n in NEEDED if n not in names),
            *(n for n in names if n not in COLUMNS),
        ):
            yield LineRefusal(line=1, column=name if name in COLUMNS else "(unknown)")
            return
        for row in reader:
            yield _event(row, reader.line_num, now, zone)
    except csv.Error:
        yield LineRefusal(line=reader.line_num, column="(csv)")


def _event(
    row: Mapping[str, str | None], line: int, now: datetime, zone: tzinfo
) -> EncounterEvent | LineRefusal:
    values = {name: (row.get(name) or "").strip() for name in COLUMNS}
    began, ended = _time(values["began"], zone), _time(values["ended"], zone)
    kinds = {each.value: each for each in EncounterClass}
    problems = {
        "patient_authority": not _fits(values["patient_authority"]),
        "patient_id": not _fits(values["patient_id"]),
        "visit": not _fits(values["visit"]),
        "class": values["class"] not in kinds,
        "began": began is None,
        "ended": bool(values["ended"]) and ended is None,
        "state": values["state"] not in _STATES,
        "birth_date": bool(values["birth_date"]) and not _date(values["birth_date"]),
        "(csv)": None in row,  # more fields than the header has
    }
    for column, wrong in problems.items():
        if wrong:
            return LineRefusal(line=line, column=column)
    return EncounterEvent(
        does=_STATES[values["state"]],
        at=now,
        patients=(
            PatientId(
                assigning_authority=values["patient_authority"].removeprefix("urn:oid:"),
                id=values["patient_id"],
            ),
        ),
        person=_person(values),
        visit=PatientId(assigning_authority="csv", id=values["visit"]),
        kind=kinds[values["class"]],
        began=began,
        ended=ended,
        departments=tuple(_several(values["department"])),
        people=tuple(
            (part, practitioner)
            for part in Part
            for each in _several(values[part.value])
            for practitioner in [_practitioner(each)]
        ),
    )


def _fits(text: str) -> bool:
    return 0 < len(text) <= _LONGEST and text.isprintable()


def _several(text: str) -> list[str]:
    found = (each.strip() for each in text.split(";")[:_MOST])
    return [each for each in found if _fits(each)]


def _practitioner(text: str) -> PractitionerId:
    number, _, authority = text.partition("@")
    return PractitionerId(authority=authority, id=number)


def _person(values: Mapping[str, str]) -> Demographics | None:
    family, given = values["family"], values["given"]
    if not family or not given:
        return None
    return Demographics(
        names=(PersonName(family=family[:_LONGEST], given=(given[:_LONGEST],)),),
        birth_date=_date(values["birth_date"]) or None,
        sex=values["sex"].upper() if values["sex"].upper() in ("M", "F") else None,
    )


def _date(text: str) -> str:
    digits = text.replace("-", "")
    return digits if len(digits) == 8 and digits.isdecimal() else ""  # noqa: PLR2004


def _time(text: str, zone: tzinfo) -> datetime | None:
    try:
        read = datetime.fromisoformat(text)
        return (read if read.tzinfo else read.replace(tzinfo=zone)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
