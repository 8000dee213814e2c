"""Hostile questions to the FHIR server: no failure, no cost without measure, nobody else's data."""

from __future__ import annotations

from fhir_world import FhirWorld
from test_fhir_compartment import records, world

__all__ = ["records", "world"]  # fixtures

QUESTIONS = (
    "Observation?_count=-1",
    "Observation?_count=0",
    "Observation?_count=99999999999999999999",
    "Observation?_count=1e3",
    "Observation?_count=%EF%BC%95",
    "Observation?_count=",
    "Observation?subject:Patient.name=x",
    "Observation?subject.name=x",
    "Patient?_has:Observation:patient:code=1234-5",
    "Patient?_has:Observation:patient:_has:Provenance:target:agent=x",
    "Observation?_include=*",
    "Observation?_include=Observation:*",
    "Observation?_include:iterate=Observation:subject&_include:iterate=Patient:link",
    "Patient?_revinclude=*",
    "Patient?_revinclude=Provenance:target&_revinclude=Observation:subject",
    "Patient?name=' OR 1=1 --",
    "Patient?name=%",
    "Patient?name:contains=_",
    "Patient?name=%25%25%25",
    "Patient?name:contains=%25",
    "Patient?family:exact=Arden'",
    "Patient?identifier=|",
    "Patient?identifier=%7C%7C%7C",
    "Patient?birthdate=gt",
    "Patient?birthdate=eq9999999-01",
    "Patient?birthdate=0000",
    "Patient?birthdate=2024-02-30",
    "Patient?birthdate=ap1980",
    "Observation?patient=https://elsewhere.example/fhir/Patient/ann",
    "Observation?patient=Patient/../Patient/ann",
    "Observation?patient=%2e%2e/ben",
    "Observation?subject=Group/g",
    "Observation?subject=Patient/ann,Patient/ben",
    "Observation?patient=ann&patient=ben",
    "Patient/ann/../ben",
    "Patient/ann%2f..%2fben",
    "Patient/%2e%2e/%2e%2e/log",
    "Patient/ann/$everything",
    "Patient/$everything",
    "Patient/ann/Observation",
    "$graphql",
    "Patient/ben",
    "Patient/ben/_history/1",
    "Observation/both",
    "Observation/contained",
    "Observation/named",
    "_history",
    "?_type=Patient",
    "Observation?_filter=x",
    "Observation?_query=x",
    "Observation?_sort=subject.name",
    "Observation?_sort=-date," + "a" * 3000,
    "Observation?_elements=id",
    "Observation?_summary=count",
    "Observation?_total=accurate",
    "Observation?_contained=true",
    "Observation?_text=x",
    "Observation?_content=x",
    "Observation?_id=" + ",".join(f"a{i}" for i in range(2000)),
    "Observation?code=" + ",".join(f"c|{i}" for i in range(1000)),
    "Observation?code=" + "a" * 20000,
    "Observation?" + "&".join(f"code={i}" for i in range(101)),
    "Observation?date=" + "&date=".join(f"gt{1900 + i}-01-01" for i in range(99)),
    "Observation?_lastUpdated=gt2020",
    "Observation?_security=R",
    "Observation?_tag=x|y",
    "Observation?_profile=http://evil/x",
    "Observation?code:in=http://evil.example/ValueSet/x",
    "Observation?code:below=x",
    "Observation?code:not=x",
    "Observation?patient:identifier=urn:oid:2.999.5|MRN-ben",
    "Observation?performer:identifier=|MRN-ben",
    "Observation?patient:missing=true",
    "Observation?subject:not=Patient/ann",
    "Observation?focus=Patient/ben",
    "Provenance?target=Patient/ben",
    "CareTeam?participant=Practitioner/doc",
    "Patient?link=Patient/ann",
    "Practitioner?_id=doc",
    "Group?member=Patient/ann",
    "Binary/x",
    "Binary/../x",
    "AuditEvent?_count=1",
    "DocumentReference/$docref?patient=ben",
    "DocumentReference/$docref?patient=Patient/ann&start=x",
    "DocumentReference?patient=ann&contenttype=text/html",
    "Observation?_page=x",
    "Observation?page=AAAA",
    "Observation?_getpages=abc",
    "Observation?_format=xml",
    "Observation?_format=application/fhir+json;charset=utf-16",
    "Observation?_pretty=true",
    "Observation?%00=1",
    "Observation?a%00b=1",
    "Observation?code=%00",
    "Observation?code=%ff",
    "Observation?code=%ED%A0%80",
    "Patient?name=%F0%9F%92%A9",
    "Patient?name=" + "%CC%81" * 2000,
    "Patient?phone=%2B1&email=a",
    "metadata?mode=evil",
    "metadata?_format=xml",
)
OTHERS = {"b1", "both", "nobody", "foreign", "contained", "named", "ben", "team-ben", "pb", "pab",
          "far", "doc-b", "bin-b", "bin-lost"}  # fmt: skip


def asked() -> list[str]:
    """The questions that reach the server: the listener takes longer addresses for none."""
    return [each.replace(" ", "%20") for each in QUESTIONS if len(each) < 30_000]


async def test_no_question_fails_or_shows_a_bound_token_another_patient(world: FhirWorld) -> None:
    bound = world.token("system/*.rs", patient="ann")
    for question in asked():
        answer = await world.get(question, token=bound)
        assert answer.status < 500, (question[:80], answer.status, answer.body[:300])
        if "metadata" not in question:
            assert answer.headers["cache-control"] == "no-store", question[:80]
            assert answer.headers["x-content-type-options"] == "nosniff"
        body = answer.json
        found = [body] if body["resourceType"] != "Bundle" else []
        found += [each["resource"] for each in body.get("entry", [])]
        seen = {each.get("id") for each in found} & OTHERS
        assert not seen, (question[:80], seen)
        assert b"Birch" not in answer.body, question[:80]


async def test_no_question_fails_for_an_unbound_token(world: FhirWorld) -> None:
    token = world.token("system/*.rs")
    for question in asked():
        answer = await world.get(question, token=token)
        assert answer.status < 500, (question[:80], answer.status, answer.body[:300])
        if answer.status >= 400:
            assert answer.json["resourceType"] == "OperationOutcome"
            assert b"Traceback" not in answer.body
