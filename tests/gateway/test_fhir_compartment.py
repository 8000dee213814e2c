"""A token bound to a patient never sees another patient, whichever way it asks."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from fhir_world import FhirWorld, Records, bundle, fhir_world, open_records
from orjson import dumps
from upstream_world import through_a_gateway

from node.model import PatientId
from node.policy.opt_out import OptOuts


def patient(id_: str, family: str, **more) -> dict:
    return {
        "resourceType": "Patient",
        "id": id_,
        "identifier": [{"system": "urn:oid:2.999.5", "value": f"MRN-{id_}"}],
        "name": [{"family": family, "given": ["Pat"]}],
        "birthDate": "1980-01-02" if id_ == "ann" else "1975-06-07",
        "gender": "female",
        **more,
    }


def observation(id_: str, subject: str, **more) -> dict:
    return {
        "resourceType": "Observation",
        "id": id_,
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "1234-5"}]},
        "subject": {"reference": subject},
        **more,
    }


def provenance(id_: str, *targets: str) -> dict:
    return {
        "resourceType": "Provenance",
        "id": id_,
        "target": [{"reference": target} for target in targets],
        "recorded": "2026-01-01T00:00:00Z",
        "agent": [{"who": {"display": "somebody"}}],
    }


RESOURCES = (
    patient("ann", "Arden"),
    patient("ben", "Birch", link=[{"other": {"reference": "Patient/ann"}, "type": "seealso"}]),
    observation("a1", "Patient/ann"),
    observation("b1", "Patient/ben"),
    observation("both", "Patient/ann", focus=[{"reference": "Patient/ben"}]),
    observation("nobody", "Group/g"),
    observation("foreign", "https://elsewhere.example/fhir/Patient/ann"),
    observation(
        "contained",
        "Patient/ann",
        contained=[
            {"resourceType": "RelatedPerson", "id": "r", "patient": {"reference": "Patient/ben"}}
        ],
    ),
    observation(
        "named",
        "Patient/ann",
        performer=[{"type": "Patient", "identifier": {"value": "MRN-ben"}, "display": "Ben"}],
    ),
    {
        "resourceType": "CareTeam",
        "id": "team",
        "status": "active",
        "subject": {"reference": "Patient/ann"},
        "participant": [{"member": {"reference": "Practitioner/doc"}}],
    },
    {
        "resourceType": "CareTeam",
        "id": "team-ben",
        "status": "active",
        "subject": {"reference": "Patient/ben"},
        "participant": [{"member": {"reference": "Patient/ben"}}],
    },
    {"resourceType": "Practitioner", "id": "doc", "name": [{"family": "Cole"}]},
    provenance("pa", "Observation/a1"),
    provenance("pb", "Observation/b1"),
    provenance("pab", "Observation/a1", "Observation/b1"),
    provenance("far", "Observation/a1", "Observation/elsewhere"),
    {
        "resourceType": "DocumentReference",
        "id": "doc-b",
        "status": "current",
        "type": {"coding": [{"system": "http://loinc.org", "code": "34133-9"}]},
        "subject": {"reference": "Patient/ben"},
        "content": [{"attachment": {"contentType": "text/plain", "url": "Binary/bin-b"}}],
    },
    {"resourceType": "Binary", "id": "bin-b", "contentType": "text/plain", "data": "QmVu"},
    {"resourceType": "Binary", "id": "bin-lost", "contentType": "text/plain", "data": "QmVu"},
)
HIDDEN = ("b1", "both", "nobody", "foreign", "contained", "named")


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Records]:
    folder = tmp_path_factory.mktemp("compartment")
    made = open_records(f"sqlite:///{folder / 'node.db'}", folder)
    (folder / "in").mkdir()
    (folder / "in" / "all.json").write_bytes(bundle(*RESOURCES))
    report = made.load(folder / "in")
    assert report.resources == len(RESOURCES)
    assert report.failures == ()
    yield made
    made.engine.dispose()


@pytest.fixture(params=["folder", "upstream"])
async def world(
    request: pytest.FixtureRequest, records: Records, us, them, tmp_path: Path
) -> AsyncIterator[FhirWorld]:
    """The server over a folder, and the gateway in front of such a server."""
    async with fhir_world(records, us, them) as running:
        if request.param == "folder":
            yield running
        else:
            async with through_a_gateway(running, us, them, tmp_path) as gateway:
                yield gateway.world


@pytest.fixture
def bound(world: FhirWorld) -> str:
    return world.token("system/*.rs", patient="ann")


async def test_what_is_about_the_patient_is_seen(world: FhirWorld, bound: str):
    for name in ("Patient/ann", "Observation/a1", "CareTeam/team", "Practitioner/doc"):
        assert (await world.get(name, token=bound)).status == 200, name


@pytest.mark.parametrize("id_", HIDDEN)
async def test_a_read_of_what_is_not_hers_alone_is_as_if_it_did_not_exist(
    id_: str, world: FhirWorld, bound: str
):
    answer = await world.get(f"Observation/{id_}", token=bound)
    absent = await world.get("Observation/no-such-thing", token=bound)
    assert (answer.status, answer.json) == (404, absent.json)
    assert (await world.get(f"Observation/{id_}", token=world.token())).status == 200


@pytest.mark.parametrize(
    "name", ["Patient/ben", "Provenance/pb", "Provenance/pab", "Provenance/far", "Binary/bin-b"]
)
async def test_a_read_of_another_patients_resource_finds_nothing(
    name: str, world: FhirWorld, bound: str
):
    assert (await world.get(name, token=bound)).status == 404
    assert (await world.get(name, token=world.token())).status == 200


async def test_a_binary_that_nobody_refers_to_is_withheld(world: FhirWorld, bound: str):
    assert (await world.get("Binary/bin-lost", token=bound)).status == 404


async def test_a_version_of_another_patient_is_not_read(world: FhirWorld, bound: str):
    assert (await world.get("Patient/ben/_history/1", token=bound)).status == 404
    assert (await world.get("Patient/ann/_history/1", token=bound)).status == 200
    assert (await world.get("Patient/ann/_history/2", token=bound)).status == 404


async def test_there_is_no_history_to_look_into(world: FhirWorld, bound: str):
    for path in ("Patient/ben/_history", "Observation/_history", "_history"):
        answer = await world.get(path, token=bound)
        assert answer.status == 404, path
        assert answer.issue[0] in ("not-supported", "not-found")


@pytest.mark.parametrize(
    "query",
    [
        {"patient": "ben"},
        {"patient": "Patient/ben"},
        {"patient": "ben,Patient/ben"},
        {"_id": "b1,both,contained,nobody,foreign,named"},
        {"patient:Patient": "ben"},
        {"code:not": "none", "patient": "ben"},
        {"patient": "https://elsewhere.example/fhir/Patient/ann"},
    ],
)
async def test_a_search_for_another_patient_finds_nothing(query, world: FhirWorld, bound: str):
    answer = await world.get("Observation", query, token=bound)
    assert (answer.status, answer.ids, answer.json["total"]) == (200, [], 0)


@pytest.mark.parametrize(
    "query",
    [{}, {"patient": "ann"}, {"patient": "ann,ben"}, {"code": "1234-5"}, {"_id": "a1,b1"}],
)
async def test_a_search_gives_hers_alone(query, world: FhirWorld, bound: str):
    assert (await world.get("Observation", query, token=bound)).ids == ["Observation/a1"]
    by_post = await world.post(
        "Observation/_search",
        "&".join(f"{n}={v}" for n, v in query.items()),
        token=bound,
        content_type="application/x-www-form-urlencoded",
    )
    assert by_post.ids == ["Observation/a1"]


async def test_a_count_counts_hers_alone(world: FhirWorld, bound: str):
    answer = await world.get("Observation", {"_summary": "count"}, token=bound)
    assert answer.json["total"] == 1
    assert "entry" not in answer.json


async def test_a_patient_search_finds_herself_alone(world: FhirWorld, bound: str):
    for query in ({}, {"name": "Birch"}, {"identifier": "MRN-ben"}, {"_id": "ben,ann"}):
        found = (await world.get("Patient", query, token=bound)).ids
        assert set(found) <= {"Patient/ann"}, query


async def test_an_include_never_brings_another_patient(world: FhirWorld, bound: str):
    query = {"_id": "team,team-ben", "_include": "CareTeam:participant"}
    answer = await world.get("CareTeam", query, token=bound)
    assert answer.ids == ["CareTeam/team"]
    assert [r["id"] for r in answer.resources("include")] == ["doc"]
    everything = await world.get("CareTeam", query, token=world.token())
    assert sorted(r["id"] for r in everything.resources("include")) == ["ben", "doc"]


async def test_a_reverse_include_never_brings_what_is_about_others_too(
    world: FhirWorld, bound: str
):
    query = {"patient": "ann", "_revinclude": "Provenance:target"}
    answer = await world.get("Observation", query, token=bound)
    assert [r["id"] for r in answer.resources("include")] == ["pa"]
    everything = await world.get("Observation", query, token=world.token())
    assert sorted(r["id"] for r in everything.resources("include")) == ["far", "pa", "pab"]


@pytest.mark.parametrize(
    "parameter",
    [
        "subject:Patient.name",
        "patient.name",
        "patient:Patient.identifier",
        "_has:Provenance:target:agent",
        "encounter.patient",
    ],
)
async def test_chains_are_refused_and_not_ignored(parameter: str, world: FhirWorld, bound: str):
    for prefer in ("handling=lenient", "handling=strict"):
        answer = await world.get("Observation", {parameter: "Birch"}, token=bound, prefer=prefer)
        assert answer.status == 400, parameter
        assert answer.issue == ("not-supported", "fhir-parameter-unsupported")


async def test_a_match_shows_herself_alone(world: FhirWorld, bound: str):
    async def found(token: str, who: dict) -> list[str]:
        answer = await world.post(
            "Patient/$match", dumps(who), token=token, content_type="application/fhir+json"
        )
        assert answer.status == 200
        return answer.ids

    asked = {k: v for k, v in patient("ben", "Birch").items() if k != "id"}
    assert await found(bound, asked) == []
    assert await found(world.token(), asked) == ["Patient/ben"]


async def test_docref_shows_her_documents_alone(world: FhirWorld, bound: str):
    answer = await world.get("DocumentReference/$docref", {"patient": "ben"}, token=bound)
    assert (answer.status, answer.ids) == (200, [])
    everybody = world.token()
    answer = await world.get("DocumentReference/$docref", {"patient": "ben"}, token=everybody)
    assert answer.ids == ["DocumentReference/doc-b"]


async def test_the_link_to_a_page_is_for_the_patient_that_it_was_made_for(
    world: FhirWorld, bound: str
):
    everybody = world.token()
    first = await world.get("Observation", {"_id": "a1,b1", "_count": "1"}, token=everybody)
    following = first.link("next")
    assert following is not None
    assert (await world.get(following, token=everybody)).ids == ["Observation/b1"]
    for other in (bound, world.token(client="another"), world.token("patient/*.rs", patient="ben")):
        answer = await world.get(following, token=other)
        assert (answer.status, answer.issue[1]) == (410, "fhir-page-invalid")


async def test_a_scope_of_a_patients_context_gives_nothing_without_a_patient(world: FhirWorld):
    token = world.token("patient/*.rs")
    answer = await world.get("Observation/a1", token=token)
    assert (answer.status, answer.issue[1]) == (403, "fhir-scope-missing")


async def test_who_opted_out_is_not_seen_whichever_way_somebody_asks(world: FhirWorld):
    token = world.token()
    world.opt_outs = OptOuts(
        identifiers=frozenset([PatientId(assigning_authority="2.999.5", id="MRN-ben")])
    )
    for name in ("Patient/ben", "Observation/b1", "Observation/both", "Binary/bin-b"):
        assert (await world.get(name, token=token)).status == 404, name
    assert (await world.get("Observation/a1", token=token)).status == 200
    found = await world.get("Observation", {"_id": "a1,b1,both"}, token=token)
    assert (found.ids, found.json["total"]) == (["Observation/a1"], 1)
    counted = await world.get("Observation", {"_id": "a1,b1", "_summary": "count"}, token=token)
    assert counted.json["total"] == 1
    assert (await world.get("Patient", {"name": "Pat"}, token=token)).ids == ["Patient/ann"]
    included = await world.get(
        "CareTeam", {"_id": "team", "_revinclude": "Provenance:target"}, token=token
    )
    assert included.ids == ["CareTeam/team"]
    # and again when the list is empty
    world.opt_outs = OptOuts()
    assert (await world.get("Patient/ben", token=token)).status == 200
