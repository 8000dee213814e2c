"""The CSV file of encounters."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from node.encounter import Does, EncounterClass, EncounterEvent, Part, PractitionerId
from node.wire.encounter_csv import LineRefusal, read_encounters

NOW = datetime(2026, 11, 27, 12, 0, tzinfo=UTC)
HEADER = "patient_authority,patient_id,visit,class,began,ended,state,department,attending,family,given,birth_date,sex"  # noqa: E501
ROW = "2.999.71.1,MRN-1,V-1,inpatient,2026-11-25T08:30,,,ICU; SURG,1234567893@NPI;9,Canaryson,Jane,1961-03-02,f"  # noqa: E501


def read(*lines: str) -> list[EncounterEvent | LineRefusal]:
    return list(read_encounters("\n".join(lines), now=NOW, zone=ZoneInfo("America/New_York")))


def test_a_row_is_an_encounter() -> None:
    (event,) = read(HEADER, ROW)
    assert isinstance(event, EncounterEvent)
    assert event.does is Does.UPDATE
    assert event.kind is EncounterClass.INPATIENT
    assert event.began == datetime(2026, 11, 25, 13, 30, tzinfo=UTC)
    assert event.departments == ("ICU", "SURG")
    assert event.people == (
        (Part.ATTENDING, PractitionerId(authority="NPI", id="1234567893")),
        (Part.ATTENDING, PractitionerId(authority="", id="9")),
    )
    assert event.person is not None
    assert (event.person.birth_date, event.person.sex) == ("19610302", "F")


@pytest.mark.parametrize(
    ("before", "after", "column"),
    [
        ("MRN-1", "", "patient_id"),
        ("inpatient", "asleep", "class"),
        ("2026-11-25T08:30", "soon", "began"),
        ("T08:30,,", "T08:30,never,", "ended"),
        ("T08:30,,,", "T08:30,,gone,", "state"),
        ("1961-03-02", "1961", "birth_date"),
        (",f", ",f,more", "(csv)"),
    ],
)
def test_a_line_that_cannot_be_used_names_the_column(before: str, after: str, column: str) -> None:
    broken = ROW.replace(before, after, 1)
    found = read(HEADER, ROW, broken, ROW)
    assert found[1] == LineRefusal(line=3, column=column)
    assert [isinstance(each, EncounterEvent) for each in found] == [True, False, True]


@pytest.mark.parametrize(
    ("header", "column"),
    [
        (HEADER.replace("visit,", ""), "visit"),
        (HEADER + ",ssn", "(unknown)"),
        ("", "patient_authority"),
    ],
)  # fmt: skip
def test_a_header_that_is_not_as_it_should_be_ends_the_file(header: str, column: str) -> None:
    assert read(header, ROW) == [LineRefusal(line=1, column=column)]


def test_a_field_without_end_is_refused() -> None:
    (found,) = read(HEADER, '"' + "x" * 200_000)
    assert isinstance(found, LineRefusal)
    assert found.column == "(csv)"
