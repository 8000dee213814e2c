"""``Patient/$match``: the question read, the answer written (FHIR R4, IHE ITI-119; tefca 8).

``onlyCertainMatches`` gives the one person who matches with certainty, or an empty bundle, never an
error (facts fhir-and-udap 3.3).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import orjson

from node.exchange.fhir_ports import MatchedPatient
from node.model import Demographics
from node.wire.fhir.bundle_writer import SearchEntry, write_searchset
from node.wire.fhir.problem import FhirProblem
from node.wire.fhir_patient import read_patient

MAX_CANDIDATES: Final = 100
"""The most that TEFCA allows (FHIR SOP 6.7)."""

MATCH_GRADE: Final = "http://hl7.org/fhir/StructureDefinition/match-grade"


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchRequest:
    """Who is looked for, and how."""

    demographics: Demographics
    only_certain: bool = False
    count: int = MAX_CANDIDATES


def read_match_request(body: bytes) -> MatchRequest:
    """Read Parameters, or a Patient alone.

    Raises:
        FhirProblem: ``fhir-body-invalid``, ``fhir-value-invalid``, ``fhir-parameter-unknown``.
    """
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise FhirProblem("fhir-body-invalid", "The body is not JSON.") from None
    kind = content.get("resourceType") if isinstance(content, dict) else None
    if kind == "Patient":
        return MatchRequest(demographics=_demographics(content))
    parameters = content.get("parameter") if kind == "Parameters" else None
    if not isinstance(parameters, list):
        raise FhirProblem("fhir-body-invalid", "The body is neither Parameters nor a Patient.")
    found: dict[str, Any] = {}
    for parameter in parameters:
        name = parameter.get("name") if isinstance(parameter, dict) else None
        if name not in _PARAMETERS or name in found:
            raise FhirProblem(
                "fhir-parameter-unknown", "$match has no such parameter, or it twice."
            )
        found[name] = parameter.get(_PARAMETERS[name])
    only_certain, count = found.get("onlyCertainMatches", False), found.get("count", MAX_CANDIDATES)
    if type(only_certain) is not bool or type(count) is not int or count < 1:
        raise FhirProblem("fhir-value-invalid", "onlyCertainMatches or count is not of its form.")
    return MatchRequest(
        demographics=_demographics(found.get("resource")), only_certain=only_certain, count=count
    )


_PARAMETERS = {
    "resource": "resource",
    "onlyCertainMatches": "valueBoolean",
    "count": "valueInteger",
}


def _demographics(patient: object) -> Demographics:
    if not isinstance(patient, dict) or patient.get("resourceType") != "Patient":
        raise FhirProblem("fhir-body-invalid", "$match needs a Patient as its resource.")
    demographics = read_patient(patient)[0]
    if not demographics.names and not demographics.identifiers:
        raise FhirProblem("fhir-value-invalid", "The Patient has neither name nor identifier.")
    return demographics


def match_entry(full_url: str, patient: bytes, percent: int, grade: str) -> SearchEntry:
    """A Patient of the answer, with how well it matches in percent and in FHIR's words."""
    return SearchEntry(
        full_url=full_url,
        resource=patient,
        search={
            "extension": [{"url": MATCH_GRADE, "valueCode": grade}],
            "mode": "match",
            "score": percent / 100,
        },
    )


def write_matches(
    matched: Sequence[MatchedPatient], *, base_url: str, bundle_id: str, now: datetime
) -> bytes:
    """The bundle of matches, the best first."""
    entries = [
        match_entry(
            f"{base_url}/Patient/{each.patient.id}", each.patient.data, each.score, each.grade
        )
        for each in sorted(matched, key=lambda m: -m.score)
    ]
    return write_searchset(entries, bundle_id=bundle_id, now=now, total=len(entries))
