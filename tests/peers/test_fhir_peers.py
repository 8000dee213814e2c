"""FHIR servers of peers over real TLS, good ones and bad ones: each ends as what it is."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs

import pytest
from sim.clock import START, SimClock
from sim.network import ALICE, OWN, PURPOSE, SimDirectory, SimLedger, entry, principal

from node.errors import OurFault, TheirFault
from node.exchange.fhir_broker import BrokerLimits, FhirBroker, is_ended, is_located
from node.exchange.fhir_gather import GatherLimits
from node.exchange.fhir_legs import FhirLegs
from node.exchange.fhir_match import MATCH_GRADE
from node.exchange.fhir_merge import PeerAnswer
from node.exchange.fhir_peer_ports import FhirEndpoint
from node.exchange.fhir_question import parse_question
from node.exchange.leg_runner import LegRunner, Patience
from node.exchange.network_ports import KnownAt
from node.gateway.server import serving
from node.model import Interaction, PatientId
from node.peers.fhir_client import FhirClient, page_url
from node.peers.pool import open_pool
from node.peers.udap.answers import AccessToken
from node.policy.purposes import purpose_register

FHIR_JSON = "application/fhir+json"
QUESTION = parse_question("Observation?category=laboratory", now=START)
PEER = replace(entry(2), responds={}, addresses={})
Answering = Callable[["Asked"], Awaitable["Reply"]]


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as the server saw it."""

    method: str
    path: str
    query: str
    token: str
    form: dict[str, list[str]]
    body: bytes
    base: str
    number: int


@dataclass(frozen=True, slots=True)
class Reply:
    """What it answers."""

    body: Any
    status: int = 200
    media: str = FHIR_JSON
    headers: dict[str, str] = field(default_factory=dict)
    cut: bool = False
    endless: bool = False

    @property
    def octets(self) -> bytes:
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


def lab(id_: str) -> dict[str, Any]:
    return {"resourceType": "Observation", "id": id_, "subject": {"reference": "Patient/p1"}}


def bundle(*resources: Any, following: str | None = None) -> dict[str, Any]:
    return {
        "resourceType": "Bundle",
        "type": "searchset",
        "link": [{"relation": "next", "url": following}] if following else [],
        "entry": [{"resource": each, "search": {"mode": "match"}} for each in resources],
    }


class FhirServer:
    """A FHIR server whose answers a test makes; remembers what it was asked."""

    def __init__(self, answering: Answering) -> None:
        self.answering = answering
        self.asked: list[Asked] = []
        self.base = ""

    async def __call__(self, scope, receive, send) -> None:
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        headers = dict(scope["headers"])
        asked = Asked(
            scope["method"],
            scope["path"],
            scope["query_string"].decode(),
            headers.get(b"authorization", b"").decode().removeprefix("Bearer "),
            parse_qs(body.decode()) if b"form" in headers.get(b"content-type", b"") else {},
            body,
            self.base,
            len(self.asked),
        )
        self.asked.append(asked)
        reply = await self.answering(asked)
        sent = {"content-type": reply.media, **reply.headers}
        await send(
            {
                "type": "http.response.start",
                "status": reply.status,
                "headers": [(k.encode(), v.encode()) for k, v in sent.items()],
            }
        )
        if reply.endless:
            gone = asyncio.create_task(receive())
            while not gone.done():
                await send({"type": "http.response.body", "body": reply.octets, "more_body": True})
                await asyncio.sleep(0.01)
            return
        await send({"type": "http.response.body", "body": reply.octets, "more_body": reply.cut})
        if reply.cut:
            raise RuntimeError("the server dies in the middle of its answer")


class Access:
    """Implements ``FhirAccess`` with tokens that are given out at once."""

    def __init__(self, base: str) -> None:
        self.base = base
        self.tokens = 0
        self.dropped: list[str] = []

    def endpoint(self, entry) -> FhirEndpoint | None:
        at = FhirEndpoint(base_url=self.base, responds=frozenset([PURPOSE.code]))
        return at if entry.organization_id == PEER.organization_id else None

    def communities(self):
        return [PEER]

    def server(self, entry):
        return SimpleNamespace(base_url=self.base)

    async def access(self, entry, principal) -> AccessToken:
        return AccessToken(
            value=f"token-{self.tokens}",
            scope="system/*.rs",
            expires=START + timedelta(hours=1),
            client_id="c",
        )

    def refused(self, token: AccessToken) -> None:
        self.dropped.append(token.value)
        self.tokens += 1


@dataclass(slots=True)
class World:
    """A broker of ours and one peer's server."""

    broker: FhirBroker
    ledger: SimLedger
    server: FhirServer
    access: Access

    async def search(self, **options: Any) -> PeerAnswer:
        known = KnownAt(home_community_id=PEER.home_community_id, fhir_id="p1")
        events = self.broker.search(principal(), [known], QUESTION, **options)
        (ended,) = [e.answer async for e in events if is_ended(e)]
        return ended

    @property
    def legs(self) -> list[tuple[str, str, str | None]]:
        found = [r.leg for r in self.ledger.records]
        return [(str(leg.transaction), str(leg.outcome), leg.reason) for leg in found]


@asynccontextmanager
async def world(us, them, answering: Answering, *, seconds=20.0, bound=True, **limits: Any):
    server = FhirServer(answering)
    async with serving(server, "127.0.0.1", 0, us.server) as (_, port):
        server.base = f"https://localhost:{port}/fhir"
        access = Access(server.base)
        ledger, clock = SimLedger(), SimClock(real_seconds=True)
        directory = SimDirectory(PEER)
        async with open_pool(them.client) as session:
            client = FhirClient(
                session=session,
                access=access,
                judge_server=lambda _peer, _certificates: SimpleNamespace(
                    ok=bound, method="pinned", decision=None, sentence="no", reason_code="x"
                ),
                clock=clock,
                max_bytes=200_000,
                document_bytes=300_000,
            )
            runner = LegRunner(
                own=OWN,
                own_initiates=lambda: frozenset([PURPOSE.code]),
                ledger=ledger,
                directory=directory,
                clock=clock,
                purposes=purpose_register(),
                patience=Patience(
                    seconds=dict.fromkeys(
                        (Interaction.SEARCH, Interaction.MATCH, Interaction.READ), seconds
                    ),
                    pause=0.01,
                ),
            )
            yield World(
                FhirBroker(
                    legs=FhirLegs(runner=runner, peers=client),
                    peers=client,
                    initiator=None,  # type: ignore[arg-type]  # nobody is discovered here
                    directory=directory,
                    clock=clock,
                    limits=BrokerLimits(gather=GatherLimits(**limits)),
                ),
                ledger,
                server,
                access,
            )


def always(body: Any, **more: Any) -> Answering:
    async def answer(_asked: Asked) -> Reply:
        return Reply(body, **more)

    return answer


# --- good ones --------------------------------------------------------------------------------


async def test_a_search_is_a_post_and_its_pages_are_followed(us, them):
    async def answer(asked: Asked) -> Reply:
        if asked.query == "":
            return Reply(bundle(lab("a"), following=f"{asked.base}?page=2"))
        return Reply(bundle(lab("b")))

    async with world(us, them, answer) as there:
        ended = await there.search()
    assert [e.full_url.rpartition("/")[2] for e in ended.entries] == ["a", "b"]
    assert there.legs == [("FHIR-SEARCH", "ok", None)] * 2
    first, second = there.server.asked
    assert (first.method, first.path, first.query) == ("POST", "/fhir/Observation/_search", "")
    assert first.form == {"patient": ["p1"], "category": ["laboratory"], "_count": ["200"]}
    assert (second.method, second.query) == ("GET", "page=2")
    record = there.ledger.records[0]
    assert (record.binding, record.purpose) == ("pinned", PURPOSE.code)
    assert record.private.docs[0]["id"] == "Observation/a"


async def test_a_gzipped_answer_of_a_server_without_a_media_type_is_taken_and_counted(us, them):
    packed = gzip.compress(json.dumps(bundle(lab("a"))).encode())
    answer = always(packed, media="text/plain", headers={"content-encoding": "gzip"})
    async with world(us, them, answer) as there:
        assert (await there.search()).outcome == "ok"
    assert there.ledger.records[0].deviations == ("answer-media-type", "full-url-other")


async def test_a_token_that_is_not_taken_any_more_is_replaced_once(us, them):
    async def answer(asked: Asked) -> Reply:
        good = asked.token == "token-1"
        return Reply(bundle(lab("a"))) if good else Reply({}, status=401)

    async with world(us, them, answer) as there:
        assert (await there.search()).outcome == "ok"
    assert there.legs == [
        ("FHIR-SEARCH", "failed", "fhir-peer-token"),
        ("FHIR-SEARCH", "ok", None),
    ]
    assert there.access.dropped == ["token-0"]


async def test_a_server_that_never_takes_a_token_is_asked_twice_and_not_for_ever(us, them):
    async with world(us, them, always({}, status=401)) as there:
        assert (await there.search()).reason == "fhir-peer-token"
    assert len(there.server.asked) == 2


# --- who the person is ------------------------------------------------------------------------

PERSON = {
    "resourceType": "Patient",
    "id": "p1",
    "identifier": [{"system": "urn:oid:2.999.4", "value": "MRN|7"}],
    "name": [{"family": "Canary-Newman", "given": ["Alice"]}],
    "birthDate": "1970-05-01",
}


def knowing(by_identifier: Any, by_match: Any = None) -> Answering:
    async def answer(asked: Asked) -> Reply:
        found = by_match if asked.path.endswith("$match") else by_identifier
        return found if isinstance(found, Reply) else Reply(bundle(*found))

    return answer


async def located(there: World, known: KnownAt, **more: Any):
    events = [e async for e in there.broker.locate(principal(), ALICE, [known], **more)]
    return [e.known for e in events if is_located(e)], [e.answer for e in events if is_ended(e)]


BY_ID = KnownAt(
    home_community_id=PEER.home_community_id,
    patient_id=PatientId(assigning_authority="2.999.4", id="MRN|7"),
)
OTHER = {**PERSON, "id": "p2"}


async def test_a_person_is_found_by_the_identifier_that_discovery_gave(us, them):
    async with world(us, them, knowing([PERSON])) as there:
        (known,), ended = await located(there, BY_ID)
    assert (known.fhir_id, ended) == ("p1", [])
    assert known.demographics is not None
    assert known.demographics.birth_date == "19700501"
    assert there.server.asked[0].form == {"identifier": ["urn:oid:2.999.4|MRN\\|7"]}
    assert "MRN" not in there.server.asked[0].path + there.server.asked[0].query


@pytest.mark.parametrize(
    "by_identifier",
    [[], [PERSON, OTHER], [{**PERSON, "identifier": []}], Reply({}, status=400)],
    ids=["none", "two", "without the identifier", "refused"],
)
async def test_who_is_not_found_by_identifier_is_matched_by_certainty_alone(
    us, them, by_identifier
):
    async with world(us, them, knowing(by_identifier, [PERSON])) as there:
        (known,), _ = await located(there, BY_ID)
    assert known.fhir_id == "p1"
    asked = json.loads(there.server.asked[-1].body)
    assert asked["parameter"][1:] == [
        {"name": "onlyCertainMatches", "valueBoolean": True},
        {"name": "count", "valueInteger": 1},
    ]
    assert asked["parameter"][0]["resource"]["birthDate"] == "1970-05-01"


async def test_several_that_fit_are_nobody(us, them):
    async with world(us, them, knowing([], [PERSON, OTHER])) as there:
        found, (ended,) = await located(there, BY_ID)
    assert found == []
    assert (ended.outcome, ended.reason) == ("partial", "fhir-peer-ambiguous")


@pytest.mark.parametrize(("grade", "found"), [("certain", ["p1"]), ("probable", [])])
async def test_a_match_that_its_server_does_not_call_certain_is_not_used(us, them, grade, found):
    graded = {"url": MATCH_GRADE, "valueCode": grade}
    made = {"resource": PERSON, "search": {"extension": [graded], "mode": "match", "score": 0.9}}
    answer = {"resourceType": "Bundle", "type": "searchset", "entry": [made]}
    async with world(us, them, knowing([], Reply(answer))) as there:
        known, ended = await located(there, BY_ID)
    assert [each.fhir_id for each in known] == found
    assert [each.reason for each in ended] == ([] if found else ["fhir-peer-ambiguous"])


async def test_a_community_with_a_fhir_server_alone_is_matched(us, them):
    async with world(us, them, knowing([], [PERSON])) as there:
        events = [e async for e in there.broker.locate(principal(), ALICE)]
    assert [e.known.fhir_id for e in events if is_located(e)] == ["p1"]
    assert there.legs == [("FHIR-MATCH", "ok", None)]


async def test_a_peer_that_is_down_is_not_asked_a_second_way(us, them):
    async with world(us, them, knowing(Reply({}, status=503), [PERSON])) as there:
        found, (ended,) = await located(there, BY_ID)
    assert found == []
    assert (ended.outcome, ended.reason) == ("failed", "fhir-peer-failed")
    assert not any(asked.path.endswith("$match") for asked in there.server.asked)


async def test_a_community_without_a_fhir_server_is_said(us, them):
    async with world(us, them, knowing([])) as there:
        elsewhere = KnownAt(home_community_id=entry(3).home_community_id, fhir_id="x")
        events = [e async for e in there.broker.search(principal(), [elsewhere], QUESTION)]
    (ended,) = [e.answer for e in events if is_ended(e)]
    assert (ended.outcome, ended.reason) == ("failed", "fhir-endpoint-missing")


# --- bad ones ---------------------------------------------------------------------------------

ERROR = {
    "resourceType": "OperationOutcome",
    "issue": [{"severity": "error", "code": "too-costly", "diagnostics": "Zephyrine Quillwater"}],
}
AWAY = {"location": "https://e.org/fhir"}
BOMB = gzip.compress(b" " * 50_000_000, 1)


@pytest.mark.parametrize(
    ("answer", "outcome", "reason"),
    [
        (always(b"<html>", media="text/html"), "failed", "fhir-peer-format"),
        (always(b"<Bundle/>", media="application/fhir+xml"), "failed", "fhir-peer-format"),
        (always(b"{"), "failed", "fhir-malformed"),
        (always(ERROR), "failed", "fhir-not-a-bundle"),
        (always(ERROR, status=400), "failed", "fhir-peer-refused"),
        (always(b"<html>", status=404, media="text/html"), "failed", "fhir-peer-refused"),
        (always({}, status=403), "declined", "fhir-peer-forbidden"),
        (always({}, status=429), "failed", "fhir-peer-throttled"),
        (always(b"", status=500), "failed", "fhir-peer-failed"),
        (always(b"", status=302, headers=AWAY), "failed", "answer-redirected"),
        (always(b"", status=202), "failed", "answer-asynchronous"),
        (always(b" " * 300_000), "failed", "message-too-large"),
        (always(BOMB, headers={"content-encoding": "gzip"}), "failed", "message-too-large"),
        (always(b"x", headers={"content-encoding": "br"}), "failed", "content-coding-unsupported"),
        (always(b'{"resourceType":"Bundle"', cut=True), "failed", "reset"),
    ],
)  # fmt: skip
async def test_a_bad_answer_ends_the_peer_as_what_it_is(us, them, answer, outcome, reason):
    async with world(us, them, answer) as there:
        ended = await there.search()
    assert (ended.outcome, ended.reason, ended.entries) == (outcome, reason, ())
    assert there.legs[-1] == ("FHIR-SEARCH", outcome, reason)
    # what the peer writes about a person stays out of sentences
    assert "Zephyrine" not in repr(ended)


async def test_the_issue_code_of_a_refusal_is_repeated(us, them):
    async with world(us, them, always(ERROR, status=400)) as there:
        ended = await there.search()
    assert ended.sentence == (
        "The peer refused the request with status 400 and the issue code too-costly."
    )


async def test_a_slow_peer_ends_at_its_time(us, them):
    async def answer(_asked: Asked) -> Reply:
        await asyncio.sleep(3)
        return Reply(bundle())

    async with world(us, them, answer, seconds=0.5) as there:
        ended = await there.search()
    assert (ended.outcome, ended.reason) == ("timed-out", "timeout")


async def test_endless_pages_are_cut(us, them):
    async def answer(asked: Asked) -> Reply:
        following = f"{asked.base}/Observation?page={asked.number}"
        return Reply(bundle(lab(f"o{asked.number}"), following=following))

    async with world(us, them, answer, pages=3) as there:
        ended = await there.search()
    assert (ended.outcome, len(ended.entries), ended.cut) == (
        "partial",
        3,
        "it has more than 3 pages.",
    )


async def test_pages_in_a_circle_are_cut(us, them):
    async def answer(asked: Asked) -> Reply:
        return Reply(bundle(lab(f"o{asked.number}"), following=f"{asked.base}?again"))

    async with world(us, them, answer) as there:
        ended = await there.search()
    assert ended.cut == "its pages lead in a circle."
    assert len(ended.entries) == 2


@pytest.mark.parametrize(
    ("limits", "taken"), [({"entries_per_peer": 2}, 2), ({"entries": 3}, 3), ({"octets": 1}, 1)]
)
async def test_more_than_the_limit_is_not_taken(us, them, limits, taken):
    answer = always(bundle(*(lab(f"o{n}") for n in range(5))))
    async with world(us, them, answer, **limits) as there:
        ended = await there.search()
    assert (ended.outcome, len(ended.entries)) == ("partial", taken)
    assert ended.cut == f"only the first {taken} entries were taken."


async def test_a_page_that_fails_leaves_the_ones_before_it(us, them):
    async def answer(asked: Asked) -> Reply:
        if asked.query:
            return Reply(b"", status=500)
        return Reply(bundle(lab("a"), following=f"{asked.base}?page=2"))

    async with world(us, them, answer) as there:
        ended = await there.search()
    assert (ended.outcome, ended.reason, len(ended.entries)) == ("partial", "fhir-peer-failed", 1)


async def test_a_server_that_is_not_the_peers_gets_nothing(us, them):
    async with world(us, them, always(bundle()), bound=False) as there:
        ended = await there.search()
        assert there.server.asked == []
    assert ended.reason == "peer-not-bound"


async def test_what_could_not_be_entered_is_not_used(us, them):
    async with world(us, them, always(bundle(lab("a")))) as there:
        there.ledger.fails = OurFault("internal-error", "The disk is full.")
        with pytest.raises(OurFault):
            await there.search()


@pytest.mark.parametrize(
    "link",
    [
        "https://evil.example/fhir?page=2",
        "http://peer.example/fhir?page=2",
        "https://peer.example:8443/fhir?page=2",
        "https://peer.example/other?page=2",
        "https://peer.example/fhirother?page=2",
        "https://peer.example/fhir/../other",
        "https://peer.example/fhir/%2e%2e/other",
        "https://a:b@peer.example/fhir?page=2",
        "https://peer.example/fhir?page=" + "2" * 9000,
        "//evil.example/fhir",
        "javascript:alert(1)",
        "https://[::1/fhir",
    ],
)
def test_a_link_that_leads_away_is_not_followed(link):
    with pytest.raises(TheirFault) as caught:
        page_url("https://peer.example/fhir", link)
    assert caught.value.code == "fhir-link-elsewhere"


@pytest.mark.parametrize(
    ("link", "url"),
    [
        ("https://peer.example/fhir?page=2", "https://peer.example/fhir?page=2"),
        ("https://peer.example:443/fhir/Observation?p=%2F", "https://peer.example/fhir/Observation?p=%2F"),
        ("/fhir/Observation?page=2", "https://peer.example/fhir/Observation?page=2"),
    ],
)  # fmt: skip
def test_a_link_below_the_base_address_is_followed_as_it_is_written(link, url):
    assert str(page_url("https://peer.example/fhir", link)) == url
