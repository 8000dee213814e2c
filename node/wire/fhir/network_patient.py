"""A person whom communities know, as a Patient (IHE PDQm Patient; facts fhir-and-udap 3.3, 3.4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import orjson

from node.model import Demographics, HomeCommunityId, PatientId
from node.wire.fhir.elements import (
    GENDERS,
    URIS,
    Json,
    address,
    fhir_time,
    identifier,
    kept,
    name,
    telecom,
)

PROFILE = "https://profiles.ihe.net/ITI/PDQm/StructureDefinition/IHE.PDQm.Patient"
_MAIDEN_NAME = "http://hl7.org/fhir/StructureDefinition/patient-mothersMaidenName"
_DAY = 8
_MOST = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What one community said of a person: its name, and its identifier where it has one."""

    home_community_id: HomeCommunityId
    name: str
    patient_id: PatientId | None
    demographics: Demographics


def network_patient(
    id_: str, said: Sequence[Said], *, source: HomeCommunityId, links: Sequence[str] = ()
) -> bytes:
    """The Patient with what communities said, the first one speaking where only one can.

    Args:
        id_: its logical id.
        said: at least one.
        source: the community that the resource comes from: ours, where several are put together.
        links: ids of the Patients that it stands for, or that stand for it.
    """
    all_said = [each.demographics for each in said]
    mother = next((d.mothers_maiden_name for d in all_said if d.mothers_maiden_name), None)
    born = next((d.birth_date for d in all_said if d.birth_date), None)
    made: Json = {
        "resourceType": "Patient",
        "id": id_,
        "meta": {"source": source, "profile": [PROFILE]},
        "extension": (
            [{"url": _MAIDEN_NAME, "valueString": mother.family}]
            if mother and mother.family
            else []
        ),
        "identifier": _identifiers(said),
        "active": True,
        "name": _distinct([name(n) for d in all_said for n in d.names]),
        "telecom": _distinct([t for d in all_said for each in d.telecoms if (t := telecom(each))]),
        "gender": next((GENDERS[d.sex] for d in all_said if d.sex in GENDERS), None),
        "birthDate": fhir_time((born or "")[:_DAY]),
        "address": _distinct([address(a) for d in all_said for a in d.addresses]),
        "link": [
            {"other": {"reference": f"Patient/{other}"}, "type": "seealso"} for other in links
        ],
    }
    return orjson.dumps(kept(made))


def assigned(patient_id: PatientId, home: HomeCommunityId, community: str) -> Json:
    """An Identifier that says which community gave it."""
    return identifier(patient_id) | {
        "assigner": {"display": community, "identifier": {"system": URIS, "value": home}}
    }


def _identifiers(said: Sequence[Said]) -> list[Json]:
    """A community's own first, then whatever further ones it told; each once."""
    found: dict[PatientId, Json] = {}
    for each in said:
        if each.patient_id is not None:
            found.setdefault(
                each.patient_id, assigned(each.patient_id, each.home_community_id, each.name)
            )
    for each in said:
        for other in each.demographics.identifiers[:_MOST]:
            found.setdefault(other, identifier(other))
    return list(found.values())


def _distinct(elements: Sequence[Json]) -> list[Json]:
    by_text = {orjson.dumps(each): each for each in elements if each}
    return list(by_text.values())[:_MOST]
