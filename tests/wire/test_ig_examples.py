"""The examples of the guides validate, or fail as ``ig_examples.toml`` says (issue 5, "Done when").

And the validator is worth something: from every example, whatever its profile demands is taken
away, which must be seen.
"""

from __future__ import annotations

import copy
import json
import tomllib
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from fhir.resources.R4B import get_fhir_model_class

from node.exchange.fhir_match import write_matches
from node.exchange.fhir_ports import HeldResource, MatchedPatient
from tests.fhir_profiles import Definitions, members

pytestmark = pytest.mark.shared
TABLE = tomllib.loads(Path(__file__).with_name("ig_examples.toml").read_text("utf-8"))
PACKAGES = TABLE["package"]


@pytest.fixture(scope="module")
def packages(request: pytest.FixtureRequest) -> dict[str, dict[str, Any]]:
    folder = request.getfixturevalue("shared_data") / "fhir/ig"
    return {name: members(folder / f"{name}-definitions.tar.gz") for name in PACKAGES}


@pytest.fixture(scope="module")
def examples(request: pytest.FixtureRequest) -> dict[str, dict[str, Any]]:
    folder = request.getfixturevalue("shared_data") / "fhir/ig"
    return {name: members(folder / f"{name}-examples.tar.gz") for name in PACKAGES}


def definitions(packages: dict[str, dict[str, Any]], name: str) -> Definitions:
    """A package's own definitions first, where two have one address."""
    return Definitions(packages[name], *(p for n, p in packages.items() if n != name))


@pytest.mark.parametrize("name", PACKAGES)
def test_every_example_validates_or_fails_as_the_table_says(packages, examples, name) -> None:
    known = definitions(packages, name)
    found: dict[str, list[str]] = {}
    checked: Counter[str] = Counter()
    for file, example in examples[name].items():
        problems: list[str] = []
        for where, resource, url in known.claims(example):
            if known.knows(url):
                checked["claims"] += 1
                problems += [f"{where}: {each}" for each in known.problems(resource, url)]
            else:
                assert url in TABLE["elsewhere"], f"{file} claims {url}, which is in no package"
        if problems:
            found[file] = problems
        checked["files"] += 1
        checked["without"] += not list(known.claims(example))
    assert found == TABLE.get("fails", {}).get(name, {})
    row = PACKAGES[name]
    assert dict(checked) == {k: row[k] for k in ("files", "claims", "without")}


@pytest.mark.parametrize("name", PACKAGES)
def test_every_example_has_the_structure_of_its_type_by_another_reader(examples, name) -> None:
    """Base R4 is in no package: a model of it by others reads what claims no profile as well."""
    for example in examples[name].values():
        get_fhir_model_class(example["resourceType"]).model_validate(example)


@pytest.mark.parametrize("name", PACKAGES)
def test_whatever_a_profile_demands_is_missed_when_it_is_taken_away(
    packages, examples, name
) -> None:
    known = definitions(packages, name)
    tried = 0
    for file, example in examples[name].items():
        for url in example.get("meta", {}).get("profile", ()):
            if not known.knows(url) or known.problems(example, url):
                continue
            for element in known.demanded(url):
                less = copy.copy(example)
                gone = [n for n in less if n in (element, f"_{element}")]
                for each in gone:
                    del less[each]
                tried += bool(gone)
                assert not gone or known.problems(less, url), f"{file}: {element}"
    assert tried >= PACKAGES[name]["demands"]


def test_wrong_forms_codes_and_slices_are_seen(packages, examples) -> None:
    known = definitions(packages, "hl7.fhir.us.core-6.1.0")
    core = examples["hl7.fhir.us.core-6.1.0"]
    patient = next(e for e in core.values() if e["resourceType"] == "Patient")
    base = "http://hl7.org/fhir/us/core/StructureDefinition"
    for change in (
        {"id": "not_an_id"},
        {"birthDate": "1980-1-2"},
        {"gender": 1},
        {"identifier": [{"value": "no system"}]},
        {"name": []},
        {"deceasedString": "yes"},
        {"active": "true"},
    ):
        assert known.problems(patient | change, f"{base}/us-core-patient"), change
    pressure = next(
        e for e in core.values()
        if f"{base}/us-core-blood-pressure" in e.get("meta", {}).get("profile", ())
    )  # fmt: skip
    for change in (
        {"component": pressure["component"][:1]},
        {"code": {"coding": [{"system": "http://loinc.org", "code": "8867-4"}]}},
        {"resourceType": "Patient"},
    ):
        assert known.problems(pressure | change, f"{base}/us-core-blood-pressure"), change
    minimal = (
        "https://profiles.ihe.net/ITI/MHD/StructureDefinition/IHE.MHD.Minimal.DocumentReference"
    )
    document = next(
        e for e in examples["ihe.iti.mhd-4.2.3"].values()
        if minimal in e.get("meta", {}).get("profile", ())
    )  # fmt: skip
    for change in ({"status": "entered-in-error"}, {"docStatus": "final"}):
        assert known.problems(document | change, minimal), change


def test_our_answer_to_match_keeps_the_profile_of_pdqm(packages) -> None:
    held = HeldResource(
        type="Patient", id="ann", data=b'{"resourceType":"Patient","id":"ann"}', patient="ann",
        updated=0, version="1",
    )  # fmt: skip
    matched = [
        MatchedPatient(patient=held, score=95, grade="certain"),
        MatchedPatient(patient=held, score=40, grade="possible"),
    ]
    known = definitions(packages, "ihe.iti.pdqm-3.2.0")
    url = "https://profiles.ihe.net/ITI/PDQm/StructureDefinition/IHE.PDQm.MatchParametersOut"
    for found in ([], matched):
        body = write_matches(
            found, base_url="https://lake.example/fhir", bundle_id="b",
            now=datetime(2026, 11, 27, tzinfo=UTC),
        )  # fmt: skip
        assert known.problems(json.loads(body), url) == []
