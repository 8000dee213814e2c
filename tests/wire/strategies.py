"""Hypothesis strategies for the values that the codecs of node.wire carry."""

from __future__ import annotations

from hypothesis import strategies as st

from node.model import (
    Address,
    Author,
    Availability,
    Code,
    Demographics,
    DiscoveryAnswer,
    DocumentEntry,
    DocumentRef,
    DocumentType,
    HomeCommunityId,
    Match,
    MatchStatus,
    ObjectRef,
    PatientId,
    PatientQuery,
    PersonName,
    QueryAnswer,
    RegistryError,
    ResponseStatus,
    ReturnType,
    Severity,
    StoredQuery,
    Telecom,
)
from node.wire.hl7v3 import InstanceId
from node.wire.retrieve import DocumentPart
from node.wire.stored_query_catalogue import catalogue
from node.wire.xcpd_message import DiscoveryRequest

_CHARACTERS = st.characters(
    codec="utf-8", exclude_categories=("Cc", "Cs"), exclude_characters="\ufffe\uffff"
)


def texts(max_size: int = 30) -> st.SearchStrategy[str]:
    """Words that XML can carry, without white space around them."""
    return st.text(_CHARACTERS, min_size=1, max_size=max_size).map(str.strip).filter(bool)


def maybe(strategy: st.SearchStrategy) -> st.SearchStrategy:
    return st.none() | strategy


def several(strategy: st.SearchStrategy, max_size: int = 3) -> st.SearchStrategy[tuple]:
    return st.lists(strategy, max_size=max_size).map(tuple)


oids = st.lists(st.integers(0, 99999), min_size=1, max_size=6).map(
    lambda arcs: ".".join(["2", "16", *map(str, arcs)])
)
homes = oids.map(lambda oid: HomeCommunityId(f"urn:oid:{oid}"))
uuids = st.uuids().map(lambda value: value.urn)
dates = st.dates().filter(lambda day: day.year >= 1800).map(lambda day: day.strftime("%Y%m%d"))
precise_dates = st.tuples(dates, st.sampled_from((4, 6, 8))).map(lambda pair: pair[0][: pair[1]])
times = st.tuples(dates, st.sampled_from(("", "10", "1005", "100559"))).map("".join)
full_times = dates.map(lambda day: f"{day}235958")
instance_ids = st.builds(InstanceId, root=oids | st.uuids().map(str), extension=maybe(texts()))

patient_ids = st.builds(PatientId, assigning_authority=oids, id=texts(20))
names = st.builds(
    PersonName,
    family=maybe(texts()),
    given=several(texts()),
    prefix=maybe(texts()),
    suffix=maybe(texts()),
    use=maybe(st.sampled_from(("L", "SRCH", "L P"))),
).filter(lambda name: bool(name.family or name.given or name.prefix or name.suffix))
addresses = st.builds(
    Address,
    lines=several(texts()),
    city=maybe(texts()),
    state=maybe(texts()),
    postal_code=maybe(texts()),
    country=maybe(texts()),
    use=maybe(st.sampled_from(("HP", "WP"))),
).filter(lambda a: bool(a.lines or a.city or a.state or a.postal_code or a.country))
telecoms = st.builds(Telecom, value=texts(), use=maybe(st.sampled_from(("HP", "MC"))))
demographics = st.builds(
    Demographics,
    names=several(names),
    birth_date=maybe(precise_dates),
    sex=maybe(st.sampled_from(("M", "F", "UN"))),
    addresses=several(addresses),
    telecoms=several(telecoms),
    identifiers=several(patient_ids),
    mothers_maiden_name=maybe(names),
    birth_place=maybe(addresses),
)


def _sendable(held: Demographics) -> bool:
    return bool(held.identifiers or (held.names and held.birth_date))


@st.composite
def discovery_requests(draw: st.DrawFn) -> DiscoveryRequest:
    receiver = draw(maybe(homes))
    deferred = draw(st.booleans())
    return DiscoveryRequest(
        message_id=draw(instance_ids),
        query_id=draw(instance_ids),
        creation_time=draw(full_times),
        sender_device=draw(oids),
        sender=draw(homes),
        receiver_device=draw(oids),
        receiver=receiver,
        query=PatientQuery(
            demographics=draw(demographics.filter(_sendable)),
            target=receiver,
            minimum_degree_match=draw(maybe(st.integers(0, 100))),
        ),
        priority="D" if deferred else "I",
        respond_to="https://initiator.example/deferred" if deferred else None,
        author_assigning_authority=draw(maybe(oids)),
        processing_code=draw(st.sampled_from("PTD")),
    )


@st.composite
def matches(draw: st.DrawFn) -> Match:
    patient_id = draw(patient_ids)
    return Match(
        patient_id=patient_id,
        home_community_id=draw(homes),
        demographics=draw(demographics.filter(lambda held: patient_id not in held.identifiers)),
        score=draw(maybe(st.integers(0, 100))),
        organization_name=draw(texts()),
    )


ASKS = (
    "LivingSubjectAdministrativeGenderRequested",
    "PatientAddressRequested",
    "PatientTelecomRequested",
    "MothersMaidenNameRequested",
)
discovery_answers = st.one_of(
    st.lists(matches(), min_size=1, max_size=3).map(
        lambda found: DiscoveryAnswer(status=MatchStatus.OK, matches=tuple(found))
    ),
    st.lists(st.sampled_from(ASKS), min_size=1, unique=True).map(
        lambda asks: DiscoveryAnswer(status=MatchStatus.OK, asks=tuple(asks))
    ),
    st.just(DiscoveryAnswer(status=MatchStatus.NF)),
    st.builds(
        DiscoveryAnswer,
        status=st.just(MatchStatus.AE),
        problem=st.builds(Code, code=texts(), scheme=oids, display=maybe(texts())),
        problem_text=maybe(texts()),
    ),
    st.builds(
        DiscoveryAnswer,
        status=st.just(MatchStatus.QE),
        problem=st.builds(Code, code=texts(), scheme=st.just("2.16.840.1.113883.5.1100")),
        problem_text=maybe(texts()),
    ),
)

codes = st.builds(Code, code=texts(), scheme=texts(), display=maybe(texts()))
authors = st.builds(
    Author,
    person=maybe(texts()),
    institutions=several(texts()),
    roles=several(texts()),
    specialties=several(texts()),
    telecoms=several(texts()),
).filter(lambda author: author != Author())
hashes = st.integers(1, 16**40 - 1).map(lambda value: f"{value:040x}")
uris = st.from_regex(r"https://[a-z]{1,20}\.example/[a-zA-Z0-9]{0,300}", fullmatch=True)
extra_slots = st.dictionaries(
    texts(15).map(lambda name: f"urn:x:{name}"),
    st.lists(texts(), min_size=1, max_size=3).map(tuple),
    max_size=2,
).map(lambda slots: tuple(slots.items()))
document_entries = st.builds(
    DocumentEntry,
    entry_uuid=uuids,
    unique_id=texts(),
    repository_unique_id=oids,
    home_community_id=homes,
    patient_id=maybe(patient_ids),
    type=st.sampled_from(DocumentType),
    status=st.sampled_from(Availability),
    mime_type=texts(),
    class_code=maybe(codes),
    type_code=maybe(codes),
    format_code=maybe(codes),
    confidentiality=several(codes),
    facility_type=maybe(codes),
    practice_setting=maybe(codes),
    event_codes=several(codes),
    authors=several(authors, max_size=2),
    title=maybe(texts()),
    comments=maybe(texts()),
    language=maybe(texts()),
    creation_time=maybe(times),
    service_start=maybe(times),
    service_stop=maybe(times),
    hash=maybe(hashes),
    size=maybe(st.integers(1, 10**12)),
    source_patient_id=maybe(patient_ids),
    source_patient_info=several(texts()),
    legal_authenticator=maybe(texts()),
    uri=maybe(uris),
    document_availability=maybe(texts()),
    reference_ids=several(texts()),
    logical_id=maybe(uuids),
    version=maybe(texts()),
    extra_slots=extra_slots,
)

_VALUES = {
    "patient": st.builds(lambda oid: f"p'1^^^&{oid}&ISO", oids),
    "text": texts(60),
    "code": st.builds(lambda code, oid: f"{code}^^{oid}", texts(20), oids),
    "time": times,
    "number": st.integers(0, 10**6).map(str),
}


@st.composite
def _occurrences(draw: st.DrawFn) -> tuple[str, tuple[str, ...]]:
    known = catalogue().parameters
    name = draw(st.sampled_from(sorted(known)) | texts(20).map(lambda word: f"$x{word}"))
    kind = known[name].kind if name in known else "text"
    return name, draw(several(_VALUES[kind], max_size=12))


stored_queries = st.builds(
    StoredQuery,
    id=st.sampled_from(sorted(catalogue().queries)) | uuids,
    parameters=several(_occurrences(), max_size=6),
    return_type=st.sampled_from(ReturnType),
    home=maybe(homes),
)

registry_errors = st.builds(
    RegistryError,
    code=st.sampled_from(("XDSRegistryError", "XDSTooManyResults")) | texts(),
    context=st.just("") | texts(),
    severity=st.sampled_from(Severity),
    location=homes,
)


def _fitting_status(
    draw: st.DrawFn, errors: tuple[RegistryError, ...], *, has_data: bool
) -> ResponseStatus:
    """A status that content does not contradict."""
    choices = [ResponseStatus.PARTIAL_SUCCESS]
    if not any(error.severity is Severity.ERROR for error in errors):
        choices.append(ResponseStatus.SUCCESS)
    if errors and not has_data:
        choices.append(ResponseStatus.FAILURE)
    return draw(st.sampled_from(choices))


@st.composite
def query_answers(draw: st.DrawFn) -> QueryAnswer:
    documents = draw(several(document_entries, max_size=2))
    refs = draw(several(st.builds(ObjectRef, id=uuids, home_community_id=homes)))
    errors = draw(several(registry_errors))
    return QueryAnswer(
        status=_fitting_status(draw, errors, has_data=bool(documents or refs)),
        documents=documents,
        refs=refs,
        errors=errors,
    )


document_refs = st.builds(
    DocumentRef,
    home_community_id=homes,
    repository_unique_id=oids,
    document_unique_id=texts(),
)
document_parts = st.builds(
    DocumentPart,
    ref=document_refs,
    mime_type=texts(),
    content_id=texts(),
    new_repository_unique_id=maybe(oids),
    new_document_unique_id=maybe(texts()),
)


@st.composite
def retrieve_answers(
    draw: st.DrawFn,
) -> tuple[ResponseStatus, tuple[DocumentPart, ...], tuple[RegistryError, ...]]:
    parts = draw(several(document_parts))
    errors = draw(several(registry_errors))
    return _fitting_status(draw, errors, has_data=bool(parts)), parts, errors
