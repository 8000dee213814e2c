"""``Patient/$ihe-pix`` (ITI-83): the question read, the answer written (IHE PIXm 3.1). Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from node.model import PatientId
from node.wire import document_codes
from node.wire.fhir.conditions import split_escaped, unescaped
from node.wire.fhir.elements import Json, identifier
from node.wire.fhir.network_patient import Said, assigned
from node.wire.fhir.problem import FhirProblem
from node.wire.fhir.query import Pair, shown
from node.wire.identifiers import is_oid

_SOURCE, _TARGET = "sourceIdentifier", "targetSystem"
_CONTROL = ("_format", "_pretty")
_MOST_TARGETS = 50
_LONGEST = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class PixQuery:
    """Whose identifiers are wanted, and of which systems (as OIDs; none: of all)."""

    source: PatientId
    targets: tuple[str, ...] = ()


def read_pix_query(pairs: Sequence[Pair]) -> PixQuery:
    """Read the parameters.

    Raises:
        FhirProblem: ``fhir-value-invalid``, ``fhir-parameter-unknown``, ``fhir-search-limit``,
            ``fhir-source-unknown`` for a system that no OID stands for.
    """
    sources = [value for name, value in pairs if name == _SOURCE]
    targets = [value for name, value in pairs if name == _TARGET]
    for name, _ in pairs:
        if name not in (_SOURCE, _TARGET, *_CONTROL):
            raise FhirProblem("fhir-parameter-unknown", f"$ihe-pix has no {shown(name)}.")
    if len(targets) > _MOST_TARGETS or any(len(each) > _LONGEST for each in (*sources, *targets)):
        raise FhirProblem("fhir-search-limit", "There are too many or too long parameters.")
    parts = [unescaped(p) for each in sources for p in split_escaped(each, "|")]
    if len(sources) != 1 or len(parts) != 2 or not all(parts):  # noqa: PLR2004 - system and value
        raise FhirProblem("fhir-value-invalid", f"$ihe-pix needs one {_SOURCE}: system|value.")
    if not all(targets):
        raise FhirProblem("fhir-value-invalid", f"A {_TARGET} is empty.")
    authority = _authority(parts[0])
    if authority is None:
        raise FhirProblem(
            "fhir-source-unknown", f"The system of {_SOURCE} is none that the network knows."
        )
    return PixQuery(
        source=PatientId(assigning_authority=authority, id=parts[1]),
        targets=tuple(dict.fromkeys(document_codes.fhir_system(each) for each in targets)),
    )


def pix_pairs(body: bytes) -> list[Pair]:
    """The parameters of a body.

    Raises:
        FhirProblem: ``fhir-body-invalid``.
    """
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise FhirProblem("fhir-body-invalid", "The body is not JSON.") from None
    is_parameters = isinstance(content, dict) and content.get("resourceType") == "Parameters"
    rows = content.get("parameter") if is_parameters else None
    if not isinstance(rows, list) or len(rows) > _MOST_TARGETS + 1:
        raise FhirProblem("fhir-body-invalid", "The body is not Parameters of $ihe-pix.")
    return [_pair(row) for row in rows]


def write_identifiers(query: PixQuery, said: Sequence[Said], references: Sequence[str]) -> bytes:
    """The Parameters with what is known, the identifier asked with left out."""
    found: dict[PatientId, Json] = {}
    for each in said:
        if each.patient_id is not None:
            found[each.patient_id] = assigned(each.patient_id, each.home_community_id, each.name)
    for each in said:
        for other in each.demographics.identifiers:
            # who told of it is not who assigned it, but somebody has to be named (PIXm)
            found.setdefault(other, identifier(other) | {"assigner": {"display": "unknown"}})
    parameters: list[dict[str, Any]] = [
        {"name": "targetId", "valueReference": {"reference": each}} for each in references
    ]
    parameters += [
        {"name": "targetIdentifier", "valueIdentifier": element}
        for patient_id, element in found.items()
        if patient_id != query.source
        and (not query.targets or patient_id.assigning_authority in query.targets)
    ]
    made: dict[str, Any] = {"resourceType": "Parameters"}
    if parameters:
        made["parameter"] = parameters
    return orjson.dumps(made)


def _authority(system: str) -> str | None:
    """The OID of a system, or ``None`` where only one of our own making could stand for it."""
    found = document_codes.fhir_system(system)
    is_listed = document_codes.fhir_uri(found) == system
    return found if is_listed or is_oid(system.removeprefix("urn:oid:")) else None


def _pair(row: object) -> Pair:
    if isinstance(row, dict) and isinstance(row.get("name"), str):
        values = [value for name, value in row.items() if name.startswith("value")]
        if len(values) == 1 and isinstance(values[0], str):
            return row["name"], values[0]
    raise FhirProblem("fhir-body-invalid", "A parameter has no value that is understood.")
