"""Each detector on rows that it must flag, rows it must not, and rows at its limits (6.6, 11.2)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pytest

from node.governance.detectors.catalogue import detectors, treatment, unfed
from node.governance.detectors.identity import is_npi
from node.governance.detectors.model import (
    DAY,
    HOUR,
    MINUTE,
    About,
    File,
    Finding,
    Flagged,
    Persons,
    Question,
    Seen,
    p95,
)

NOW = 20_780 * DAY + 15 * HOUR
ABOUT = About(now=NOW, treatment=treatment())
LISTS_NONE = replace(ABOUT, declared=frozenset())
Rows = list[Seen]


def seen(seq: int, **more: object) -> Seen:
    """A discovery that a peer asked us, one minute for each number."""
    made = Seen(
        seq=seq,
        t=NOW - DAY + seq * MINUTE,
        exchange=f"x{seq}",
        direction="responding",
        txn="ITI-55",
        outcome="ok",
        purpose="T-TRTMNT",
        people=frozenset({f"p{seq}"}),
        user="u1",
        question=Question(strong=1, state="WI"),
    )
    return replace(made, **more)  # type: ignore[arg-type]


def several(count: int, first: int = 0, **more: object) -> Rows:
    return [seen(first + number, **more) for number in range(count)]


def ours(count: int, first: int = 0, **more: object) -> Rows:
    return several(count, first, **{"direction": "initiating", **more})


def retrieves(count: int, first: int = 500, docs: int = 1, **more: object) -> Rows:
    return several(count, first, **{"txn": "ITI-39", "docs": docs, "question": None, **more})


def ask(code: str, rows: Rows, about: About = ABOUT, **limits: float) -> list[Finding]:
    detector = detectors()[code]
    values = {name: limit.value for name, limit in detector.limits.items()}
    rows = sorted(rows, key=lambda row: (row.t, row.seq))
    found = detector.rule(rows, about, {**values, **limits})
    for each in found:  # a sentence for whatever is found, and entries behind it
        assert "{" not in detector.sentence(each).replace("{peer}", "").replace("{actor}", "")
        assert each.entries
        assert all(seq > about.flagged or code == "D15" for seq, _ in each.entries)
    return found


def usual_days(days: int, patients: int) -> Rows:
    """Days before today on which one of ours opened records of so many patients."""
    return [
        seen(10_000 * day + number, t=NOW - day * DAY, direction="initiating",
             people=frozenset({f"d{day}n{number}"}))
        for day in range(1, days + 1)
        for number in range(patients)
    ]  # fmt: skip


def today(patients: int, seq: int = 900_000, **more: object) -> Rows:
    return [
        seen(
            seq + n, **{"t": NOW, "direction": "initiating", "people": frozenset({f"t{n}"}), **more}
        )
        for n in range(patients)
    ]


def of_states(count: int, each: int = 10) -> Rows:
    return [
        seen(10 * state + n, question=Question(strong=1, state=f"S{state}"))
        for state in range(count)
        for n in range(each)
    ]


def numbered(*numbers: int) -> Rows:
    return [seen(n, question=Question(number=number)) for n, number in enumerate(numbers)]


def after_refusal(times: int, minutes: int = 10, purpose: str = "T-PYMNT") -> Rows:
    rows: Rows = []
    for n in range(times):
        person, t = frozenset({f"p{n}"}), NOW - DAY + n * HOUR
        rows.append(seen(2 * n, t=t, outcome="declined", people=person))
        rows.append(seen(2 * n + 1, t=t + minutes * MINUTE, people=person, purpose=purpose))
    return rows


def in_one_minute(patients: int, **more: object) -> Rows:
    return [seen(n, t=NOW - HOUR + n, **more) for n in range(patients)]


def same_patient(times: int, apart: int = MINUTE, **more: object) -> Rows:
    return [
        seen(n, t=NOW - 3 * DAY + n * apart, people=frozenset({"one"}), **more)
        for n in range(times)
    ]


def lists(count: int, *, dated: bool = False, docs: int = 2, first: int = 0) -> Rows:
    question = Question(dated=dated)
    return several(count, first, txn="ITI-38", question=question, docs=docs)


def gave(count: int, digest: str, size: int = 5000, person: str = "") -> Rows:
    return ours(
        count, txn="ITI-39", question=None, files=(File(digest=digest, size=size),),
        **({"people": frozenset({person})} if person else {}),
    )  # fmt: skip


YEAR = frozenset({"T-TRTMNT"})
CASES: tuple[tuple[str, str, Rows, About, int], ...] = (
    # D01: 20 usual days of 3 patients, so that 10 (the least) is also above twice the usual
    ("D01", "far above the usual", usual_days(20, 3) + today(10), ABOUT, 1),
    ("D01", "one below the least", usual_days(20, 3) + today(9), ABOUT, 0),
    ("D01", "twice the usual and no less", usual_days(20, 6) + today(12), ABOUT, 1),
    ("D01", "below twice the usual", usual_days(20, 6) + today(11), ABOUT, 0),
    ("D01", "too few days to compare with", usual_days(19, 3) + today(50), ABOUT, 0),
    ("D01", "nothing was opened", usual_days(20, 3) + today(50, outcome="ok-empty"), ABOUT, 0),
    ("D01", "all flagged before", usual_days(20, 3) + today(50), replace(ABOUT, flagged=10**6), 0),
    # D04
    ("D04", "three without care", today(3), replace(ABOUT, records=True), 1),
    ("D04", "two without care", today(2), replace(ABOUT, records=True), 0),
    ("D04", "care 30 days ago", today(9, cared=30), replace(ABOUT, records=True), 0),
    ("D04", "care 31 days ago", today(3, cared=31), replace(ABOUT, records=True), 1),
    ("D04", "no records to compare with", today(9), ABOUT, 0),
    # D08
    ("D08", "little asked, much taken",
     several(20, question=Question()) + retrieves(50), ABOUT, 1),
    ("D08", "19 discoveries", several(19, question=Question()) + retrieves(50), ABOUT, 0),
    ("D08", "49 documents", several(20, question=Question()) + retrieves(49), ABOUT, 0),
    ("D08", "80 % with little", several(16, question=Question()) + several(4, 100) + retrieves(50),
     ABOUT, 1),
    ("D08", "75 % with little", several(15, question=Question()) + several(5, 100) + retrieves(50),
     ABOUT, 0),
    # D09
    ("D09", "takes 200, gives 10", retrieves(200) + ours(10, 900, txn="ITI-39", docs=1), ABOUT, 1),
    ("D09", "takes 200, gives 11", retrieves(200) + ours(11, 900, txn="ITI-39", docs=1), ABOUT, 0),
    ("D09", "takes 199, gives none", retrieves(199), ABOUT, 0),
    ("D09", "a payer", retrieves(500, purpose="T-PYMNT"), ABOUT, 0),
    # D10
    ("D10", "new, and asks 500 times", several(500), replace(ABOUT, first=NOW - 30 * DAY), 1),
    ("D10", "new, and asks 499 times", several(499), replace(ABOUT, first=NOW - DAY), 0),
    ("D10", "not new any more", several(500), replace(ABOUT, first=NOW - 30 * DAY - 1), 0),
    ("D10", "large in the directory", several(500),
     replace(ABOUT, first=NOW - DAY, entries=3), 0),
    # D11
    ("D11", "people of ten further states", of_states(10), ABOUT, 1),
    ("D11", "one of them declared", of_states(10), replace(ABOUT, states=frozenset({"S1"})), 0),
    ("D11", "too few questions", of_states(12, 4), ABOUT, 0),
    # D12
    ("D12", "five that are none", several(5, npi="1234567890"), ABOUT, 1),
    ("D12", "four that are none", several(4, npi="1234567890"), ABOUT, 0),
    ("D12", "good ones", several(50, npi="1234567893"), ABOUT, 0),
    ("D12", "one for three people",
     [seen(n, npi="1234567893", user=f"u{n}") for n in range(3)], ABOUT, 1),
    ("D12", "that of the organisation", [seen(n, npi="1234567893", user=f"u{n}") for n in range(3)],
     replace(ABOUT, npis=frozenset({"1234567893"})), 0),
    # D13
    ("D13", "the same bytes for three", gave(3, "a"), ABOUT, 1),
    ("D13", "the same bytes for two", gave(2, "a"), ABOUT, 0),
    ("D13", "the same bytes for one", gave(9, "a", person="one"), ABOUT, 0),
    ("D13", "five small ones", [row for n in range(5) for row in
     ours(1, n, txn="ITI-39", files=(File(digest=f"d{n}", size=999),))], ABOUT, 1),
    ("D13", "five that are large enough", [row for n in range(5) for row in
     ours(1, n, txn="ITI-39", files=(File(digest=f"d{n}", size=1000),))], ABOUT, 0),
    # D14
    ("D14", "16 of 20 not known", several(16, outcome="ok-empty") + several(4, 100), ABOUT, 1),
    ("D14", "15 of 20 not known", several(15, outcome="ok-empty") + several(5, 100), ABOUT, 0),
    ("D14", "19 asked", several(19, outcome="ok-empty"), ABOUT, 0),
    ("D14", "refusals are no answers", several(40, outcome="declined"), ABOUT, 0),
    ("D14", "12 in a row", numbered(*range(700, 712)), ABOUT, 1),
    ("D14", "12 in a row, down", numbered(*range(712, 700, -1)), ABOUT, 1),
    ("D14", "11 in a row", numbered(*range(700, 711), 5), ABOUT, 0),
    ("D14", "a saw", numbered(*(700 + n % 2 for n in range(30))), ABOUT, 0),
    # D15
    ("D15", "twice", after_refusal(2), ABOUT, 1),
    ("D15", "once", after_refusal(1), ABOUT, 0),
    ("D15", "within the hour", after_refusal(2, 60), ABOUT, 1),
    ("D15", "after the hour", after_refusal(2, 61), ABOUT, 0),
    ("D15", "the same purpose", after_refusal(5, purpose="T-TRTMNT"), ABOUT, 0),
    # tefca 11.2
    ("T02", "60 within a minute", in_one_minute(60), ABOUT, 1),
    ("T02", "59 within a minute", in_one_minute(59), ABOUT, 0),
    ("T02", "one patient", in_one_minute(90, people=frozenset({"one"})), ABOUT, 0),
    ("T02", "60 in two minutes", several(60), ABOUT, 0),
    ("T03", "ten times", same_patient(10), ABOUT, 1),
    ("T03", "nine times", same_patient(9), ABOUT, 0),
    ("T03", "after failures", same_patient(20, outcome="failed"), ABOUT, 0),
    ("T03", "over a longer time", same_patient(10, 3 * HOUR), ABOUT, 0),
    ("T08", "kin", several(1), replace(ABOUT, kin=("host (Penbrisk)",)), 1),
    ("T08", "nothing in common", several(1), ABOUT, 0),
    ("T09", "five undeclared", several(5), LISTS_NONE, 1),
    ("T09", "four undeclared", several(4), LISTS_NONE, 0),
    ("T09", "without an entry", several(50), ABOUT, 0),
    ("T09", "declared", several(50), replace(ABOUT, declared=YEAR), 0),
    ("T10", "whole histories", lists(50) + retrieves(90), ABOUT, 1),
    ("T10", "too little taken", lists(50) + retrieves(89), ABOUT, 0),
    ("T10", "49 lists", lists(49) + retrieves(98), ABOUT, 0),
    ("T10", "with dates", lists(50, dated=True) + retrieves(100), ABOUT, 0),
    ("T11", "nobody", several(95, user=None) + several(5, 100), ABOUT, 1),
    ("T11", "somebody at times", [seen(n, user=f"u{n % 20}") for n in range(100)], ABOUT, 0),
    ("T11", "always the same", several(100), ABOUT, 1),
    ("T11", "99 questions", several(99), ABOUT, 0),
)  # fmt: skip


@pytest.mark.parametrize(
    ("code", "rows", "about", "found"),
    [(code, rows, about, found) for code, _, rows, about, found in CASES],
    ids=[f"{code}-{words}" for code, words, *_ in CASES],
)
def test_a_detector_flags_what_its_limits_say(
    code: str, rows: Rows, about: About, found: int
) -> None:
    assert len(ask(code, rows, about)) == found


def test_every_detector_is_in_the_table_above_with_hits_and_misses() -> None:
    hits = {code for code, _, _, _, found in CASES if found}
    misses = {code for code, _, _, _, found in CASES if not found}
    assert hits == misses == {code for code, each in detectors().items() if each.can_try}


@pytest.mark.parametrize(("count", "found"), [(2, 0), (3, 1)])
def test_small_flags_about_one_person_add_up(count: int, found: int) -> None:
    flags = tuple(Flagged(detector="D04", t=NOW - n * DAY, seq=n, exchange=f"x{n}")
                  for n in range(count))  # fmt: skip
    assert len(ask("D07", [], replace(ABOUT, flags=flags))) == found
    old = tuple(replace(each, t=NOW - 91 * DAY) for each in flags)
    assert ask("D07", [], replace(ABOUT, flags=old)) == []
    assert ask("D07", [], replace(ABOUT, flags=flags, flagged=0)) == []


@pytest.mark.parametrize(
    ("code", "rows", "about"),
    [(code, rows, about) for code, _, rows, about, found in CASES if found],
    ids=[f"{code}-{words}" for code, words, *_, found in CASES if found],
)
def test_what_was_flagged_is_not_flagged_again(code: str, rows: Rows, about: About) -> None:
    for each in ask(code, rows, about):
        last = max(seq for seq, _ in each.entries)
        assert ask(code, [r for r in rows if r.seq <= last], replace(about, flagged=last)) == []


@pytest.mark.parametrize("code", sorted(set(detectors()) - {"D07", "T08"}))
def test_a_detector_says_nothing_of_no_legs(code: str) -> None:
    assert ask(code, [], replace(ABOUT, records=True, first=NOW)) == []


def test_an_npi_ends_in_its_check_digit() -> None:
    assert is_npi("1234567893")  # the example of CMS's own description
    for wrong in ("1234567890", "123456789", "12345678933", "123456789x", "\uff11234567893"):
        assert not is_npi(wrong)


def test_tokens_that_come_together_are_one_person() -> None:
    found = Persons()
    for each in ({"a", "b"}, {"c"}, {"b", "d"}, {"e", "c"}):
        found.add(frozenset(each))
    assert found.of(frozenset({"a"})) == found.of(frozenset({"d"}))
    assert found.of(frozenset({"c"})) == found.of(frozenset({"e"}))
    assert found.of(frozenset({"a"})) != found.of(frozenset({"c"}))
    assert found.of(frozenset()) is None


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [([], 0), ([7], 7), (list(range(1, 21)), 19), (list(range(1, 101)), 95)],
)
def test_the_usual_is_the_nearest_rank(numbers: list[int], expected: int) -> None:
    assert p95(numbers) == expected


def test_the_work_of_a_rule_grows_with_its_rows_alone() -> None:
    """Counted in steps of the interpreter: four times the rows, about four times the work."""
    for code, make in WORK.items():
        small, large = (steps(partial(ask, code, make(n))) for n in (200, 800))
        assert large < 6 * small, (code, small, large)


def steps(work: Callable[[], object]) -> int:
    import sys  # noqa: PLC0415

    count = 0

    def tick(*_: object) -> object:
        nonlocal count
        count += 1
        return tick

    before = sys.gettrace()
    sys.settrace(tick)  # type: ignore[arg-type]
    try:
        work()
    finally:
        sys.settrace(before)
    return count


WORK: dict[str, Callable[[int], Rows]] = {
    "D08": lambda n: several(n, question=Question()) + retrieves(n),
    "D13": lambda n: gave(n, "a"),
    "D14": lambda n: numbered(*range(n)),
    "D15": lambda n: after_refusal(n // 2),
    "T02": in_one_minute,
    "T03": same_patient,
    "D12": lambda n: [seen(k, npi="1234567893", user=f"u{k}") for k in range(n)],
}


def test_what_is_not_fed_says_why_and_is_no_detector() -> None:
    assert {each.id for each in unfed()}.isdisjoint(detectors())
    assert all(each.why.endswith(".") and each.title for each in unfed())


def test_the_limits_lie_within_their_bounds() -> None:
    for detector in detectors().values():
        assert detector.template.count("{") >= 1
        for name, limit in detector.limits.items():
            assert limit.least <= limit.value <= limit.most, (detector.id, name)
        assert detector.days <= 90
