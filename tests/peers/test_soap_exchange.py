"""The client against the real gateway over real TLS: the three transactions end to end."""

from __future__ import annotations

import asyncio
import hashlib
import tracemalloc
from dataclasses import replace

import pytest
from soap_world import (
    OUR_HCID,
    THEIR_HCID,
    asking,
    not_durable,
    ref,
    running,
    sha256_of,
    their_facts,
)

from node.errors import AnswerError, NetworkFault, TheirFault
from node.exchange.ports import Asker, Trace
from node.exchange.private import of_principal
from node.model import (
    Code,
    Demographics,
    DiscoveryAnswer,
    MatchStatus,
    PatientQuery,
    PersonName,
    ResponseStatus,
    StoredQuery,
    Transaction,
)
from node.peers.inbox import FileInbox
from tests.ias_world import id_token

MIB = 1024 * 1024
FIND_DOCUMENTS = StoredQuery(
    id="urn:uuid:14d4debf-8f97-4251-9a74-a90016b0af0d",
    parameters=(
        ("$XDSDocumentEntryPatientId", ("alice-1^^^&1.3.6.1.4.1.99999.1.1&ISO",)),
        ("$XDSDocumentEntryStatus", ("urn:oasis:names:tc:ebxml-regrep:StatusType:Approved",)),
    ),
)


def person(family: str = "Newman") -> PatientQuery:
    return PatientQuery(
        demographics=Demographics(
            names=(PersonName(family=family, given=("Alice",)),), birth_date="19700501", sex="F"
        )
    )


@pytest.fixture
def inbox(tmp_path) -> FileInbox:
    return FileInbox(tmp_path / "spool", tmp_path / "shown")


async def test_discovery_finds_a_patient_and_both_sides_see_the_same_digests(us, them):
    trace = Trace()
    async with running(us, them) as world, asking(world) as peers:
        call = world.call()
        answer = await peers.discover(world.peer(Transaction.ITI_55), person(), call, trace)
    assert answer.status is MatchStatus.OK
    assert answer.matches[0].patient_id.id == "alice-1"
    assert answer.matches[0].home_community_id == OUR_HCID
    ((inbound, wire),) = world.responding.entries
    assert isinstance(inbound.asker, Asker)
    assert inbound.asker.principal == world.principal
    assert inbound.asker.binding == "pinned"
    assert inbound.asker.assertion_id == trace.evidence.assertion_id
    assert inbound.message_id == call.message_id == trace.evidence.relates_to
    assert inbound.peer_key == them.pin
    assert trace.evidence.peer_key == us.pin
    assert inbound.request_digest == trace.evidence.request_digest
    assert hashlib.sha256(wire).digest() == trace.evidence.response_digest
    assert inbound.deviations == ()
    assert trace.evidence.deviations == ()


async def test_nobody_found_is_an_answer(us, them):
    async with running(us, them) as world, asking(world) as peers:
        answer = await peers.discover(
            world.peer(Transaction.ITI_55), person("Nobody"), world.call(), Trace()
        )
    assert answer.status is MatchStatus.NF


async def test_a_refusal_in_the_transactions_own_form_is_a_value(us, them):
    declined = DiscoveryAnswer(
        status=MatchStatus.AE,
        problem=Code(code="AnswerNotAvailable", scheme="1.3.6.1.4.1.19376.1.2.27.3"),
    )
    async with running(us, them) as world, asking(world) as peers:
        world.responding.discovery = declined
        answer = await peers.discover(
            world.peer(Transaction.ITI_55), person(), world.call(), Trace()
        )
    assert answer.status is MatchStatus.AE
    assert answer.problem is not None
    assert answer.problem.code == "AnswerNotAvailable"


async def test_query_then_retrieve_streams_the_documents_into_the_inbox(us, them, inbox):
    documents = [("1.2.3.1", 3), ("1.2.3.2", 300_000), ("1.2.3.3", 0)]
    async with running(us, them, documents=documents) as world, asking(world) as peers:
        found = await peers.find(
            world.peer(Transaction.ITI_38), FIND_DOCUMENTS, world.call(), Trace()
        )
        assert [d.unique_id for d in found.documents] == [name for name, _ in documents]
        trace = Trace()
        answer = await peers.retrieve(
            world.peer(Transaction.ITI_39),
            [d.ref for d in found.documents],
            world.call(),
            trace,
            inbox,
        )
    assert answer.status is ResponseStatus.SUCCESS
    assert [(d.ref.document_unique_id, d.size) for d in answer.documents] == documents
    assert [d.sha256 for d in answer.documents] == [sha256_of(size) for _, size in documents]
    assert trace.evidence.deviations == ()
    received = b"".join([c async for c in inbox.open(answer.documents[1].token)])
    assert hashlib.sha256(received).hexdigest() == sha256_of(300_000)


async def test_documents_of_unknown_size_travel_as_well(us, them, inbox):
    async with running(us, them, documents=[("1.2.3.1", 200_000)]) as world, asking(world) as peers:
        world.responding.sizes_known = False
        answer = await peers.retrieve(
            world.peer(Transaction.ITI_39), [ref("1.2.3.1")], world.call(), Trace(), inbox
        )
    assert answer.documents[0].sha256 == sha256_of(200_000)


async def test_law_7_twenty_megabytes_stream_both_ways_in_bounded_memory(us, them, inbox):
    size = 20 * MIB
    async with running(us, them, documents=[("1.2.3.1", size)]) as world, asking(world) as peers:
        tracemalloc.start()
        try:
            answer = await peers.retrieve(
                world.peer(Transaction.ITI_39), [ref("1.2.3.1")], world.call(), Trace(), inbox
            )
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert answer.documents[0].sha256 == sha256_of(size)
    assert peak < 8 * MIB, f"both sides together held {peak} bytes"


async def test_every_attempt_is_signed_anew(us, them):
    traces = [Trace(), Trace()]
    async with running(us, them) as world, asking(world) as peers:
        call = world.call()
        for trace in traces:
            await peers.discover(world.peer(Transaction.ITI_55), person(), call, trace)
    assert len({trace.evidence.assertion_id for trace in traces}) == 2


async def test_an_unknown_peer_gets_a_fault_and_an_entry_with_the_reason(us, them, identities):
    trace = Trace()
    async with running(us, them) as world, asking(world) as peers:
        world.facts.entries.clear()
        with pytest.raises(AnswerError) as raised:
            await peers.discover(world.peer(Transaction.ITI_55), person(), world.call(), trace)
    assert raised.value.code == "peer-refused-identity"
    assert world.responding.reasons == ["unknown-peer"]
    assert trace.evidence.response_digest is not None


async def test_the_department_that_asks_must_lie_under_its_community(us, them):
    async with running(us, them) as world, asking(world) as peers:
        for organization, reason in (
            ("them-lab", None),
            ("elsewhere", "organization-elsewhere"),
            ("nowhere", "unknown-organization"),
        ):
            call = world.call(principal=replace(world.principal, organization_id=organization))
            if reason is None:
                await peers.discover(world.peer(Transaction.ITI_55), person(), call, Trace())
                continue
            with pytest.raises(AnswerError):
                await peers.discover(world.peer(Transaction.ITI_55), person(), call, Trace())
    assert world.responding.reasons == ["organization-elsewhere", "unknown-organization"]
    asker = world.responding.entries[0][0].asker
    assert isinstance(asker, Asker)
    assert asker.entry.organization_id == "them"
    assert asker.principal.organization_id == "them-lab"


async def test_law_1_without_a_durable_entry_no_answer_leaves(us, them):
    async with running(us, them) as world, asking(world) as peers:
        world.responding.broken = not_durable()
        with pytest.raises(AnswerError) as raised:
            await peers.discover(world.peer(Transaction.ITI_55), person(), world.call(), Trace())
    assert raised.value.code == "soap-fault"


async def test_a_crash_of_ours_is_a_receiver_fault_without_its_text(us, them):
    async with running(us, them) as world, asking(world) as peers:
        world.responding.broken = KeyError("Newman, Alice")
        with pytest.raises(AnswerError) as raised:
            await peers.discover(world.peer(Transaction.ITI_55), person(), world.call(), Trace())
    assert "Alice" not in str(raised.value)
    assert "Receiver" in str(raised.value)


async def test_a_server_that_is_not_the_peer_gets_nothing(us, them):
    def strangers(_peer, _certificates):
        raise TheirFault("peer-not-bound", "Not theirs.")

    async with running(us, them) as world, asking(world, judge_server=strangers) as peers:
        trace = Trace()
        with pytest.raises(TheirFault) as raised:
            await peers.discover(world.peer(Transaction.ITI_55), person(), world.call(), trace)
    assert raised.value.code == "peer-not-bound"
    assert trace.evidence.peer_key == us.pin
    assert world.responding.entries == []


async def test_cancelling_ends_the_request_and_leaves_nothing_in_the_inbox(
    us, them, inbox, tmp_path
):
    async with (
        running(us, them, documents=[("1.2.3.1", 400 * MIB)]) as world,
        asking(world) as peers,
    ):
        task = asyncio.create_task(
            peers.retrieve(
                world.peer(Transaction.ITI_39), [ref("1.2.3.1")], world.call(), Trace(), inbox
            )
        )
        async with asyncio.timeout(10):
            while not any((tmp_path / "spool").iterdir()):  # noqa: ASYNC110 - waits for a file
                await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert list((tmp_path / "spool").iterdir()) == []


async def test_a_document_over_the_limit_is_a_clear_error_and_gone(us, them, tmp_path):
    small = FileInbox(tmp_path / "spool", tmp_path / "shown", max_bytes=1000)
    async with running(us, them, documents=[("1.2.3.1", 5000)]) as world, asking(world) as peers:
        with pytest.raises(TheirFault) as raised:
            await peers.retrieve(
                world.peer(Transaction.ITI_39), [ref("1.2.3.1")], world.call(), Trace(), small
            )
    assert raised.value.code == "document-too-large"
    assert list((tmp_path / "spool").iterdir()) == []


async def test_a_peer_that_is_late_is_a_timeout(us, them):
    async with running(us, them) as world, asking(world) as peers:

        async def never(*_args):
            await asyncio.sleep(30)

        world.responding.discover = never
        with pytest.raises(NetworkFault) as raised:
            await peers.discover(
                world.peer(Transaction.ITI_55), person(), world.call(timeout=0.3), Trace()
            )
    assert raised.value.code == "timeout"


async def test_unpinned_peers_are_bound_by_anchor_and_name_where_allowed(us, them):
    facts = their_facts(them, pinned=False, host="them.example")
    async with running(us, them, facts=facts, allow_unpinned=True) as world, asking(world) as peers:
        await peers.discover(world.peer(Transaction.ITI_55), person(), world.call(), Trace())
    asker = world.responding.entries[0][0].asker
    assert isinstance(asker, Asker)
    assert asker.binding == "anchor+name"
    async with running(us, them, facts=facts) as world, asking(world) as peers:
        with pytest.raises(AnswerError):
            await peers.discover(world.peer(Transaction.ITI_55), person(), world.call(), Trace())
    assert world.responding.reasons == ["peer-not-pinned"]
    assert world.responding.entries[0][0].claimed.home_community_id == THEIR_HCID


async def test_an_individuals_id_token_goes_with_every_question(us, them, inbox):
    """Tefca 4.4, 8.1: in PD, DQ and DR, as an attribute of the assertion."""
    token = id_token()
    async with running(us, them) as world, asking(world) as peers:

        def call():
            made = world.call()
            return replace(made, principal=replace(made.principal, id_token=token))

        for_discovery = world.peer(Transaction.ITI_55)
        await peers.discover(for_discovery, person(), call(), Trace())
        await peers.find(world.peer(Transaction.ITI_38), FIND_DOCUMENTS, call(), Trace())
        await peers.retrieve(world.peer(Transaction.ITI_39), [ref("doc-1")], call(), Trace(), inbox)
    askers = [inbound.asker for inbound, _ in world.responding.entries]
    assert len(askers) == 3
    for asker in askers:
        assert isinstance(asker, Asker)
        assert asker.principal.id_token == token
        assert token not in repr(asker)
        assert token not in str(of_principal(asker.principal))
