"""Two statements side by side: every class by itself, and the merge against a slow reference."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.errors import LogError
from node.ledger.differences import SKEW_LIMIT, Difference, compare, meanings
from node.ledger.statement import Row, Side, Window

WINDOW = Window(day=date(2026, 11, 26))
NOON = WINDOW.first + 43_200_000


def row(n: int = 1, side: Side = Side.ASKED, t: int = NOON, outcome: str = "ok", **more) -> Row:
    return Row(token=bytes([n]) * 16, side=side, t=t, outcome=outcome, **more)


def served(**changes) -> Row:
    return row(side=Side.SERVED, **changes)


def classes(ours: list[Row], theirs: list[Row]) -> list[Difference]:
    return [each.difference for each in compare(ours, theirs, WINDOW)]


X, Y = b"x" * 16, b"y" * 16


@pytest.mark.parametrize(
    ("ours", "theirs", "expected"),
    [
        ([row()], [served()], ["agree"]),
        ([served()], [row()], ["agree"]),
        ([row(outcome="none")], [], ["unanswered"]),
        ([], [row(outcome="none")], ["unanswered"]),
        ([row(outcome="none")], [served()], ["lost"]),
        ([row(outcome="none")], [served(outcome="none")], ["lost"]),
        ([row()], [], ["omitted-there"]),
        ([], [row()], ["omitted-here"]),
        ([served()], [], ["unasked-there"]),
        ([], [served()], ["unasked-here"]),
        ([row()], [served(outcome="ok-empty")], ["outcome"]),
        ([row()], [served(outcome="none")], ["outcome"]),
        ([row(outcome="failed")], [served(outcome="declined")], ["agree"]),
        ([row(outcome="failed")], [served(outcome="ok")], ["outcome"]),
        ([row(request=X)], [served(request=Y)], ["digest"]),
        ([row(response=X)], [served(response=Y)], ["digest"]),
        ([row(request=X)], [served()], ["agree"]),
        ([row(outcome="none", response=X)], [served(response=Y)], ["lost"]),
        ([row(t=NOON + SKEW_LIMIT)], [served()], ["agree"]),
        ([row(t=NOON + SKEW_LIMIT + 1)], [served()], ["time"]),
        ([row(t=NOON - SKEW_LIMIT - 1)], [served()], ["time"]),
        (
            [row(request=X, t=NOON + 121_000)],
            [served(request=Y, outcome="failed")],
            ["outcome", "digest", "time"],
        ),
    ],
)
def test_each_class(ours, theirs, expected) -> None:
    assert classes(ours, theirs) == [Difference(name) for name in expected]


def test_an_exchange_at_the_edge_counts_in_one_window_only() -> None:
    """By our clock it is in this day, by the peer's in the next, and the other way round."""
    late, early = WINDOW.last - 1000, WINDOW.last + 1000
    following = Window(day=date(2026, 11, 27))
    for ours, theirs, here in ((late, early, True), (early, late, False)):
        both = [row(t=ours)], [served(t=theirs)]
        counts = [len(list(compare(*both, window))) for window in (WINDOW, following)]
        assert counts == [int(here), int(not here)]
    # one that only one side has counts by that side's clock
    assert classes([row(t=early)], []) == classes([], [row(t=early)]) == []
    assert classes([], [row(t=late)]) == [Difference.OMITTED_HERE]


def test_a_peer_that_claims_our_part_is_refused() -> None:
    with pytest.raises(LogError) as refused:
        classes([row()], [row()])
    assert refused.value.code == "log-statement-invalid"


def test_every_class_has_its_meaning_and_only_agreement_and_silence_need_no_review() -> None:
    reviewed = {each for each, meaning in meanings().items() if meaning.review}
    assert set(Difference) - reviewed == {
        Difference.AGREE, Difference.UNANSWERED, Difference.LOST,
    }  # fmt: skip
    assert all(meaning.sentence.endswith(".") and meaning.next for meaning in meanings().values())


exchanges = st.dictionaries(
    st.integers(1, 40),
    st.tuples(
        st.sampled_from(["both", "ours", "theirs"]),
        st.booleans(),
        st.sampled_from([WINDOW.first - 1000, WINDOW.first, NOON, WINDOW.last - 1, WINDOW.last]),
        st.integers(-130_000, 130_000),
        st.sampled_from(["ok", "ok-empty", "none"]),
        st.sampled_from(["ok", "failed", "none"]),
        st.sampled_from([None, X, Y]),
    ),
    max_size=15,
)


def expected_of(mine: Row | None, their: Row | None) -> list[str]:
    """The classes of one exchange, by the words of the facts."""
    if mine is None or their is None:
        here, only = mine is not None, mine or their
        if only.side is Side.SERVED:
            return ["unasked-there" if here else "unasked-here"]
        if only.outcome == "none":
            return ["unanswered"]
        return ["omitted-there" if here else "omitted-here"]
    asked, answer = (mine, their) if mine.side is Side.ASKED else (their, mine)
    outcomes = {asked.outcome, answer.outcome}
    differ = asked.outcome != "none" and len(outcomes) > 1 and outcomes != {"declined", "failed"}
    requests = {mine.request, their.request}
    found = [
        name
        for name, is_so in (
            ("outcome", differ),
            ("digest", None not in requests and len(requests) > 1),
            ("time", abs(mine.t - their.t) > 120_000),
        )
        if is_so
    ]
    return found or ["agree" if asked.outcome != "none" else "lost"]


@settings(max_examples=300)
@given(exchanges)
def test_the_merge_finds_what_a_look_up_of_every_token_finds(world) -> None:
    ours, theirs = {}, {}
    for n, (where, we_ask, t, skew, outcome, other, digest) in world.items():
        mine, their = (Side.ASKED, Side.SERVED) if we_ask else (Side.SERVED, Side.ASKED)
        if where != "theirs":
            ours[n] = row(n, mine, t, outcome, request=X)
        if where != "ours":
            theirs[n] = row(n, their, t + skew, other, request=digest)
    expected: Counter[str] = Counter()
    for n in ours.keys() | theirs.keys():
        mine, their = ours.get(n), theirs.get(n)
        if WINDOW.first <= (mine or their).t < WINDOW.last:
            expected.update(expected_of(mine, their))
    ordered = [sorted(side.values(), key=lambda r: r.token) for side in (ours, theirs)]
    found = Counter(each.difference.value for each in compare(*ordered, WINDOW))
    assert found == expected


def test_comparing_again_from_the_other_side_gives_the_mirror_image() -> None:
    mirrored = {
        "omitted-there": "omitted-here", "omitted-here": "omitted-there",
        "unasked-there": "unasked-here", "unasked-here": "unasked-there",
    }  # fmt: skip
    ours = [row(1), row(2, Side.SERVED), row(3, outcome="none"), row(5)]
    theirs = [row(4, Side.SERVED), replace(row(5, Side.SERVED), outcome="failed"), row(6)]
    here, there = classes(ours, theirs), classes(theirs, ours)
    assert [mirrored.get(each, each) for each in here] == there
