"""The question of ``Patient/$match``: one person, only if certain (FHIR SOP 6.7; tefca 8)."""

from __future__ import annotations

import orjson

from node.model import Demographics
from node.wire.fhir.authored import patient_resource


def write_match_question(demographics: Demographics) -> bytes:
    """Parameters with all that is known of the person, as in patient discovery."""
    patient = patient_resource(None, demographics, None)
    return orjson.dumps(
        {
            "resourceType": "Parameters",
            "parameter": [
                {"name": "resource", "resource": patient},
                {"name": "onlyCertainMatches", "valueBoolean": True},
                {"name": "count", "valueInteger": 1},
            ],
        }
    )
