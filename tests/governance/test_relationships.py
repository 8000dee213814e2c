"""Encounters in the database, and who may ask about whom because of them, or of broken glass."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import Engine, select

from node.encounter import Does, EncounterClass, EncounterEvent, Part, PractitionerId
from node.governance.access.patient_marks import AskedPatient
from node.governance.access.tables import ENCOUNTER, GRANT, PATIENT
from node.model import PatientId
from node.policy.relationship import Clinician
from tests.access_world import FEED, JANE, ME, NOW, OTHER, AccessWorld, event, person

V2 = PatientId(assigning_authority="2.999.71.9", id="V-2")


@pytest.fixture
def world(store: Engine) -> AccessWorld:
    return AccessWorld(store)


def states(world: AccessWorld, patient: PatientId = JANE) -> list[str]:
    known = world.encounters.of(AskedPatient(identifiers=(patient,)))
    return [each.state.value for each in known]


def test_without_the_setting_everybody_may_ask(store: Engine) -> None:
    access = AccessWorld(store, required=False).access(JANE)
    assert (access.allowed, access.relationship, access.grant) == (True, None, None)


def test_nothing_known_is_no_relationship(world: AccessWorld) -> None:
    access = world.access(JANE)
    assert not access.allowed
    assert "no visit" in access.sentence


def test_an_encounter_is_found_by_identifier_and_by_name_day_and_sex(world: AccessWorld) -> None:
    world.take(event())
    assert world.access(JANE).allowed
    assert world.access(person=person()).allowed
    assert world.access(person=person("CANARYSÓN")).allowed
    assert not world.access(OTHER).allowed
    assert not world.access(person=person("Canarysen")).allowed
    assert not world.access(person=person(born="196103")).allowed
    assert not world.access(person=person(sex="UN")).allowed


def test_identifiers_typed_beside_a_name_do_not_count(world: AccessWorld) -> None:
    """Else the number of one's own patient would open the records of anybody."""
    world.take(event())
    assert not world.access(person=replace(person("Else"), identifiers=(JANE,))).allowed


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ((Does.BEGIN,), "present"),
        ((Does.PLAN,), "planned"),
        ((Does.PLAN, Does.BEGIN), "present"),
        ((Does.BEGIN, Does.UPDATE), "present"),
        ((Does.UPDATE,), "present"),
        ((Does.BEGIN, Does.END), "ended"),
        ((Does.END,), "ended"),
        ((Does.BEGIN, Does.CANCEL), "cancelled"),
        ((Does.CANCEL,), "cancelled"),
        ((Does.BEGIN, Does.END, Does.REOPEN), "present"),
        ((Does.BEGIN, Does.CANCEL, Does.BEGIN), "present"),
        ((Does.BEGIN, Does.END, Does.UPDATE), "ended"),
    ],
)
def test_each_event_leads_to_the_state_it_says(
    world: AccessWorld, events: tuple[Does, ...], expected: str
) -> None:
    for number, does in enumerate(events):
        world.take(event(does, at=NOW - timedelta(hours=9 - number)))
    assert states(world) == [expected]


def test_a_message_that_comes_late_changes_no_state(world: AccessWorld) -> None:
    world.take(event(Does.END, at=NOW - timedelta(hours=1)))
    world.take(event(Does.BEGIN, at=NOW - timedelta(hours=5), departments=("ER",)))
    assert states(world) == ["ended"]
    (known,) = world.encounters.of(AskedPatient(identifiers=(JANE,)))
    assert set(known.departments) == {"ICU", "ER"}


def test_who_had_a_part_keeps_it(world: AccessWorld) -> None:
    other = PractitionerId(authority="NPI", id="1000000004")
    world.take(event())
    world.take(event(Does.UPDATE, at=NOW, people=((Part.ATTENDING, other),)))
    assert world.access(JANE).allowed


def test_of_merged_patients_either_number_finds_the_encounters(world: AccessWorld) -> None:
    world.take(event(patients=(OTHER,), person=None))
    assert not world.access(JANE).allowed
    world.take(event(Does.MERGE_PATIENTS, prior_patients=(OTHER,), visit=None, people=()))
    assert world.access(JANE).allowed
    # and what comes later under the former number is found as well
    world.take(event(patients=(OTHER,), person=None, visit=V2))
    assert states(world) == ["present", "present"]
    assert world.access(OTHER).allowed


def test_merged_visits_are_one(world: AccessWorld) -> None:
    world.take(event(), event(visit=V2, people=()))
    assert len(states(world)) == 2
    world.take(event(Does.MERGE_VISITS, visit=V2, prior_visit=event().visit, people=(), at=NOW))
    assert states(world) == ["present"]
    assert world.access(JANE).allowed


def test_a_visit_whose_number_changes_is_the_same_visit(world: AccessWorld) -> None:
    world.take(event())
    world.take(event(Does.MERGE_VISITS, visit=V2, prior_visit=event().visit, people=(), at=NOW))
    assert states(world) == ["present"]


def test_a_moved_visit_is_no_longer_the_former_patients(world: AccessWorld) -> None:
    world.take(event())
    moved = event(Does.MOVE_VISIT, patients=(OTHER,), person=person("Else"), at=NOW)
    world.take(moved)
    assert not world.access(JANE).allowed
    assert not world.access(person=person()).allowed
    assert world.access(OTHER).allowed


def test_an_encounter_without_a_number_is_that_of_its_patient_and_day(world: AccessWorld) -> None:
    world.take(event(visit=None), event(Does.END, visit=None, at=NOW - timedelta(hours=1)))
    assert states(world) == ["ended"]
    world.take(event(visit=None, at=NOW + timedelta(days=1)))
    assert len(states(world)) == 2


def test_an_import_is_an_entry_with_counts_and_nothing_of_a_patient(world: AccessWorld) -> None:
    both = [event(), event(Does.UPDATE)]
    taken = world.encounters.take(both, author=FEED, source="file", now=NOW, left_out=3)
    assert (taken.added, taken.changed, taken.left_out) == (1, 1, 3)
    ((leaf, groups),) = world.entries()
    counts = {name: leaf[name] for name in ("entries", "added", "changed", "left_out", "source")}
    assert counts == {"entries": 5, "added": 1, "changed": 1, "left_out": 3, "source": "file"}
    assert "Canaryson" not in str((leaf, groups))
    assert "MRN-0042" not in str((leaf, groups))


def test_the_database_shows_neither_patient_nor_practitioner(world: AccessWorld) -> None:
    world.take(event())
    with world.store.connect() as connection:
        rows = [
            tuple(row) for each in (ENCOUNTER, PATIENT) for row in connection.execute(select(each))
        ]
    stored = b"".join(each for row in rows for each in row if isinstance(each, bytes))
    for canary in ("Canaryson", "CANARYSON", "MRN-0042", "19610302", ME.id, "ICU", "V-1"):
        assert canary.encode() not in stored
        assert canary not in str(rows)


def test_encounters_are_purged_when_they_are_older_than_they_are_kept(world: AccessWorld) -> None:
    old = NOW - timedelta(days=500)
    world.take(event(at=old), event(visit=V2))
    assert world.encounters.purge(keep=timedelta(days=400), author=FEED, now=NOW) == 1
    assert states(world) == ["present"]
    with world.store.connect() as connection:
        assert len(connection.execute(select(ENCOUNTER)).all()) == 1
        assert {row.encounter_id for row in connection.execute(select(PATIENT))} == {2}
    assert world.entries()[-1][0]["act"] == "encounters-purge"
    assert world.encounters.purge(keep=timedelta(days=400), author=FEED, now=NOW) == 0


# --- broken glass ---------------------------------------------------------------------------------

ASKED = AskedPatient(identifiers=(JANE,), person=person())
STRANGER = Clinician()


def test_a_grant_is_for_one_person_one_patient_and_its_time(world: AccessWorld) -> None:
    grant = world.give(ASKED)
    given = {"clinician": STRANGER}
    assert world.access(JANE, **given).grant == grant
    assert world.access(person=person(), **given).allowed
    assert not world.access(JANE, login="eve", **given).allowed
    assert not world.access(OTHER, **given).allowed
    assert world.access(JANE, now=grant.until - timedelta(seconds=1), **given).allowed
    assert not world.access(JANE, now=grant.until, **given).allowed
    # a clock that was set back does not open it before it was given
    assert not world.access(JANE, now=NOW - timedelta(seconds=1), **given).allowed


def test_a_relationship_counts_before_a_grant(world: AccessWorld) -> None:
    world.give(ASKED)
    world.take(event())
    access = world.access(JANE)
    assert access.relationship is not None
    assert access.grant is None


def test_a_grant_ends_when_its_person_ends_it_and_nobody_else_does(world: AccessWorld) -> None:
    grant = world.give(ASKED)
    later = NOW + timedelta(minutes=1)
    assert not world.grants.end("eve", grant.id, author=FEED, now=later)
    assert world.access(JANE, clinician=STRANGER, now=later).allowed
    assert world.grants.end("ida", grant.id, author=FEED, now=later)
    assert not world.access(JANE, clinician=STRANGER, now=later).allowed
    assert not world.grants.end("ida", grant.id, author=FEED, now=later)
    assert [leaf["act"] for leaf, _ in world.entries()] == ["glass-break", "glass-end"]


def test_grants_that_were_over_long_ago_are_deleted_and_others_stay(world: AccessWorld) -> None:
    grant = world.give(ASKED)
    assert world.grants.purge(grant.until) == 0
    assert world.access(JANE, clinician=STRANGER).allowed
    assert world.grants.purge(grant.until + timedelta(milliseconds=1)) == 1
    assert not world.access(JANE, clinician=STRANGER).allowed


def test_a_grant_for_a_name_without_sex_is_for_that_question_alone(world: AccessWorld) -> None:
    world.give(AskedPatient(person=person(sex="")))
    assert world.access(person=person(sex=""), clinician=STRANGER).allowed
    assert not world.access(person=person(), clinician=STRANGER).allowed


def test_a_grant_is_an_entry_whose_leaf_says_the_reason_alone(world: AccessWorld) -> None:
    grant = world.give(ASKED)
    ((leaf, groups),) = world.entries()
    assert leaf["reason"] == "emergency"
    assert grant.id not in str(leaf)
    assert groups["who"] == {"user_id": "ida"}
    assert groups["wire"] == {"grant": grant.id, "case": "2026-0001"}
    with world.store.connect() as connection:
        (row,) = connection.execute(select(GRANT)).all()
    assert row.seq == leaf["seq"]


def test_events_that_say_nothing_of_the_class_leave_it(world: AccessWorld) -> None:
    world.take(event(), event(Does.UPDATE, kind=None, at=NOW))
    (known,) = world.encounters.of(AskedPatient(identifiers=(JANE,)))
    assert known.kind is EncounterClass.INPATIENT


def test_an_import_of_nothing_is_an_entry_as_well(world: AccessWorld) -> None:
    nothing: list[EncounterEvent] = []
    world.encounters.take(nothing, author=FEED, source="file", now=NOW, left_out=2)
    assert world.entries()[0][0]["left_out"] == 2
