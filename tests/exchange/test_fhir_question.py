"""A FHIR question to the network: what may be asked of many servers, and why the rest may not."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from node.exchange.fhir_question import parse_question
from node.wire.fhir.problem import FhirProblem

NOW = datetime(2026, 11, 27, tzinfo=UTC)


def test_the_patient_is_put_in_as_each_peer_knows_them():
    question = parse_question("Observation?category=laboratory&date=ge2024&_count=20", now=NOW)
    assert question.of_patient("p1") == (
        ("patient", "p1"),
        ("category", "laboratory"),
        ("date", "ge2024"),
    )
    assert question.count == 20
    assert parse_question("Patient", now=NOW).of_patient("p1") == (("_id", "p1"),)


def test_since_is_asked_as_last_updated():
    question = parse_question("Condition?_since=2026-01-01T00:00:00Z", now=NOW)
    assert question.pairs == (("_lastUpdated", "ge2026-01-01T00:00:00Z"),)


def test_what_belongs_to_a_match_may_be_asked_along():
    text = "MedicationRequest?intent=order&_include=MedicationRequest:medication"
    assert parse_question(text, now=NOW).pairs[1] == ("_include", "MedicationRequest:medication")


@pytest.mark.parametrize(
    ("text", "code", "why"),
    [
        ("", "fhir-type-unknown", "not asked for"),
        ("Nonsense?x=1", "fhir-type-unknown", "Nonsense"),
        ("Practitioner?name=x", "fhir-type-unknown", "not searched by patient"),
        ("Provenance", "fhir-type-unknown", "_revinclude"),
        ("Observation?colour=red", "fhir-parameter-unknown", "colour"),
        ("Observation?patient=1", "fhir-parameter-unsupported", "the node puts in the patient"),
        ("Observation?patient.name=x", "fhir-parameter-unsupported", "the node puts in"),
        ("Observation?subject:Patient.name=x", "fhir-parameter-unsupported", "the node puts in"),
        ("Observation?_id=1", "fhir-parameter-unsupported", "one server only"),
        ("Condition?encounter=Encounter/1", "fhir-parameter-unsupported", "one server only"),
        ("Condition?encounter=https://e.org/Encounter/1", "fhir-parameter-unsupported", "one serv"),
        ("CareTeam?participant.name=x", "fhir-parameter-unsupported", "chained"),
        ("Observation?_has:Provenance:target:agent=1", "fhir-parameter-unsupported", "_has"),
        ("Observation?_sort=-date", "fhir-parameter-unsupported", "no common order"),
        ("Observation?_summary=count", "fhir-parameter-unsupported", "no common order"),
        ("Observation?date=yesterday", "fhir-value-invalid", "date"),
        ("Observation?category", "fhir-value-invalid", "Type?name=value"),
        ("Observation?_count=-1", "fhir-value-invalid", "_count"),
        ("Observation?code=" + "1," * 300 + "1", "fhir-search-limit", "values"),
        ("Observation?code=" + "1" * 9000, "fhir-search-limit", "longer"),
    ],
)  # fmt: skip
def test_a_question_that_many_servers_cannot_answer_is_refused_with_the_reason(text, code, why):
    with pytest.raises(FhirProblem) as caught:
        parse_question(text, now=NOW)
    assert caught.value.code == code
    assert why in caught.value.sentence
