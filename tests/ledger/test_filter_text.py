"""One grammar for filters: what is typed, what is read aloud, what stands in an address."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.errors import OurFault
from node.ledger.filter import LedgerFilter, Term
from node.ledger.filter_text import (
    WITHHELD,
    conditions,
    format_filter,
    from_query,
    parse_filter,
    sentence,
    to_query,
)
from node.ledger.private import LedgerKey
from node.ledger.qualifiers import MAX_VALUES, QUALIFIERS, TIMES
from node.model import Direction, Outcome, PatientId
from tests.ledger.records import PATIENT, USER

KEY = LedgerKey(b"\x07" * 32)
NOW = datetime(2026, 11, 27, 12, 0, tzinfo=UTC)


def test_qualifiers_read_as_the_options_of_one_filter() -> None:
    text = "peer:2.999.2 since:24h outcome:declined,failed reason:peer-suspended direction:in"
    assert parse_filter(text) == LedgerFilter(
        peer="urn:oid:2.999.2",
        since=timedelta(hours=24),
        outcome=(Outcome.DECLINED, Outcome.FAILED),
        reason="peer-suspended",
        direction=Direction.RESPONDING,
    )
    assert parse_filter("") == parse_filter("  ") == LedgerFilter()
    assert parse_filter("outcome:ok outcome:partial") == parse_filter("outcome:partial,ok,ok")
    assert parse_filter("hcid:2.999.2 DIR:out") == parse_filter("direction:initiating peer:2.999.2")


def test_an_excluded_value_leaves_the_others_of_its_closed_set() -> None:
    assert parse_filter("-outcome:ok").outcome == Term(none_of=("ok",))
    assert parse_filter("-mark:not-sent").mark == Term(none_of=("not-sent",))
    assert parse_filter("outcome:ok,failed -outcome:ok") == parse_filter("outcome:failed")
    for text in ("outcome:ok -outcome:ok", f"-outcome:{','.join(Outcome)}", "-peer:2.999.2"):
        with pytest.raises(OurFault) as caught:
            parse_filter(text)
        assert caught.value.code == "filter-unreadable"


def test_values_with_spaces_commas_and_quotation_marks_are_quoted() -> None:
    odd = 'a "b", c\\d'
    chosen = LedgerFilter(user=(odd, "plain"), message_id="x y")
    text = format_filter(chosen)
    assert text == r'message:"x y" user:"a \"b\", c\\d",plain'
    assert parse_filter(text) == chosen


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("peeer:2.999.2", "did you mean peer?"),
        ("outcome:declind", "did you mean declined?"),
        ("transaction:ITI-99", "There are: ITI-55, ITI-38, ITI-39,"),
        ("act:anchor-ad", "did you mean anchor-add?"),
        ("timeout", '"timeout" is no qualifier'),
        ("peer:2.999.2 Jane", "Word 2 is no qualifier"),
        ("peer:2.999.2 Canaryson:Jane", "There is no qualifier"),
        ("peer:nowhere", "peer: "),
        ("patient:Canaryson", "patient: "),
        ("exchange:7", "UUID"),
        ("relates-to:7", "urn:uuid"),
        ("case:7", "2026-0143"),
        ("-case:2026-0001", "excluded"),
        ("reason:1234", "reason: "),
        ("mark:Jane", "mark: "),
        ("since:yesterday", "2026-11-01"),
        ("since:24h since:7d", "since has one value"),
        ("-since:24h", "since has one value"),
        ("since:1h,2h", "since has one value"),
        ("outcome:", "one value or more"),
        ("outcome:ok,", "one value or more"),
        ("outcome:,ok", "one value or more"),
        ('user:"abc', "without its end"),
        ('user:"abc"d', "one value or more"),
        (f"peer:{','.join(f'2.999.{n}' for n in range(MAX_VALUES + 1))}", "more than 20 values"),
        ("user:" + "x" * 513, "1 to 512 characters"),
        ("user:x " * 2000, "at most 8192"),
    ],
)
def test_what_is_not_understood_is_named_with_the_nearest_that_would_be(
    text: str, told: str
) -> None:
    with pytest.raises(OurFault) as caught:
        parse_filter(text)
    assert caught.value.code == "filter-unreadable"
    assert told in caught.value.sentence
    assert "Canaryson" not in caught.value.sentence or "qualifier" in caught.value.sentence


TEXT = st.text(alphabet='ab "\\,:;~-^&\n\u00e9\U0001f600', min_size=1, max_size=20)
OPEN = {
    "peer": st.integers(0, 10**6).map(lambda n: f"urn:oid:2.999.{n}"),
    "purpose": st.sampled_from(["T-TRTMNT", "T-IAS", "T-PYMNT"]),
    "reason": st.sampled_from(["timeout", "peer-suspended", "a.b:c"]),
    "mark": st.sampled_from(["tls-problem", "fault-soap-1.1"]),
    "exchange": st.uuids().map(str),
    "case": st.integers(1, 10**6).map(lambda n: f"2026-{n:04}"),
    "message": st.uuids().map(lambda u: f"urn:uuid:{u}") | TEXT,
    "relates-to": st.uuids().map(lambda u: f"urn:uuid:{u}"),
    "patient": TEXT.filter(str.strip).map(
        lambda i: PatientId(assigning_authority="2.999.7", id=i.strip())
    ),
    "user": TEXT,
    "document": TEXT,
}
MOMENTS = (
    st.datetimes(
        min_value=datetime(1990, 1, 1),  # noqa: DTZ001 - the zone comes beside
        max_value=datetime(2100, 1, 1),  # noqa: DTZ001
        timezones=st.just(UTC),
    )
    | st.integers(1, 90_000).map(lambda n: timedelta(minutes=n))
    | st.integers(1, 400).map(lambda n: timedelta(days=n))
)


@st.composite
def filters(draw: st.DrawFn) -> LedgerFilter:
    given_: dict[str, object] = {}
    for name in draw(st.sets(st.sampled_from(sorted({*QUALIFIERS, *TIMES})), max_size=6)):
        if name in TIMES:
            given_[name] = draw(MOMENTS)
            continue
        row = QUALIFIERS[name]
        values = st.sampled_from(row.values) if row.values else OPEN[name]
        some = tuple(draw(st.lists(values, min_size=1, max_size=3)))
        excluded = bool(row.excluding) and draw(st.booleans()) and len(set(some)) < len(row.values)
        given_[row.field] = Term(none_of=some) if excluded else some  # type: ignore[arg-type]
    return LedgerFilter(**given_)  # type: ignore[arg-type]


@given(filters())
def test_what_is_formatted_parses_to_the_same_filter(chosen: LedgerFilter) -> None:
    text = format_filter(chosen)
    assert parse_filter(text) == chosen
    assert format_filter(parse_filter(text)) == text


@given(filters())
def test_an_address_holds_the_filter_with_tokens_in_place_of_persons(chosen: LedgerFilter) -> None:
    tokenized = chosen.tokenized(KEY)
    assert not tokenized.needs_key
    assert from_query(to_query(tokenized)) == tokenized
    if chosen.needs_key:
        with pytest.raises(OurFault) as caught:
            to_query(chosen)
        assert caught.value.code == "filter-personal"
    else:
        assert tokenized == chosen


@given(filters())
def test_a_filter_at_a_time_has_instants_and_stays(chosen: LedgerFilter) -> None:
    fixed = chosen.at(NOW)
    assert fixed.at(NOW + timedelta(days=1)) == fixed
    assert not isinstance(fixed.since, timedelta)
    if isinstance(chosen.since, timedelta):
        assert fixed.since == NOW - chosen.since


def test_nothing_about_a_person_is_in_an_address() -> None:
    chosen = LedgerFilter(patient=PATIENT, user=USER, peer="2.999.2")
    query = to_query(chosen.tokenized(KEY))
    assert "anary" not in query.lower()
    assert query.startswith("peer=urn:oid:2.999.2&patient=~")
    assert from_query("peer=&outcome=ok") == LedgerFilter(outcome="ok")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "All entries."),
        ("since:24h", "The entries of the last 24 hours."),
        ("since:1d", "The entries of the last 24 hours."),
        ("since:1h", "The entries of the last hour."),
        ("since:2w until:90m", "The entries of the last 14 days, begun more than 90 minutes ago."),
        (
            "peer:2.999.2 since:2026-11-01",
            "The entries begun at or after 2026-11-01 UTC, with the peer urn:oid:2.999.2.",
        ),
        (
            "outcome:failed,ok dir:in purpose:T-IAS",
            "The entries that ended ok or failed, where we were responding, for the purpose T-IAS.",
        ),
        (
            "-outcome:ok,ok-empty -kind:heartbeat",
            "The entries not of the kind heartbeat, that did not end ok or ok-empty.",
        ),
        ("user:a,b", f"The entries of the user {WITHHELD}."),
    ],
)
def test_a_sentence_says_what_is_chosen(text: str, said: str) -> None:
    assert sentence(parse_filter(text)) == said


@given(filters())
def test_a_sentence_and_the_conditions_never_repeat_what_is_about_a_person(
    chosen: LedgerFilter,
) -> None:
    told, private = sentence(chosen), sentence(chosen, private=True)
    assert (WITHHELD in told) == chosen.needs_key
    assert told.startswith(("The entries ", "All entries"))
    for text in conditions(chosen, private=True).values():
        assert all(value in f"{private}{text}" for value in text.split(","))
    assert (WITHHELD in "".join(conditions(chosen).values())) == chosen.needs_key
