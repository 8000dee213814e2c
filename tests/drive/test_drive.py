"""A short drive of the FHIR and OAuth endpoints by their description; ``make drive`` is longer."""

from __future__ import annotations

from pathlib import Path

from tests.drive.driver import drive
from tests.drive.worlds import Target, fhir_target, oauth_target

SEED = 20261127
A_FEW = ("metadata", "Observation", "Patient", "Binary", "DocumentReference", "AuditEvent")


def driven(target: Target, **options) -> None:
    found = drive(
        target.description, target.base, target.session, target.check,
        seconds=0, seed=SEED, **options,
    )  # fmt: skip
    assert found.faults == []
    assert found.statuses[200]
    assert sum(n for status, n in found.statuses.items() if 400 <= status < 500)


def test_no_fhir_request_of_its_own_description_breaks_the_server(tmp_path: Path):
    with fhir_target(tmp_path) as target:
        assert len(target.description["paths"]) > 100
        driven(target, examples=2, only=lambda path: path.split("/")[1] in A_FEW)


def test_no_oauth_request_of_its_own_description_breaks_the_server(tmp_path: Path):
    with oauth_target(tmp_path) as target:
        assert "/token" in target.description["paths"]
        driven(target, examples=5)
