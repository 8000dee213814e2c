"""Documents on their way through the service and its client: whole, or not at all."""

from __future__ import annotations

import hashlib
from contextlib import aclosing
from datetime import UTC, datetime

import pytest

from node.clock import SystemClock
from node.errors import AnswerError
from node.exchange.call_inbox import CallInbox
from node.exchange.initiate import LegEnded, LegStarted
from node.exchange.leg_runner import LegResult
from node.exchange.ports import PeerEntry
from node.model import (
    Code,
    Direction,
    DocumentRef,
    ExchangeId,
    HomeCommunityId,
    Leg,
    LegId,
    Outcome,
    Principal,
    ResponseStatus,
    RetrieveAnswer,
    RetrievedDocument,
    Transaction,
)
from node.peers.inbox import FileInbox
from node.policy.decide import Decision, Effect
from node.policy.purposes import purpose_register
from node.records.entries import Community
from node.rpc.client import RemoteInitiator
from node.rpc.server import CHUNK, ExchangeService, OwnOrganization
from protos.tefca_node.v1 import exchange_pb2 as pb

HOME = HomeCommunityId("urn:oid:2.999.7")
ROLE = Code(code="112247003", scheme="2.16.840.1.113883.6.96", display="Medical doctor")
COMMUNITY = Community(
    home_community_id=HOME, repository_unique_id="2.999.7.2", assigning_authority="2.999.7.1"
)
WHO = pb.Principal(subject_id="Dr Sample", user_id="sample@ehr.example", purpose="T-TRTMNT")
SIZES = (0, 10, CHUNK, CHUNK + 1, 2 * CHUNK)


def ref_of(number: int) -> DocumentRef:
    return DocumentRef(
        home_community_id=HOME, repository_unique_id="2.999.7.2", document_unique_id=f"1.{number}"
    )


def content(size: int) -> bytes:
    return bytes(number % 251 for number in range(size))


class FakeInitiator:
    """A peer that gives every document, through the inbox it is handed."""

    def __init__(self, sizes=SIZES):
        self.sizes = sizes

    def may_ask(self, principal, *, delivers=False):
        return Decision(effect=Effect.PERMIT, rules=())

    async def retrieve(self, principal, refs, inbox, *, seconds):
        documents = []
        for number, size in enumerate(self.sizes):
            incoming = await inbox.begin()
            await incoming.write(content(size))
            token, length, sha256 = await incoming.finish()
            documents.append(
                RetrievedDocument(
                    ref=ref_of(number),
                    mime_type="text/xml",
                    size=length,
                    sha256=sha256,
                    token=token,
                )
            )
        entry = PeerEntry(
            organization_id="o",
            home_community_id=HOME,
            name="Peer",
            active=True,
            initiates=frozenset(),
            responds={},
            addresses={},
        )
        yield LegStarted(entry=entry, transaction=Transaction.ITI_39)
        leg = Leg(
            leg_id=LegId("leg"),
            exchange_id=ExchangeId("exchange"),
            direction=Direction.INITIATING,
            transaction=Transaction.ITI_39,
            peer=entry.peer(Transaction.ITI_39),
            outcome=Outcome.OK,
            started=datetime(2026, 11, 1, tzinfo=UTC),
            duration_ms=1,
            documents=len(documents),
        )
        answer = RetrieveAnswer(status=ResponseStatus.SUCCESS, documents=tuple(documents))
        yield LegEnded(result=LegResult(leg=leg, entry=entry, answer=answer))


class Context:
    """What the service uses of gRPC's."""

    def time_remaining(self):
        return 30.0


@pytest.fixture
def inbox(tmp_path) -> FileInbox:
    return FileInbox(tmp_path / "spool", tmp_path / "shown")


def service(inbox: FileInbox, sizes=SIZES) -> ExchangeService:
    return ExchangeService(
        initiator=FakeInitiator(sizes),
        broker=None,  # no resource is asked for here
        clock=SystemClock(),
        inbox=inbox,
        own=OwnOrganization(organization="Own", organization_id="own", home_community_id=HOME),
        purposes=purpose_register(),
        default_role=ROLE,
        community=COMMUNITY,
    )


def request() -> pb.RetrieveRequest:
    message = pb.RetrieveRequest(principal=WHO)
    message.documents.add(
        home_community_id=HOME, repository_unique_id="2.999.7.2", document_unique_id="1.0"
    )
    return message


async def messages(inbox: FileInbox, sizes=SIZES) -> list[pb.Event]:
    return [message async for message in service(inbox, sizes).Retrieve(request(), Context())]


class FakeChannel:
    """A channel whose node sends what it is given."""

    def __init__(self, sent):
        self.sent = sent
        self.cancelled = False

    def unary_stream(self, *_, **__):
        return lambda request, timeout: self

    async def __aiter__(self):
        for message in self.sent:
            yield message

    def cancel(self):
        self.cancelled = True


async def taken(channel: FakeChannel, inbox: FileInbox) -> list:
    principal = Principal(
        subject_id="Dr Sample",
        user_id="sample",
        organization="Own",
        organization_id="own",
        home_community_id=HOME,
        role=ROLE,
        purpose=Code(code="T-TRTMNT", scheme="2.999"),
    )
    events = RemoteInitiator(channel, inbox).retrieve(principal, [ref_of(0)], inbox)
    async with aclosing(events):
        return [event async for event in events]


def left_in(tmp_path) -> list[str]:
    return [path.name for path in (tmp_path / "spool").iterdir()]


async def test_every_size_arrives_whole_in_chunks_and_nothing_stays(inbox, tmp_path):
    sent = await messages(inbox)
    assert left_in(tmp_path) == []
    chunks = [m.chunk for m in sent if m.WhichOneof("kind") == "chunk"]
    assert max(len(chunk.data) for chunk in chunks) == CHUNK
    assert sum(chunk.last for chunk in chunks) == len(SIZES)
    other = FileInbox(tmp_path / "client", tmp_path / "there")
    started, ended = await taken(FakeChannel(sent), other)
    assert isinstance(started, LegStarted)
    came = ended.result.answer.documents
    assert [d.ref for d in came] == [ref_of(number) for number in range(len(SIZES))]
    for document, size in zip(came, SIZES, strict=True):
        data = b"".join([chunk async for chunk in other.open(document.token)])
        assert data == content(size)
        assert document.sha256 == hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("seen", [1, 2, 3, 5])
async def test_a_caller_that_goes_away_leaves_no_document_with_the_node(inbox, tmp_path, seen):
    noted = CallInbox(inbox)
    events = FakeInitiator().retrieve(None, [], noted, seconds=None)
    async with aclosing(service(inbox)._stream(events, noted)) as stream:
        for _ in range(seen):
            await anext(stream)
        assert left_in(tmp_path)
    assert left_in(tmp_path) == []


async def test_a_document_other_than_announced_is_an_error_and_not_kept(inbox, tmp_path):
    sent = await messages(inbox, (10,))
    sent[-1].chunk.data = b"0123456789"
    channel = FakeChannel(sent)
    other = FileInbox(tmp_path / "spool", tmp_path / "there")
    with pytest.raises(AnswerError) as caught:
        await taken(channel, other)
    assert caught.value.code == "rpc-digest-differs"
    assert channel.cancelled
    assert left_in(tmp_path) == []


async def test_a_document_before_its_leg_is_an_error(inbox, tmp_path):
    sent = await messages(inbox, (10,))
    with pytest.raises(AnswerError) as caught:
        await taken(FakeChannel([sent[0], sent[-1]]), FileInbox(tmp_path / "c", tmp_path / "d"))
    assert caught.value.code == "rpc-out-of-order"


async def test_a_stream_that_breaks_off_is_an_error_and_leaves_nothing(inbox, tmp_path):
    sent = await messages(inbox, (10, 2 * CHUNK))
    other = FileInbox(tmp_path / "spool", tmp_path / "there")
    with pytest.raises(AnswerError) as caught:
        await taken(FakeChannel(sent[:-1]), other)
    assert caught.value.code == "rpc-out-of-order"
    assert left_in(tmp_path) == []
