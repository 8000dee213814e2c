"""Parameters resources of operations, as pairs of name and value."""

from __future__ import annotations

import orjson

from node.wire.fhir.problem import FhirProblem
from node.wire.fhir.query import Pair

_MAX = 20


def docref_pairs(body: bytes) -> list[Pair]:
    """The parameters of ``$docref`` in a body.

    Raises:
        FhirProblem: ``fhir-body-invalid``.
    """
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise FhirProblem("fhir-body-invalid", "The body is not JSON.") from None
    is_parameters = isinstance(content, dict) and content.get("resourceType") == "Parameters"
    rows = content.get("parameter") if is_parameters else None
    if not isinstance(rows, list) or len(rows) > _MAX:
        raise FhirProblem("fhir-body-invalid", "The body is not Parameters of $docref.")
    return [_pair(row) for row in rows]


def _pair(row: object) -> Pair:
    if isinstance(row, dict) and isinstance(row.get("name"), str):
        values = [value for name, value in row.items() if name.startswith("value")]
        if len(values) == 1:
            value = _value(values[0])
            if value is not None:
                return row["name"], value
    raise FhirProblem("fhir-body-invalid", "A parameter has no value that is understood.")


def _value(value: object) -> str | None:
    """A primitive, a Coding, or the first Coding of a CodeableConcept."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        codings = value.get("coding")
        coding = codings[0] if isinstance(codings, list) and codings else value
        if isinstance(coding, dict) and isinstance(coding.get("code"), str):
            return f"{coding.get('system') or ''}|{coding['code']}"
    return None
