"""FHIR resources in the database, on both engines: loading, replacing, searching, paging."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest
from fhir_world import NOW, Records, bundle, open_records, records_in
from sqlalchemy import Engine, event

from node.errors import OurFault
from node.exchange.fhir_ports import FoundPage, View
from node.records.fhir.index import NewResource
from node.records.folder import LoadLimits
from node.wire.fhir.bundle_reader import BundleResource
from node.wire.fhir.catalogue import resource_types
from node.wire.fhir.query import SearchLimits, SearchQuery, parse_search

ALL = View(scopes=dict.fromkeys(resource_types(), ()))
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def records(node_database: Engine, tmp_path: Path) -> Records:
    return records_in(node_database, tmp_path)


def patient(id_: str = "p", **more) -> dict:
    name = [{"family": f"Family-{id_}", "given": ["Pat"]}]
    return {"resourceType": "Patient", "id": id_, "name": name, "birthDate": "1980-01-02", **more}


def observation(id_: str, subject: str = "p", when: str | None = None, **more) -> dict:
    found = {"resourceType": "Observation", "id": id_, "status": "final",
             "code": {"coding": [{"system": "http://loinc.org", "code": "1-1"}]},
             "subject": {"reference": f"Patient/{subject}"}, **more}  # fmt: skip
    return found | ({"effectiveDateTime": when} if when else {})


def load(records: Records, tmp_path: Path, *files: tuple[str, bytes]):
    folder = tmp_path / "in"
    folder.mkdir(exist_ok=True)
    for name, data in files:
        (folder / name).write_bytes(data)
    return records.load(folder)


def query(type_: str, *pairs: tuple[str, str], count: int = 50) -> SearchQuery:
    return parse_search(
        resource_types()[type_], pairs, strict=True, base_url="https://us.example/fhir",
        now=NOW, limits=SearchLimits(default_count=count),
    )  # fmt: skip


async def pages(records: Records, asked: SearchQuery, between=lambda: None) -> list[FoundPage]:
    source, found, after = records.source(), [], None
    while True:
        page = await source.search(asked, ALL, after)
        found.append(page)
        after = page.following
        if after is None:
            return found
        between()


def ids(found: list[FoundPage]) -> list[str]:
    return [match.id for page in found for match in page.matches]


# --- loading ----------------------------------------------------------------------------------


def test_a_bad_entry_costs_its_own_line_and_the_rest_is_served(records: Records, tmp_path: Path):
    good = [patient(), observation("a"), observation("b")]
    bad = [
        {"resourceType": "Observation", "id": "a_b"},
        {"resourceType": "Observation", "id": 7},
        {"id": "x"},
        7,
        {"resourceType": "Observation"},
        {"resourceType": "Observation", "id": "x" * 65},
    ]
    report = load(records, tmp_path, ("some.json", bundle(*good, *bad)))
    assert (report.indexed, report.resources) == (1, 3)
    assert [f.path for f in report.failures] == [f"some.json#{n}" for n in range(4, 10)]
    assert {f.code for f in report.failures} == {"fhir-entry-unusable"}
    assert [f.path for f in records.index.failures()] == [f.path for f in report.failures]


@pytest.mark.parametrize(
    "data",
    [
        b"{",
        b'{"resourceType":"Bundle","entry":',
        b"[" * 100_000,
        b'{"resourceType":"Bundle","entry":[' + b'{"resource":' * 5000,
        b'{"resourceType":"Patient","id":"x"}',
        bundle(patient())[:-3] + b"\xff\xfe}]}",
    ],
    ids=["cut", "half", "deep", "nested", "no-bundle", "not-utf-8"],
)
def test_a_bad_file_is_listed_and_the_others_load(data, records: Records, tmp_path: Path):
    report = load(records, tmp_path, ("bad.json", data), ("good.json", bundle(patient())))
    assert [f.path for f in report.failures] == ["bad.json"]
    assert report.resources == 1


def test_a_bundle_too_large_is_listed(records: Records, tmp_path: Path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "large.json").write_bytes(bundle(patient(text={"div": "x" * 5000})))
    report = records.load(tmp_path / "in", limits=LoadLimits(max_bytes=1000))
    assert [f.code for f in report.failures] == ["file-too-large"]


def test_a_bundle_about_nobody_or_several_brings_its_resources(records: Records, tmp_path: Path):
    organization = {"resourceType": "Organization", "id": "o", "name": "Clinic"}
    report = load(
        records,
        tmp_path,
        ("nobody.json", bundle(organization)),
        ("several.json", bundle(patient("p"), patient("q", birthDate="1950-05-05"))),
    )
    assert (report.failures, report.documents, report.resources) == ((), 0, 3)
    again = load(records, tmp_path)
    assert (again.resources, again.duplicates) == (0, 2)


async def test_references_inside_a_transaction_are_written_as_a_server_writes_them(
    records: Records, tmp_path: Path
):
    person = b'{"resourceType":"Patient", "id":"p", "name":[{"family":"F"}], "x":1.00}'
    seen = (
        b'{"resourceType":"Observation","status":"final","valueQuantity":{"value":1.10},'
        b'"subject":{"reference": "urn:uuid:11111111-1111-4111-8111-111111111111"},'
        b'"note":[{"text":"\\"reference\\": \\"urn:uuid:11111111-1111-4111-8111-111111111111\\""}],'
        b'"encounter":{"reference":"urn:uuid:99999999-9999-4999-8999-999999999999"}}'
    )
    data = (
        b'{"resourceType":"Bundle","type":"transaction","entry":[{"fullUrl":'
        b'"urn:uuid:11111111-1111-4111-8111-111111111111","resource":' + person + b'},{"fullUrl":'
        b'"urn:uuid:22222222-2222-4222-8222-222222222222","resource":' + seen + b"}]}"
    )
    load(records, tmp_path, ("t.json", data))
    own = "22222222-2222-4222-8222-222222222222"
    held = await records.source().read("Observation", own, ALL)
    assert held is not None
    assert held.data == b'{"id":"' + own.encode() + b'",' + seen[1:].replace(
        b'"reference": "urn:uuid:11111111-1111-4111-8111-111111111111"', b'"reference": "Patient/p"'
    )
    assert held.patient == "p"
    person_held = await records.source().read("Patient", "p", ALL)
    assert person_held is not None
    assert person_held.data == person


async def test_a_newer_version_replaces_and_an_older_one_does_not(records: Records, tmp_path: Path):
    def dated(code: str, when: str) -> bytes:
        meta = {"lastUpdated": when}
        return bundle(patient(), observation("a", status=code, meta=meta))

    load(records, tmp_path, ("1.json", dated("preliminary", "2024-01-01T00:00:00Z")))
    load(records, tmp_path, ("2.json", dated("final", "2024-02-01T00:00:00Z")))
    load(records, tmp_path, ("3.json", dated("registered", "2023-02-01T00:00:00Z")))
    held = await records.source().read("Observation", "a", ALL)
    assert held is not None
    assert json.loads(held.data)["status"] == "final"
    assert held.version == "2"
    for code, found in (("final", ["a"]), ("preliminary", []), ("registered", [])):
        assert (
            ids(await pages(records, query("Observation", ("patient", "p"), ("status", code))))
            == found
        )


async def test_another_patients_resource_is_never_replaced(records: Records, tmp_path: Path):
    load(records, tmp_path, ("1.json", bundle(patient("p"), observation("1", "p"))))
    other = bundle(
        patient("q", birthDate="1950-05-05"), observation("1", "q"), observation("2", "q")
    )
    report = load(records, tmp_path, ("2.json", other))
    assert [(f.path, f.code) for f in report.failures] == [
        ("2.json#Observation/1", "fhir-id-taken")
    ]
    assert ids(await pages(records, query("Observation", ("patient", "p")))) == ["1"]
    assert ids(await pages(records, query("Observation", ("patient", "q")))) == ["2"]


async def test_changed_bytes_are_not_served(records: Records, tmp_path: Path):
    load(records, tmp_path, ("1.json", bundle(patient(), observation("a"))))
    stored = next(p for p in (tmp_path / "records").rglob("*") if p.is_file())
    stored.write_bytes(stored.read_bytes().replace(b"final", b"wrong"))
    with pytest.raises(OurFault, match="not those indexed"):
        await records.source().read("Observation", "a", ALL)


async def test_a_patient_of_a_fhir_system_takes_the_place_of_the_one_we_made(
    records: Records, tmp_path: Path
):
    document = next((ROOT / "examples" / "records").rglob("*.xml")).read_bytes()
    load(records, tmp_path, ("1.xml", document))
    assert (counts := records.fhir.counts())["Patient"] == counts["DocumentReference"] == 1
    [made] = await all_of(records, "Patient")
    given = {k: v for k, v in json.loads(made.data).items() if k not in ("resourceType", "id")}
    load(records, tmp_path, ("2.json", bundle({"resourceType": "Patient", "id": "given", **given})))
    assert [p.id for p in await all_of(records, "Patient")] == ["given"]
    [reference] = await all_of(records, "DocumentReference")
    assert json.loads(reference.data)["subject"] == {"reference": "Patient/given"}
    assert reference.patient == "given"


async def all_of(records: Records, type_: str):
    asked = query(type_)
    return [m for page in await pages(records, asked) for m in page.matches]


# --- searching --------------------------------------------------------------------------------

DATES = {
    "day": {"effectiveDateTime": "2020-03-15"},
    "month": {"effectiveDateTime": "2020-03"},
    "instant": {"effectiveInstant": "2020-03-15T10:00:00.500Z"},
    "offset": {"effectiveDateTime": "2020-03-16T01:00:00+02:00"},
    "period": {"effectivePeriod": {"start": "2020-03-10", "end": "2020-03-20"}},
    "open": {"effectivePeriod": {"start": "2020-03-10"}},
    "timing": {"effectiveTiming": {"event": ["2020-03-01", "2020-03-31"]}},
    "none": {},
}


COMPARED = (
    ("2020-03-15", "day instant offset"),
    ("2020-03", "day month instant offset period timing"),
    ("ne2020-03", "open"),
    ("gt2020-03-15", "month period open timing"),
    ("lt2020-03-15", "month period open timing"),
    ("ge2020-03-15", "day instant offset month period open timing"),
    ("le2020-03-15", "day instant offset month period open timing"),
    ("sa2020-03-09", "day instant offset period open"),
    ("eb2020-03-16", "day instant offset"),
    ("ap2020-03-15", "day month instant offset period open timing"),
    ("2020-03-15T10:00:00.500Z", "instant"),
    ("2020-03-15T23:00:00Z", "offset"),
    ("2020-03-15,2020-03", "day month instant offset period timing"),
)


async def test_dates_are_compared_as_fhir_says(records: Records, tmp_path: Path):
    seen = [observation(name, **more) for name, more in DATES.items()]
    load(records, tmp_path, ("1.json", bundle(patient(), *seen)))
    for value, found in COMPARED:
        answer = await pages(records, query("Observation", ("patient", "p"), ("date", value)))
        assert sorted(ids(answer)) == sorted(found.split()), value


TOKENS = (
    ("category", "a", "one two"),
    ("category", "s1|a", "one"),
    ("category", "|a", "two"),
    ("category", "s1|", "one"),
    ("category", "a,b", "one two three"),
    ("category", "A", ""),
    ("category:not", "a", "three none"),
    ("category:missing", "true", "none"),
    ("category:missing", "false", "one two three"),
    ("category", r"x\,y", "three"),
)


async def test_tokens_are_compared_as_fhir_says(records: Records, tmp_path: Path):
    def category(*codings: dict) -> dict:
        return {"category": [{"coding": list(codings)}]}

    load(records, tmp_path, ("1.json", bundle(
        patient(),
        observation("one", **category({"system": "s1", "code": "a"})),
        observation("two", **category({"code": "a"})),
        observation("three", **category({"system": "s2", "code": "b"}, {"code": "x,y"})),
        observation("none"),
    )))  # fmt: skip
    for name, value, found in TOKENS:
        answer = await pages(records, query("Observation", ("patient", "p"), (name, value)))
        assert sorted(ids(answer)) == sorted(found.split()), (name, value)


STRINGS = (
    ("name", "eve", "eve"),
    ("name", "ÉVE", "eve"),
    ("name", "smith", "eve sam"),
    ("name", "mith", ""),
    ("name:contains", "mith", "eve sam"),
    ("name:exact", "Smith", "eve"),
    ("name:exact", "smith", ""),
    ("given", "smith", ""),
    ("family", "smith-j", "sam"),
    ("family", "van  der", "van"),
    ("name", "%", ""),
    ("name:contains", "_", ""),
)


async def test_strings_are_compared_as_fhir_says(records: Records, tmp_path: Path):
    def named(id_: str, family: str, given: str) -> dict:
        return patient(id_, name=[{"family": family, "given": [given]}], birthDate=f"19{len(id_)}0")

    load(records, tmp_path, ("1.json", bundle(
        named("eve", "Smith", "Ève"), named("sam", "Smith-Jones", "Sam"),
        named("van", "van der Berg", "Jo"),
    )))  # fmt: skip
    for name, value, found in STRINGS:
        answer = await pages(records, query("Patient", (name, value)))
        assert sorted(ids(answer)) == sorted(found.split()), (name, value)


async def test_the_chain_that_us_core_demands(records: Records, tmp_path: Path):
    def role(id_: str, who: str) -> dict:
        return {"resourceType": "PractitionerRole", "id": id_, "practitioner": {"reference": who}}

    load(records, tmp_path, ("1.json", bundle(
        {"resourceType": "Practitioner", "id": "d", "name": [{"family": "Dent"}],
         "identifier": [{"system": "http://hl7.org/fhir/sid/us-npi", "value": "1234567893"}]},
        {"resourceType": "Practitioner", "id": "e", "name": [{"family": "East"}]},
        role("1", "Practitioner/d"), role("2", "Practitioner/e"),
    )))  # fmt: skip
    for pair, found in (
        (("practitioner.name", "den"), ["1"]),
        (("practitioner.identifier", "http://hl7.org/fhir/sid/us-npi|1234567893"), ["1"]),
        (("practitioner:Practitioner.name", "east"), ["2"]),
        (("practitioner.name", "x"), []),
    ):
        asked = query("PractitionerRole", pair)
        assert ids(await pages(records, asked)) == found


# --- paging -----------------------------------------------------------------------------------


async def test_pages_neither_repeat_nor_miss_anything(records: Records, tmp_path: Path):
    seen = [
        observation(f"o{n:02}", when=f"2020-01-{n % 5 + 1:02}" if n % 4 else None)
        for n in range(23)
    ]
    load(records, tmp_path, ("1.json", bundle(patient(), *seen)))
    dates = {o["id"]: o.get("effectiveDateTime") for o in seen}
    for sort in (None, "date", "-date", "_lastUpdated", "-_lastUpdated"):
        more = [("_sort", sort)] if sort else []
        found = await pages(records, query("Observation", ("patient", "p"), *more, count=4))
        assert sorted(ids(found)) == sorted(dates), sort
        assert [len(p.matches) for p in found] == [4] * 5 + [3]
        assert found[0].total == 23
        if sort in ("date", "-date"):
            shown = [dates[i] for i in ids(found)]
            with_date = [d for d in shown if d]
            assert with_date == sorted(with_date, reverse=sort == "-date")
            assert shown[len(with_date) :] == [None] * (23 - len(with_date))


async def test_pages_keep_working_while_resources_arrive(records: Records, tmp_path: Path):
    first = [observation(f"o{n:03}") for n in range(40)]
    load(records, tmp_path, ("1.json", bundle(patient(), *first)))
    arrived = iter(range(1000))

    def insert() -> None:
        number = next(arrived)
        new = observation(f"a{number:03}")
        records.fhir.add(
            [resource(new), resource(observation("o000", note=[{"text": str(number)}]))], NOW
        )

    stop = threading.Event()

    def insert_beside() -> None:
        number = 0
        while not stop.wait(0.002):
            number += 1
            records.fhir.add([resource(observation(f"b{number:04}", subject="other"))], NOW)

    beside = threading.Thread(target=insert_beside)
    beside.start()
    try:
        found = ids(await pages(records, query("Observation", ("patient", "p"), count=3), insert))
    finally:
        stop.set()
        beside.join()
    assert len(found) == len(set(found))
    assert set(found) >= {o["id"] for o in first}
    assert not any(i.startswith("b") for i in found)


def resource(content: dict) -> NewResource:
    data = json.dumps(content).encode()
    subject = content["subject"]["reference"].removeprefix("Patient/")
    return NewResource(
        resource=BundleResource(
            type=content["resourceType"], id=content["id"], data=data, content=content,
            patients=frozenset([subject]),
        )
    )  # fmt: skip


# --- indexes ----------------------------------------------------------------------------------


PLANS = (
    ("Observation", [("patient", "p")], "ix_fhir_resource_patient"),
    (
        "Observation",
        [("patient", "p"), ("code", "1-1"), ("date", "ge2020")],
        "ix_fhir_resource_patient",
    ),
    ("Observation", [("patient", "p"), ("_sort", "-date")], "ix_fhir_resource_patient"),
    ("Patient", [("identifier", "s|1")], "ix_fhir_token_value"),
    ("Patient", [("identifier", "urn:oid:2.999.7.1|1")], "ix_fhir_person_local"),
    ("Patient", [("gender", "male"), ("identifier", "1")], "ix_fhir_person_local"),
    ("Patient", [("name", "a"), ("gender", "male")], "ix_fhir_text_value"),
    ("Patient", [("_id", "p")], "ix_fhir_resource_id"),
    ("Condition", [("encounter", "e")], "ix_fhir_reference_value"),
    ("Provenance", [("target", "Observation/a")], "ix_fhir_reference_value"),
    ("Organization", [("name", "a")], "ix_fhir_text_value"),
)


async def test_every_way_to_search_has_an_index(tmp_path: Path):
    records = open_records(f"sqlite:///{tmp_path / 'node.db'}", tmp_path)
    seen = [observation(f"o{n}") for n in range(50)]
    load(records, tmp_path, ("1.json", bundle(patient(), *seen)))
    plans: list[str] = []

    def explain(connection, _cursor, statement, parameters, *_):
        if statement.startswith("SELECT fhir_resource"):
            raw = connection.connection.driver_connection
            rows = raw.execute(f"EXPLAIN QUERY PLAN {statement}", parameters)
            plans.append("\n".join(str(row[3]) for row in rows))

    event.listen(records.engine, "before_cursor_execute", explain)
    for type_, pairs, index in PLANS:
        plans.clear()
        await records.source().search(query(type_, *pairs), ALL, None)
        assert index in plans[0], (pairs, plans[0])
        assert "SCAN fhir" not in plans[0], (pairs, plans[0])
    plans.clear()
    bound = View(scopes=ALL.scopes, patient="p")
    await records.source().search(query("Observation", ("code", "1-1")), bound, None)
    assert "ix_fhir_resource_patient" in plans[0], plans[0]
    records.engine.dispose()
