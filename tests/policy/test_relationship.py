"""When a clinician has a treatment relationship with a patient (tefca 5.3, governance-ux D04)."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from node.encounter import Encounter, EncounterClass, EncounterState, Part, PractitionerId
from node.errors import SettingsError
from node.policy.relationship import Clinician, parse_rules, relationship, shipped_rules

NOW = datetime(2026, 11, 27, 12, 0, tzinfo=UTC)
RULES = shipped_rules()
ME = PractitionerId(authority="NPI", id="1234567893")
DOCTOR = Clinician(ids=frozenset({ME}))
NURSE = Clinician(departments=frozenset({"ICU"}))


def stay(part: Part = Part.ATTENDING, **more) -> Encounter:
    known = Encounter(
        kind=EncounterClass.INPATIENT,
        state=EncounterState.PRESENT,
        began=NOW - timedelta(days=2),
        ended=None,
        noted=NOW - timedelta(days=1),
        departments=("ICU",),
        people=((part, ME),),
    )
    return replace(known, **more)


def over(days: float, **more) -> Encounter:
    ended = NOW - timedelta(days=days)
    began = ended - timedelta(days=2)
    return stay(state=EncounterState.ENDED, began=began, ended=ended, noted=ended, **more)


def planned(days: float, **more) -> Encounter:
    began = NOW + timedelta(days=days)
    return stay(state=EncounterState.PLANNED, began=began, noted=NOW, **more)


@pytest.mark.parametrize(
    ("clinician", "encounter", "rule"),
    [
        (DOCTOR, stay(), "rel-1-treating"),
        (DOCTOR, stay(Part.CONSULTING), "rel-1-treating"),
        (DOCTOR, stay(Part.ADMITTING), "rel-1-treating"),
        (DOCTOR, stay(Part.REFERRING), "rel-2-referring"),
        (NURSE, stay(), "rel-3-department"),
        (DOCTOR, over(89), "rel-1-treating"),
        (DOCTOR, over(91), None),
        (NURSE, over(2.9), "rel-3-department"),
        (NURSE, over(3.1), None),
        (DOCTOR, planned(29), "rel-1-treating"),
        (DOCTOR, planned(31), None),
        (NURSE, planned(6), "rel-3-department"),
        (NURSE, planned(8), None),
        (DOCTOR, stay(state=EncounterState.CANCELLED), None),
        # of a stay whose end was never told, nothing was heard for 30 days, and 90 more days
        (DOCTOR, stay(began=NOW - timedelta(days=200), noted=NOW - timedelta(days=119)),
         "rel-1-treating"),
        (DOCTOR, stay(began=NOW - timedelta(days=200), noted=NOW - timedelta(days=121)), None),
        # somebody else of the same number, and an id that nobody vouches for
        (Clinician(ids=frozenset({PractitionerId(authority="", id=ME.id)})), stay(), None),
        (Clinician(ids=frozenset({PractitionerId(authority="ADT1", id=ME.id)})), stay(), None),
        (Clinician(departments=frozenset({"SURG"})), stay(), None),
        (Clinician(), stay(), None),
    ],
)  # fmt: skip
def test_an_encounter_is_a_relationship_by_part_department_class_and_days(
    clinician: Clinician, encounter: Encounter, rule: str | None
) -> None:
    found = relationship(clinician, [encounter], RULES, now=NOW)
    assert (found.rule if found else None) == rule


def test_the_sentence_says_which_encounter_it_is() -> None:
    found = relationship(DOCTOR, [over(10)], RULES, now=NOW)
    assert found is not None
    assert found.sentence == (
        "You are the attending practitioner of the hospital stay that began on 15 Nov 2026"
        " and ended on 17 Nov 2026."
    )
    ahead = relationship(NURSE, [planned(3)], RULES, now=NOW)
    assert ahead is not None
    assert (
        ahead.sentence
        == "Your department ICU has the hospital stay that is planned for 30 Nov 2026."
    )


def test_without_encounters_there_is_no_relationship() -> None:
    assert relationship(DOCTOR, [], RULES, now=NOW) is None


def test_a_class_that_a_rule_does_not_list_gives_no_relationship() -> None:
    rules = replace(RULES, rules=(replace(RULES.rules[0], after={}),))
    assert relationship(DOCTOR, [stay()], rules, now=NOW) is None


@pytest.mark.parametrize(
    "text",
    ["", "[[rule]]", 'rule = [{id="x", by="smell", ahead=1, after={}}]', "=",
     'rule = [{id="x", by="practitioner", parts=["king"], ahead=1, after={}}]',
     'rule = [{id="x", by="practitioner", parts=[], ahead=1, after={}}]',
     'rule = [{id="x", by="department", ahead=-1, after={}}]',
     'rule = [{id="x", by="department", ahead=1, after={inpatient=99999}}]',
     "rule = 7"],
)  # fmt: skip
def test_rules_that_cannot_be_read_are_refused(text: str) -> None:
    with pytest.raises(SettingsError) as caught:
        parse_rules(text)
    assert caught.value.code == "relationship-rules-invalid"
