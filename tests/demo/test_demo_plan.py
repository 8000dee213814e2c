"""The plan holds the cases that the demo is there to show."""

from __future__ import annotations

import gzip
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest

from node.demo.charts import made_records
from node.demo.given_records import given_plan
from node.demo.people import Behaviour, cast
from node.demo.plan import NetworkPlan
from node.errors import SettingsError

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


def about(plan: NetworkPlan, key: str) -> frozenset[str]:
    member = next(m for m in plan.members if m.organisation.key == key)
    assert member.about_patient is not None
    return member.about_patient


def test_one_member_has_two_documents_one_has_several_and_one_is_common(
    demo_plan: NetworkPlan,
) -> None:
    two, several = about(demo_plan, "cedar-valley"), about(demo_plan, "lakeside")
    assert len(two) == 2
    assert len(several) > 2
    assert len(two & several) == 1


def test_every_behaviour_has_a_member(demo_plan: NetworkPlan) -> None:
    assert {member.behaviour for member in demo_plan.members} == set(Behaviour)


def test_the_member_that_does_not_know_the_patient_knows_her_brother(
    demo_plan: NetworkPlan,
) -> None:
    northgate = next(m for m in demo_plan.members if m.organisation.key == "northgate")
    assert {f.made_about for f in northgate.files} >= {"tobias"}
    assert about(demo_plan, "northgate") == frozenset()


# --- a folder of given documents ------------------------------------------------------------------


@pytest.fixture
def given_folder(tmp_path: Path) -> Path:
    held = made_records(cast(), NOW)
    files = {file.sha256: file for each in held.values() for file in each}
    for number, file in enumerate(files.values()):
        folder = tmp_path / ("a" if number % 2 else "b")
        folder.mkdir(exist_ok=True)
        if number % 3:
            (folder / f"{number}.xml").write_bytes(file.content)
        else:
            (folder / f"{number}.xml.gz").write_bytes(gzip.compress(file.content))
    (tmp_path / "readme.txt").write_text("not a document")
    return tmp_path


def test_the_person_with_most_documents_is_asked_for(given_folder: Path) -> None:
    plan = given_plan(cast(), given_folder)
    assert plan.demographics.names[0].family == "Abernathy-Quist"
    assert plan.demographics.names[0].given[0] == "Marisol"
    assert plan.since is not None


def test_files_are_divided_over_all_members_and_some_are_in_two_places(given_folder: Path) -> None:
    plan = given_plan(cast(), given_folder)
    places = Counter(file.sha256 for member in plan.members for file in member.files)
    given = {file.sha256 for each in made_records(cast(), NOW).values() for file in each}
    assert set(places) == given
    holders = [m for m in plan.members if m.behaviour is Behaviour.HOLDS]
    common = frozenset.intersection(*(frozenset(f.sha256 for f in m.files) for m in holders))
    assert common


def test_files_that_are_no_documents_are_named(given_folder: Path) -> None:
    assert given_plan(cast(), given_folder).left_out == ("readme.txt",)


def test_nobody_of_the_same_family_is_known_where_the_patient_is_not(given_folder: Path) -> None:
    plan = given_plan(cast(), given_folder)
    stranger = next(m for m in plan.members if m.behaviour is Behaviour.DOES_NOT_KNOW)
    assert not any(b"Abernathy-Quist" in file.content for file in stranger.files)


@pytest.mark.parametrize("make", [False, True], ids=["missing", "empty"])
def test_a_folder_without_documents_is_a_clear_error(tmp_path: Path, make: bool) -> None:
    folder = tmp_path / "data"
    if make:
        folder.mkdir()
    with pytest.raises(SettingsError) as caught:
        given_plan(cast(), folder)
    assert caught.value.code == "demo-data-unusable"
