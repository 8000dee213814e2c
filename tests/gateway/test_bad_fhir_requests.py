"""Bad requests to the FHIR server: a precise OperationOutcome, an entry, and not a word of it kept.

One table of what can be wrong with a request; each row carries a canary where a client could have
put a patient. What is wrong with searches alone stands in ``test_fhir_server``.
"""

from __future__ import annotations

import io
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from fhir.resources.R4B.operationoutcome import OperationOutcome
from fhir_world import FhirWorld, Records, bundle, fhir_world, open_records
from yarl import URL

CANARY = "CanaryArden"
FORM = "application/x-www-form-urlencoded"
JSON = "application/fhir+json"
PATIENT = {"resourceType": "Patient", "id": "ann", "name": [{"family": CANARY}]}
ASKED = {"resourceType": "Patient", "name": [{"family": CANARY}]}


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Records]:
    folder = tmp_path_factory.mktemp("bad")
    made = open_records(f"sqlite:///{folder / 'node.db'}", folder)
    (folder / "in").mkdir()
    (folder / "in" / "all.json").write_bytes(bundle(PATIENT))
    assert made.load(folder / "in").failures == ()
    yield made
    made.engine.dispose()


@pytest.fixture
async def world(records: Records, us, them) -> AsyncIterator[FhirWorld]:
    async with fhir_world(records, us, them) as running:
        yield running


def get(path: str, **headers: str) -> dict[str, Any]:
    return {"method": "GET", "path": path, "headers": headers}


def post(path: str, body: bytes | str, kind: str = JSON, **headers: str) -> dict[str, Any]:
    return {"method": "POST", "path": path, "body": body,
            "headers": {"content-type": kind, **headers}}  # fmt: skip


def of(method: str, path: str = f"Patient?name={CANARY}") -> dict[str, Any]:
    return {"method": method, "path": path, "headers": {}}


def parameters(*rows: dict[str, Any]) -> str:
    return json.dumps({"resourceType": "Parameters", "parameter": list(rows)})


def search(query: str) -> dict[str, Any]:
    return get(f"Observation?patient=ann&{query}")


VALUE, UNSUPPORTED = (400, "fhir-value-invalid"), (400, "fhir-parameter-unsupported")
BODY, OPERATION = (400, "fhir-body-invalid"), (404, "fhir-operation-unknown")
METHOD, MEDIA = (405, "fhir-method-unsupported"), (415, "fhir-content-type-unsupported")
LIMIT, LARGE = (400, "fhir-search-limit"), (413, "message-too-large")
UNKNOWN = (400, "fhir-parameter-unknown")
SUBJECT = {"name": "resource", "resource": ASKED}

BAD: dict[str, tuple[dict[str, Any], tuple[int, str]]] = {
    # --- percent-encoding and text
    "percent without digits": (get(f"Patient?_id=%zz{CANARY}&identifier=%"), (200, "")),
    "reference with bad percent": (get(f"Observation?patient=%zz{CANARY}"), VALUE),
    "query not utf-8": (get(f"Patient?name=%ff{CANARY}"), VALUE),
    "overlong utf-8": (get(f"Patient?name=%c0%af{CANARY}"), VALUE),
    "half a surrogate": (get(f"Patient?name=%ed%a0%80{CANARY}"), VALUE),
    "nul": (get(f"Patient?name={CANARY}%00"), VALUE),
    "form not utf-8": (post("Patient/_search", b"name=\xff" + CANARY.encode(), FORM), VALUE),
    "id not utf-8": (get(f"Patient/%ff{CANARY}"), (400, "fhir-id-invalid")),
    "id with a space": (get(f"Patient/{CANARY}%20x"), (400, "fhir-id-invalid")),
    "id with a newline": (get(f"Patient/{CANARY}%0a"), (400, "fhir-id-invalid")),
    "id of 65 letters": (get("Patient/" + f"{CANARY:x<65}"), (400, "fhir-id-invalid")),
    "line breaks for a log": (search(f"date=%0d%0aINFO+{CANARY}"), VALUE),
    # --- addresses and operations
    "unknown type": (get(f"Banana/{CANARY}"), (404, "fhir-type-unknown")),
    "type of FHIR that is not served": (get(f"Claim?patient={CANARY}"), (404, "fhir-type-unknown")),
    "unknown operation": (get(f"Patient/$everything?_id={CANARY}"), OPERATION),
    "operation on an instance": (get(f"Patient/ann/$everything?x={CANARY}"), OPERATION),
    "operation of the system": (get(f"$export?_typeFilter={CANARY}"), OPERATION),
    "compartment search": (get(f"Patient/ann/Observation?code={CANARY}"), OPERATION),
    "history of a type": (get(f"Patient/_history?_since={CANARY}"), OPERATION),
    "search of the system": (get(f"?_type=Patient&name={CANARY}"), OPERATION),
    "path upwards": (get(f"Patient/..%2f..%2f{CANARY}"), OPERATION),
    # --- bundles
    "transaction": (post("", bundle(PATIENT, type_="transaction")), OPERATION),
    "batch": (post("", bundle(PATIENT, type_="batch")), OPERATION),
    "gigantic bundle": (post("", bundle(*[PATIENT] * 20_000)), OPERATION),
    "bundle for a match": (post("Patient/$match", bundle(PATIENT)), BODY),
    "gigantic bundle for a match": (post("Patient/$match", bundle(*[PATIENT] * 20_000)), LARGE),
    "gigantic form": (post("Patient/_search", f"name={CANARY}&" * 20_000, FORM), LARGE),
    # --- bodies
    "no json": (post("Patient/$match", f"<Patient>{CANARY}</Patient>"), BODY),
    "nothing": (post("Patient/$match", ""), BODY),
    "a number": (post("Patient/$match", "7"), BODY),
    "a list": (post("Patient/$match", json.dumps([ASKED])), BODY),
    "deep": (post("Patient/$match", '{"resourceType":"Patient","x":' + "[" * 50_000), BODY),
    "cut off": (post("Patient/$match", json.dumps(ASKED)[:-5]), BODY),
    "two documents": (post("Patient/$match", json.dumps(ASKED) * 2), BODY),
    "not utf-8": (post("Patient/$match", b'{"resourceType":"Patient","id":"\xff"}'), BODY),
    "not a number": (post("Patient/$match", '{"resourceType":"Patient","x":NaN}'), BODY),
    "no patient": (post("Patient/$match", parameters({"name": "count", "valueInteger": 1})), BODY),
    "name twice": (post("Patient/$match", parameters(SUBJECT, SUBJECT)), UNKNOWN),
    "unknown parameter": (
        post("Patient/$match", parameters(SUBJECT, {"name": CANARY, "valueString": CANARY})),
        UNKNOWN,
    ),
    "count as text": (
        post("Patient/$match", parameters(SUBJECT, {"name": "count", "valueInteger": "1"})), VALUE,
    ),
    "count of nothing": (
        post("Patient/$match", parameters(SUBJECT, {"name": "count", "valueInteger": 0})), VALUE,
    ),
    "a huge count": (
        post("Patient/$match", parameters(SUBJECT, {"name": "count", "valueInteger": 10**400})),
        BODY,
    ),
    "nobody to match": (post("Patient/$match", json.dumps({"resourceType": "Patient"})), VALUE),
    # --- methods and media types
    **{f"method {m}": (of(m), METHOD) for m in ("PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND")},
    "posted resource": (post("Patient", json.dumps(PATIENT)), METHOD),
    "form as json": (post("Patient/_search", json.dumps({"name": CANARY})), MEDIA),
    "form in parts": (
        post("Patient/_search", f"--x\r\n\r\n{CANARY}", "multipart/form-data; boundary=x"), MEDIA,
    ),
    "form without a type": (post("Patient/_search", f"name={CANARY}", ""), MEDIA),
    "match as xml": (post("Patient/$match", f"<x>{CANARY}</x>", "application/fhir+xml"), MEDIA),
    "answer as xml": (
        get(f"Patient?name={CANARY}", accept="application/fhir+xml"),
        (406, "fhir-format-unsupported"),
    ),
    # --- chains and foreign references
    "chain": (search(f"subject:Patient.name={CANARY}"), UNSUPPORTED),
    "reverse chain": (search(f"_has:Provenance:target:agent={CANARY}"), UNSUPPORTED),
    "chain of chains": (search(f"encounter.subject.name={CANARY}"), UNSUPPORTED),
    "filter": (search(f"_filter=name+eq+{CANARY}"), UNSUPPORTED),
    "named query": (search(f"_query={CANARY}"), UNSUPPORTED),
    "text search": (search(f"_content={CANARY}"), UNSUPPORTED),
    "foreign patient": (
        get(f"Observation?patient=https://evil.example/fhir/Patient/{CANARY}"), (200, "")),
    "foreign patient by file": (get(f"Observation?patient=file:///etc/{CANARY}"), (200, "")),
    "no reference": (get(f"Observation?patient={CANARY}+x"), VALUE),
    # --- values
    "two patients that must both hold": (get("Observation?patient=ann&patient=ben"), (200, "")),
    "month 13": (search("date=2026-13"), VALUE),
    "30 February": (search("date=ge2026-02-30"), VALUE),
    "year 0": (search("date=0000"), VALUE),
    "hour 25": (search("date=2026-01-01T25:00Z"), VALUE),
    "offset of 99 hours": (search("date=2026-01-01T00:00%2b99:00"), VALUE),
    "two prefixes": (search("date=gege2026"), VALUE),
    "foreign digits": (search("date=%d9%a2%d9%a0%d9%a2%d9%a6"), VALUE),
    "foreign digits in a count": (search("_count=%d9%a3"), VALUE),
    "a signed count": (search("_count=%2b5"), VALUE),
    "a count in hex": (search("_count=0x10"), VALUE),
    "half a count": (search("_count=1.5"), VALUE),
    "unknown total": (search(f"_total={CANARY}"), VALUE),
    "missing what": (search(f"date:missing={CANARY}"), VALUE),
    "too many values": (search("code=" + "a," * 300), LIMIT),
    "too many parameters": (search("x=1&" * 200), LIMIT),
    "a very long value": (search("code=" + "a" * 9000), LIMIT),
    "page of somebody": (get(f"Patient?_page={CANARY}"), (410, "fhir-page-invalid")),
    "page of 20 KB": (get("Patient?_page=" + "A" * 20_000), (410, "fhir-page-invalid")),
}  # fmt: skip


def stream(body: bytes | str | None) -> io.BytesIO | None:
    return None if body is None else io.BytesIO(body.encode() if isinstance(body, str) else body)


async def ask(world: FhirWorld, asked: dict[str, Any], token: str) -> tuple[int, bytes, str]:
    url = URL(f"{world.base}/{asked['path']}", encoded=True)
    headers = {"authorization": f"Bearer {token}", **asked["headers"]}
    async with world.http.request(
        asked["method"], url, data=stream(asked.get("body")), headers=headers,
        skip_auto_headers=["content-type"],
    ) as answer:  # fmt: skip
        return answer.status, await answer.read(), answer.headers.get("content-type", "")


@pytest.mark.parametrize("name", BAD)
async def test_a_bad_request_is_answered_precisely_and_entered(
    name: str, world: FhirWorld, capsys: pytest.CaptureFixture[str]
):
    asked, (status, code) = BAD[name]
    before = len(world.entries())
    got, body, kind = await ask(world, asked, world.token())
    assert (got, kind.partition(";")[0]) == (status, JSON), body
    if code:
        outcome = json.loads(body)
        OperationOutcome.model_validate(outcome)
        assert outcome["issue"][0]["details"]["coding"][0]["code"] == code
        assert CANARY not in body.decode()
    (entry,) = world.entries()[before:]
    assert entry["outcome"] in ({"declined"} if code else {"ok", "ok-empty"})
    assert entry.get("reason", "") == code
    assert CANARY not in json.dumps(entry)
    printed = capsys.readouterr()
    assert CANARY not in printed.out + printed.err


@pytest.mark.parametrize(
    "token",
    [CANARY, CANARY * 2000, "a b", "ünicode", "eyJhbGciOiJub25lIn0.e30.", "=" * 50, "%00"],
)
async def test_a_token_that_does_not_count_is_told_nothing_and_kept_nowhere(
    token: str, world: FhirWorld, capsys: pytest.CaptureFixture[str]
):
    before = len(world.entries())
    got, body, _ = await ask(world, get(f"Patient/{CANARY}"), token)
    assert got == 401
    assert json.loads(body)["issue"][0]["code"] == "login"
    assert CANARY not in body.decode()
    (entry,) = world.entries()[before:]
    assert (entry["outcome"], entry["reason"]) == ("declined", "fhir-token-invalid")
    printed = capsys.readouterr()
    assert CANARY not in printed.out + printed.err + json.dumps(entry)


async def test_a_token_in_the_address_opens_nothing_and_is_not_repeated(world: FhirWorld):
    token = world.token()
    answer = await world.get("Patient/ann", {"access_token": token})
    assert answer.status == 401
    found = await world.get("Patient", {"_id": "ann", "access_token": CANARY}, token=token)
    assert found.status == 200
    assert CANARY not in json.dumps(found.resources("outcome"))
    assert CANARY not in (found.link("self") or "")


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("Patient?name=" + CANARY * 10_000, {}),
        ("Patient?" + "x" * 200_000, {}),
        ("Patient/ann", {"x-long": CANARY * 10_000}),
        ("Patient/ann", {f"x-{n}": CANARY for n in range(2000)}),
    ],
)
async def test_an_address_or_headers_without_measure_are_refused(
    path: str, headers: dict[str, str], world: FhirWorld, capsys: pytest.CaptureFixture[str]
):
    try:
        got, body, _ = await ask(world, get(path, **headers), world.token())
    except ConnectionError:
        return  # the connection is ended: also an answer
    assert 400 <= got < 500
    assert CANARY.encode() not in body
    printed = capsys.readouterr()
    assert CANARY not in printed.out + printed.err


@pytest.mark.parametrize("names", [("authorization", "Authorization")])
async def test_two_tokens_are_no_token(names, world: FhirWorld):
    token = world.token()
    url = URL(f"{world.base}/Patient/ann")
    sent = [(names[0], f"Bearer {token}"), (names[1], "Bearer other")]
    async with world.http.get(url, headers=sent) as answer:
        assert answer.status in {400, 401}
