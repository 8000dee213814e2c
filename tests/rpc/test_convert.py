"""What the messages of the service carry comes back as it was."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from node.exchange.initiate import LegEnded, LegStarted
from node.exchange.leg_runner import LegResult
from node.exchange.ports import PeerEntry
from node.exchange.questions import DocumentSearch
from node.model import (
    Address,
    Author,
    Availability,
    Code,
    Demographics,
    Direction,
    DiscoveryAnswer,
    DocumentEntry,
    DocumentRef,
    DocumentType,
    ExchangeId,
    HomeCommunityId,
    Leg,
    LegId,
    Match,
    MatchStatus,
    Outcome,
    PatientId,
    Peer,
    PersonName,
    QueryAnswer,
    RegistryError,
    ResponseStatus,
    RetrieveAnswer,
    RetrievedDocument,
    Severity,
    Telecom,
    Transaction,
)
from node.rpc import convert
from node.rpc.client import _search
from node.rpc.convert_back import to_ended, to_started
from protos.tefca_node.v1 import exchange_pb2 as pb

texts = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=20)


def maybe(strategy):
    return st.none() | strategy


def several(strategy):
    return st.lists(strategy, max_size=3).map(tuple)


codes = st.builds(Code, code=texts, scheme=texts, display=maybe(texts))
homes = st.integers(0, 10**9).map(lambda number: HomeCommunityId(f"urn:oid:2.999.{number}"))
patient_ids = st.builds(PatientId, assigning_authority=texts, id=texts)
names = st.builds(
    PersonName, family=maybe(texts), given=several(texts), prefix=maybe(texts), suffix=maybe(texts)
)
people = st.builds(
    Demographics,
    names=several(names),
    birth_date=maybe(texts),
    sex=maybe(st.sampled_from(("M", "F", "UN"))),
    addresses=several(
        st.builds(
            Address,
            lines=several(texts),
            city=maybe(texts),
            state=maybe(texts),
            postal_code=maybe(texts),
            country=maybe(texts),
        )
    ),
    telecoms=several(st.builds(Telecom, value=texts)),
    identifiers=several(patient_ids),
    mothers_maiden_name=maybe(names),
)
refs = st.builds(
    DocumentRef, home_community_id=homes, repository_unique_id=texts, document_unique_id=texts
)
matches = st.builds(
    Match,
    patient_id=patient_ids,
    home_community_id=homes,
    demographics=people,
    score=maybe(st.integers(0, 100)),
    organization_name=maybe(texts),
)
entries = st.builds(
    DocumentEntry,
    entry_uuid=texts,
    unique_id=texts,
    repository_unique_id=texts,
    home_community_id=maybe(homes),
    patient_id=maybe(patient_ids),
    type=st.sampled_from(DocumentType),
    status=st.sampled_from(Availability),
    mime_type=texts,
    class_code=maybe(codes),
    type_code=maybe(codes),
    format_code=maybe(codes),
    confidentiality=several(codes),
    authors=several(
        st.builds(
            Author,
            person=maybe(texts),
            institutions=several(texts),
            roles=several(texts),
            specialties=several(texts),
        )
    ),
    title=maybe(texts),
    language=maybe(texts),
    creation_time=maybe(texts),
    service_start=maybe(texts),
    service_stop=maybe(texts),
    hash=maybe(texts),
    size=maybe(st.integers(0, 2**62)),
)
errors = st.builds(
    RegistryError,
    code=texts,
    context=st.just("") | texts,
    severity=st.sampled_from(Severity),
    location=maybe(texts),
)
received = st.builds(
    RetrievedDocument,
    ref=refs,
    mime_type=texts,
    size=st.integers(0, 2**40),
    sha256=texts,
    token=texts,
)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
instants = st.timedeltas(timedelta(0), timedelta(days=80_000)).map(lambda gone: EPOCH + gone)


@st.composite
def legs(draw, transaction: Transaction) -> Leg:
    return Leg(
        leg_id=LegId(draw(texts)),
        exchange_id=ExchangeId(draw(texts)),
        direction=Direction.INITIATING,
        transaction=transaction,
        peer=Peer(organization_id=draw(texts), home_community_id=draw(homes), name=draw(texts)),
        outcome=draw(st.sampled_from(Outcome)),
        started=draw(instants),
        duration_ms=draw(st.integers(0, 2**40)),
        reason=draw(maybe(texts)),
        sentence=draw(maybe(texts)),
        errors=draw(several(errors)),
    )


def entry_of(leg: Leg) -> PeerEntry:
    return PeerEntry(
        organization_id=leg.peer.organization_id,
        home_community_id=leg.peer.home_community_id,
        name=leg.peer.name,
        active=True,
        initiates=frozenset(),
        responds={},
        addresses={},
    )


def there_and_back(leg: Leg, answer, documents=()) -> LegResult:
    event = LegEnded(result=LegResult(leg=leg, entry=entry_of(leg), answer=answer))
    wire = convert.from_ended(event).SerializeToString()
    return to_ended(pb.Event.FromString(wire).ended, documents).result


@given(people)
def test_a_person(person):
    assert convert.to_demographics(convert.from_demographics(person)) == person


@given(
    st.builds(
        DocumentSearch,
        since=maybe(texts),
        until=maybe(texts),
        on_demand=st.booleans(),
        deprecated=st.booleans(),
    )
)
def test_a_search(search):
    assert convert.to_search(_search(search)) == search


@given(refs)
def test_the_ids_of_a_document(ref):
    assert convert.to_ref(convert.from_ref(ref)) == ref


@given(legs(Transaction.ITI_55), several(matches))
def test_a_discovery_that_ended(leg, found):
    status = MatchStatus.OK if found else MatchStatus.NF
    answer = DiscoveryAnswer(status=status, matches=found)
    assert there_and_back(leg, answer) == LegResult(leg=leg, entry=entry_of(leg), answer=answer)


@given(legs(Transaction.ITI_38), several(entries))
def test_a_query_that_ended(leg, found):
    leg = replace(leg, documents=len(found))
    result = there_and_back(leg, QueryAnswer(documents=found, errors=leg.errors))
    assert result.leg == leg
    assert result.answer.documents == found
    assert result.answer.errors == leg.errors


@given(legs(Transaction.ITI_39), several(received))
def test_a_retrieve_that_ended_and_its_documents(leg, documents):
    leg = replace(leg, documents=len(documents))
    answer = RetrieveAnswer(status=ResponseStatus.SUCCESS, documents=documents, errors=leg.errors)
    result = there_and_back(leg, answer, documents)
    assert result.leg == leg
    assert result.answer.documents == documents


@given(st.sampled_from(Transaction), st.data())
def test_a_leg_that_got_no_answer_keeps_its_outcome_and_reason(transaction, data):
    leg = data.draw(legs(transaction))
    assert there_and_back(leg, None).leg == leg


@given(st.sampled_from(Transaction), st.data())
def test_a_leg_that_begins(transaction, data):
    entry = entry_of(data.draw(legs(transaction)))
    event = LegStarted(entry=entry, transaction=transaction)
    assert to_started(convert.from_started(event).started) == event


def test_every_outcome_has_its_word_on_the_wire():
    words = {name.removeprefix("OUTCOME_") for name in pb.Outcome.keys()}  # noqa: SIM118
    assert words - {"UNSPECIFIED"} == {outcome.name for outcome in Outcome}
