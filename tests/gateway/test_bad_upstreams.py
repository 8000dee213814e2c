"""A FHIR server behind the gateway that lies, stalls, breaks or talks: none of it gets through."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from fhir.resources.R4B.operationoutcome import OperationOutcome
from fhir_world import bundle
from orjson import dumps
from upstream_world import Asked, BadServer, Gateway, bad_server, gateway, reply

from node.model import PatientId
from node.peers.upstream.client import UpstreamLimits
from node.peers.upstream.credentials import Nobody
from node.policy.opt_out import OptOuts
from node.wire.fhir.capability import capability_statement

CANARY = "Canary-Ann-Arden-MRN-0042"
LIMITS = UpstreamLimits(
    seconds=2.0, document_seconds=3.0, resource_bytes=256 * 1024, page_bytes=256 * 1024,
    document_bytes=256 * 1024,
)  # fmt: skip


def observation(id_: str, subject: str, **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "id": id_,
        "status": "final",
        "code": {"coding": [{"code": "1"}]},
        "subject": {"reference": subject},
        **more,
    }


def patient(id_: str, **more: Any) -> dict[str, Any]:
    identifiers = [{"system": "urn:oid:2.999.5", "value": f"MRN-{id_}"}]
    return {"resourceType": "Patient", "id": id_, "identifier": identifiers, **more}


class Lying:
    """A server whose statement is good and whose answers are what a test says, by path."""

    def __init__(self, server: BadServer, **answers: Any) -> None:
        self.server = server
        self.statement = capability_statement(base_url=server.base, name="x", version="0")
        self.answers: dict[str, Any] = answers
        self.everything: Any = None
        server.answer = self.answer

    def answer(self, asked: Asked) -> Any:
        path = asked.target.removeprefix("/fhir/")
        if path == "metadata" and "metadata" not in self.answers:
            return reply(200, self.statement)
        found = self.answers.get(path, self.everything)
        if found is None:
            return reply(404, b"")
        return found if isinstance(found, bytes) or callable(found) else reply(200, dumps(found))

    def page(self, *resources: Any, following: str | None = None, **rest: Any) -> bytes:
        made = json.loads(bundle(*resources, type_="searchset"))
        if following is not None:
            made["link"] = [{"relation": "next", "url": following}]
        return reply(200, dumps({**made, **rest}))


@pytest.fixture
async def server(us) -> AsyncIterator[BadServer]:
    async with bad_server(us) as running:
        yield running


@pytest.fixture
async def here(server: BadServer, us, them, tmp_path: Path) -> AsyncIterator[Gateway]:
    async with gateway(
        server.base, Nobody(), us, them, tmp_path, limits=LIMITS, seconds=4.0
    ) as running:
        yield running


# --- other patients ---------------------------------------------------------------------------


async def test_a_bound_token_sees_no_other_patient_whatever_upstream_answers(
    server: BadServer, here: Gateway
):
    lying = Lying(server)
    lying.answers["Observation/_search"] = lying.page(
        observation("mine", "Patient/ann"),
        observation("absolute", f"{server.base}/Patient/ann"),
        observation("theirs", "Patient/ben"),
        observation("far", f"{server.base}/Patient/ben"),
        observation("elsewhere", "https://elsewhere.example/fhir/Patient/ann"),
        observation("both", "Patient/ann", focus=[{"reference": "Patient/ben"}]),
        observation("none", "Group/1"),
        patient("ben"),
        total=99,
    )
    lying.everything = observation("theirs", "Patient/ben")
    bound = here.world.token(patient="ann")
    found = await here.world.get("Observation", {"code": "1"}, token=bound)
    assert found.ids == ["Observation/mine", "Observation/absolute"]
    assert server.base.encode() not in found.body
    assert found.json["total"] == 2
    assert here.withheld == {"other-patient": 5, "not-asked": 1}
    assert b"patient=Patient%2Fann" in server.asked[1].body
    assert (await here.world.get("Observation/theirs", token=bound)).status == 404


async def test_an_answer_about_another_patient_than_was_asked_for_is_not_given(
    server: BadServer, here: Gateway
):
    lying = Lying(server)
    lying.answers["Observation/_search"] = lying.page(
        observation("asked", "Patient/ann"), observation("other", "Patient/ben")
    )
    found = await here.world.get("Observation", {"patient": "ann"}, token=here.world.token())
    assert found.ids == ["Observation/asked"]
    assert here.withheld == {"not-asked": 1}


async def test_an_include_brings_nobody_else(server: BadServer, here: Gateway):
    lying = Lying(server)
    entries = [
        {"resource": observation("a", "Patient/ann"), "search": {"mode": "match"}},
        {"resource": patient("ben"), "search": {"mode": "include"}},
        {
            "resource": {
                "resourceType": "Provenance", "id": "p",
                "target": [{"reference": "Observation/a"}], "agent": [],
            },
            "search": {"mode": "include"},
        },
    ]  # fmt: skip
    body = {"resourceType": "Bundle", "type": "searchset", "entry": entries}
    lying.answers["Observation/_search"] = reply(200, dumps(body))
    query = {"patient": "ann", "_revinclude": "Provenance:target"}
    found = await here.world.get("Observation", query, token=here.world.token())
    assert found.ids == ["Observation/a"]
    assert [r["id"] for r in found.resources("include")] == ["p"]


async def test_who_opted_out_is_not_there_and_neither_is_who_is_not_known(
    server: BadServer, here: Gateway
):
    lying = Lying(server)
    lying.answers["Observation/_search"] = lying.page(
        observation("a", "Patient/ann"), observation("b", "Patient/ben"),
        observation("l", "Patient/lost"),
    )  # fmt: skip
    lying.answers["Patient/ann"], lying.answers["Patient/ben"] = patient("ann"), patient("ben")
    here.world.opt_outs = OptOuts(
        identifiers=frozenset([PatientId(assigning_authority="2.999.5", id="MRN-ben")])
    )
    token = here.world.token()
    found = await here.world.get("Observation", {"patient": "ann,ben,lost"}, token=token)
    assert found.ids == ["Observation/a"]
    assert here.withheld == {"opt-out": 2}
    assert (await here.world.get("Patient/ben", token=token)).status == 404


async def test_a_read_that_answers_with_another_resource_is_refused(
    server: BadServer, here: Gateway
):
    Lying(server, **{"Patient/ann": patient("ben")})
    answer = await here.world.get("Patient/ann", token=here.world.token())
    assert (answer.status, answer.issue[1]) == (502, "fhir-upstream-invalid")


@pytest.mark.parametrize("answer", [reply(500, b""), reply(200, b"<html>"), reply(404, b"")])
async def test_an_answer_does_not_fail_because_its_patient_cannot_be_written_down_by_name(
    answer: bytes, server: BadServer, here: Gateway
):
    Lying(server, **{"Observation/a": observation("a", "Patient/ann"), "Patient/ann": answer})
    assert (await here.world.get("Observation/a", token=here.world.token())).status == 200
    (entry,) = here.world.entries()
    assert entry["outcome"] == "ok"
    assert "c_patient" in entry


async def test_an_answer_about_many_people_costs_few_questions(server: BadServer, here: Gateway):
    lying = Lying(server)
    ids = [f"p{number}" for number in range(50)]
    lying.answers["Observation/_search"] = lying.page(
        *(observation(f"o-{id_}", f"Patient/{id_}") for id_ in ids)
    )
    query = {"patient": ",".join(ids)}
    found = await here.world.get("Observation", query, token=here.world.token())
    assert len(found.ids) == 50
    assert len([asked for asked in server.asked if "/Patient/" in asked.target]) == 20


# --- pages ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "link",
    [
        "https://elsewhere.example/fhir?page=2",
        "http://localhost/fhir?page=2",
        "{base}x/Observation?page=2",
        "{base}/../admin?page=2",
        "{base}/%2e%2e/admin?page=2",
        "{base}@elsewhere.example/x",
        "{base}//elsewhere.example/x",
        "{base}/Observation?page=2#x",
        "{base}/Observation?page= 2",
        "{base}/Observation?page=\\u00e9",
        "/fhir?page=2",
        "{base}?page=" + "x" * 3000,
        "{base}?page=" + "x" * 9000,
    ],
)
async def test_a_link_that_leads_elsewhere_is_not_followed(
    link: str, server: BadServer, here: Gateway
):
    lying = Lying(server)
    lying.answers["Observation/_search"] = lying.page(
        observation("a", "Patient/ann"), following=link.replace("{base}", server.base)
    )
    answer = await here.world.get("Observation", {"patient": "ann"}, token=here.world.token())
    assert (answer.status, answer.issue[1]) == (502, "fhir-upstream-invalid")
    assert b"elsewhere.example" not in answer.body


async def test_pages_without_an_end_end(server: BadServer, here: Gateway):
    lying = Lying(server)
    number = 0

    def answer(asked: Asked) -> bytes:
        nonlocal number
        if asked.target == "/fhir/metadata":
            return reply(200, lying.statement)
        number += 1
        return lying.page(following=f"{server.base}?page={number}")

    server.answer = answer
    found = await here.world.get("Observation", {"patient": "ann"}, token=here.world.token())
    assert (found.status, found.ids) == (200, [])
    assert number == 5  # then the client has to ask for more
    assert found.link("next") is not None


async def test_pages_in_a_circle_are_refused(server: BadServer, here: Gateway):
    lying = Lying(server)
    lying.everything = lying.page(following=f"{server.base}?page=1")
    answer = await here.world.get("Observation", {"patient": "ann"}, token=here.world.token())
    assert (answer.status, answer.issue[1]) == (502, "fhir-upstream-invalid")


async def test_a_page_that_is_gone_is_expired(server: BadServer, here: Gateway):
    lying = Lying(server)
    lying.answers["Observation/_search"] = lying.page(
        observation("a", "Patient/ann"), following=f"{server.base}?page=2"
    )
    token = here.world.token()
    first = await here.world.get("Observation", {"patient": "ann"}, token=token)
    gone = await here.world.get(first.link("next") or "", token=token)
    assert (gone.status, gone.issue[1]) == (410, "fhir-page-invalid")


async def test_what_upstream_left_out_is_said_without_its_words(server: BadServer, here: Gateway):
    lying = Lying(server)
    outcome = {
        "resourceType": "OperationOutcome",
        "issue": [{"severity": "warning", "code": "processing", "diagnostics": CANARY}],
    }
    lying.answers["Observation/_search"] = lying.page(observation("a", "Patient/ann"), outcome)
    found = await here.world.get("Observation", {"patient": "ann"}, token=here.world.token())
    (said,) = found.resources("outcome")
    assert said["issue"][0]["code"] == "incomplete"
    assert CANARY.encode() not in found.body


# --- answers that are none --------------------------------------------------------------------


async def slowly(writer: asyncio.StreamWriter) -> None:
    writer.write(reply(200, b"")[:-4])
    await writer.drain()
    await asyncio.sleep(30)


def cut_off(writer: asyncio.StreamWriter) -> Any:
    whole = reply(200, dumps(patient("ann", text={"div": "x" * 1000})))
    writer.write(whole[:-500])
    return writer.drain()


BOMB = gzip.compress(b"{" + b" " * 50_000_000 + b"}", 1)
HTML = f"<html><body>{CANARY}</body></html>".encode()
PHI = dumps({"resourceType": "OperationOutcome", "issue": [{"diagnostics": CANARY}]})

BAD_ANSWERS = {
    "html": (reply(200, HTML, kind="text/html"), 502, "invalid"),
    "html said to be json": (reply(200, HTML), 502, "invalid"),
    "no type": (reply(200, b"{}", kind=""), 502, "invalid"),
    "xml": (reply(200, b"<Patient/>", kind="application/fhir+xml"), 502, "invalid"),
    "error with patient data": (reply(500, PHI), 502, "failed"),
    "bad gateway": (reply(502, HTML, kind="text/html"), 502, "failed"),
    "unauthorized": (reply(401, PHI), 502, "refused"),
    "forbidden": (reply(403, PHI), 502, "refused"),
    "busy": (reply(429, PHI), 503, "busy"),
    "unavailable": (reply(503, PHI), 503, "busy"),
    "redirect": (reply(302, b"", location="https://elsewhere.example/"), 502, "invalid"),
    "odd status": (reply(418, b""), 502, "invalid"),
    "created": (reply(201, b"{}"), 502, "invalid"),
    "no content": (reply(204, b""), 502, "invalid"),
    "bomb": (reply(200, BOMB, content_encoding="gzip"), 502, "invalid"),
    "too large": (reply(200, b'{"x":"' + b"x" * 300_000 + b'"}'), 502, "invalid"),
    "not zipped": (reply(200, b"{}", content_encoding="gzip"), 502, "invalid"),
    "unknown coding": (reply(200, b"{}", content_encoding="br"), 502, "invalid"),
    "cut off": (cut_off, 502, "invalid"),
    "slow": (slowly, 504, "slow"),
    "no http": (b"SSH-2.0-OpenSSH\r\n\r\n", 502, "invalid"),
    "nothing": (b"", 502, "unreachable"),
    "deep": (
        reply(200, b'{"resourceType":"Patient","id":"ann","x":' + b"[" * 9000),
        502,
        "invalid",
    ),
    "not utf-8": (reply(200, b'{"resourceType":"Patient","id":"\xff"}'), 502, "invalid"),
    "number": (reply(200, b"7"), 502, "invalid"),
    "long header": (reply(200, b"{}", x_long="x" * 20_000), 502, "invalid"),
}


@pytest.mark.parametrize("name", BAD_ANSWERS)
async def test_an_answer_that_is_none_is_refused_in_our_own_words(
    name: str, server: BadServer, here: Gateway, capsys
):
    answer, status, code = BAD_ANSWERS[name]
    lying = Lying(server)
    lying.everything = answer
    token = here.world.token()
    for asked in ("read", "search"):
        if asked == "read":
            got = await here.world.get("Patient/ann", token=token)
        else:
            got = await here.world.get("Patient", {"_id": "ann"}, token=token)
        assert (got.status, got.issue[1]) == (status, f"fhir-upstream-{code}"), asked
        OperationOutcome.model_validate_json(got.body)
        for secret in (CANARY, "elsewhere.example", server.base):
            assert secret.encode() not in got.body
    printed = capsys.readouterr()
    assert CANARY not in printed.out + printed.err
    for entry in here.world.entries():
        assert (entry["outcome"], entry["reason"]) == ("failed", f"fhir-upstream-{code}")
        assert CANARY not in json.dumps(entry)


async def test_a_search_that_upstream_refuses_is_the_clients_to_change(
    server: BadServer, here: Gateway
):
    lying = Lying(server)
    lying.answers["Observation/_search"] = reply(400, PHI)
    got = await here.world.get("Observation", {"patient": "ann"}, token=here.world.token())
    assert (got.status, got.issue[1]) == (400, "fhir-upstream-search")
    assert CANARY.encode() not in got.body


@pytest.mark.parametrize("name", ["bomb", "too large", "slow", "cut off"])
async def test_a_document_that_does_not_arrive_is_no_answer(
    name: str, server: BadServer, here: Gateway
):
    answer, _, code = BAD_ANSWERS[name]
    lying = Lying(server)
    lying.answers["Binary/x"] = answer
    got = await here.world.get("Binary/x", token=here.world.token(), accept="text/plain")
    assert got.issue[1] == f"fhir-upstream-{code}"


# --- what is sent -----------------------------------------------------------------------------


async def test_only_what_was_understood_is_sent(server: BadServer, here: Gateway):
    lying = Lying(server)
    lying.answers["Observation/_search"] = lying.page()
    query = [
        ("patient", "ann"), ("date", "ge2026"), ("unheard", CANARY), ("_elements", "id"),
        ("_count", "7"), ("_format", "json"),
    ]  # fmt: skip
    answer = await here.world.get("Observation", query, token=here.world.token())
    assert answer.status == 200
    sent = server.asked[-1]
    assert (sent.method, sent.target) == ("POST", "/fhir/Observation/_search")
    assert sent.body == b"patient=Patient%2Fann&date=ge2026&_count=7"
    assert sent.headers["content-type"] == "application/x-www-form-urlencoded"
    assert sent.headers["prefer"] == "handling=strict"
    assert "authorization" not in sent.headers


@pytest.mark.parametrize(
    "name", ["_has:Observation:patient:code", "patient.name", "_filter", "_query", "_text"]
)
async def test_chains_and_free_queries_never_reach_upstream(
    name: str, server: BadServer, here: Gateway
):
    Lying(server)
    answer = await here.world.get(
        "Observation", {"patient": "ann", name: "x"}, token=here.world.token()
    )
    assert answer.status == 400
    assert [asked.target for asked in server.asked] == ["/fhir/metadata"]


# --- the statement ----------------------------------------------------------------------------


async def test_without_a_statement_nothing_is_served_and_it_is_said_why(
    server: BadServer, here: Gateway
):
    Lying(server, metadata=reply(500, PHI))
    for path, token in (("metadata", None), ("Patient/ann", here.world.token())):
        got = await here.world.get(path, token=token)
        assert (got.status, got.issue[1]) == (502, "fhir-upstream-failed"), path
    assert len(server.asked) == 1  # the second did not ask again at once


async def test_the_statement_follows_upstreams(server: BadServer, us, them, tmp_path: Path):
    now = 0.0
    lying = Lying(server)
    async with gateway(
        server.base, Nobody(), us, them, tmp_path, limits=LIMITS, monotonic=lambda: now
    ) as here:
        whole = (await here.world.get("metadata")).json
        less = json.loads(lying.statement)
        less["rest"][0]["resource"] = [
            each for each in less["rest"][0]["resource"] if each["type"] != "Goal"
        ]
        lying.statement = dumps(less)
        assert (await here.world.get("metadata")).json == whole
        now = 301.0
        types = [r["type"] for r in (await here.world.get("metadata")).json["rest"][0]["resource"]]
        assert "Goal" not in types
        assert "Observation" in types
        got = await here.world.get("Goal/1", token=here.world.token())
        assert (got.status, got.issue[1]) == (404, "fhir-type-unknown")
        # while it does not answer, what it said last stays
        lying.answers["metadata"] = reply(500, b"")
        now = 900.0
        assert (await here.world.get("metadata")).status == 200
