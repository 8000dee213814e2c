"""People whom an older node indexed are found after the node has made their keys again."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import UTC, datetime
from random import Random

import pytest
from sqlalchemy import Engine, delete, event, select, update

from node.model import HomeCommunityId
from node.records.entries import Community
from node.records.index import RecordIndex
from node.records.reform import reform_people
from node.records.rules import default_rules
from node.records.tables import KEY, PATIENT
from tests.bench import people

AUTHORITY = "1.2.3.1"
COMMUNITY = Community(
    home_community_id=HomeCommunityId("urn:oid:2.999.1"),
    repository_unique_id="1.2.3.9",
    assigning_authority=AUTHORITY,
)
NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)


@pytest.fixture
def engine(store: Engine) -> Engine:
    return store


@pytest.fixture
def index(engine: Engine) -> RecordIndex:
    return RecordIndex(engine, COMMUNITY)


def made_old(engine: Engine) -> None:
    """As an older node left it: no traits, no form, keys that nobody asks for now."""
    with engine.begin() as connection:
        connection.execute(update(PATIENT).values(traits=None, form=None))
        connection.execute(delete(KEY))


def keys(engine: Engine) -> list[tuple[str, str]]:
    with engine.connect() as connection:
        rows = connection.execute(select(KEY.c.key, KEY.c.patient_id).order_by(*KEY.c)).all()
        return [(row.key, row.patient_id) for row in rows]


def test_people_of_an_older_form_are_found_once_their_keys_are_made_again(
    engine: Engine, index: RecordIndex, caplog: pytest.LogCaptureFixture
):
    index.add_patients(people.people(700), NOW)
    before = keys(engine)
    made_old(engine)
    assert index.match(people.asked(650)) == []
    with caplog.at_level(logging.WARNING):
        assert reform_people(engine, AUTHORITY) == 700
    assert "making its search keys again" in caplog.text
    assert keys(engine) == before
    assert [p.patient_id.id for p in index.match(people.asked(650))] == [people.local_id(650)]
    caplog.clear()
    assert reform_people(engine, AUTHORITY) == 0
    assert not caplog.records


def test_an_identity_that_was_joined_to_another_gets_no_keys_again(
    engine: Engine, index: RecordIndex
):
    index.add_patients(people.people(3), NOW)
    made_old(engine)
    joined = people.local_id(1)
    with engine.begin() as connection:
        connection.execute(
            update(PATIENT).where(PATIENT.c.id == joined).values(merged_into=people.local_id(0))
        )
    assert reform_people(engine, AUTHORITY) == 3
    assert joined not in {holder for _, holder in keys(engine)}
    assert reform_people(engine, AUTHORITY) == 0


@pytest.mark.parametrize(
    ("authority", "rules"),
    [
        ("1.2.3.2", default_rules()),
        (AUTHORITY, replace(default_rules(), unknown=frozenset({"NOBODY"}))),
    ],
    ids=["authority", "vocabulary"],
)
def test_other_rules_and_another_authority_make_the_keys_again(
    engine: Engine, index: RecordIndex, authority: str, rules: object
):
    index.add_patients(people.people(2), NOW)
    assert reform_people(engine, authority, rules) == 2  # type: ignore[arg-type]
    assert reform_people(engine, authority, rules) == 0  # type: ignore[arg-type]


def test_who_is_not_made_again_yet_is_compared_all_the_same(engine: Engine, index: RecordIndex):
    """A node of the older version may still be writing beside a newer one."""
    index.add_patients(people.people(1), NOW)
    with engine.begin() as connection:
        connection.execute(update(PATIENT).values(traits=None, form=None))
    assert len(index.match(people.asked(0))) == 1


def test_a_question_about_nobody_meets_next_to_nobody(engine: Engine, index: RecordIndex):
    """The cost of a look-up: three strangers for a million people, whatever the question is."""
    index.add_patients(people.people(2_000), NOW)
    read: list[int] = []

    def note(_c: object, _cur: object, statement: str, parameters: object, *_: object) -> None:
        if "demographics" in statement:
            read.append(len(parameters))  # type: ignore[arg-type]

    event.listen(engine, "before_cursor_execute", note)
    random = Random(4)
    for _ in range(200):
        assert index.candidates(people.asked(random.randrange(10**7, 2 * 10**7))) == []
    assert sum(read) <= 8
