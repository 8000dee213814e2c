"""Detectors about how a peer asks us: D08, D14, D15, and tefca 11.2 burst, repeat, breadth."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence

from node.governance.detectors.model import (
    HOUR,
    MINUTE,
    About,
    Finding,
    Limits,
    Seen,
    fresh,
    percent,
    persons,
    rests_on,
)
from node.model import Direction, Interaction, Outcome, Transaction

_DISCOVERIES = frozenset({Transaction.ITI_55.value, Interaction.MATCH.value})
_LISTS = frozenset({Transaction.ITI_38.value, Interaction.DOCREF.value})
_ANSWERED = frozenset({Outcome.OK.value, Outcome.OK_EMPTY.value, Outcome.PARTIAL.value})
_HELD = frozenset({Outcome.OK.value, Outcome.PARTIAL.value})
_AGAIN = frozenset({Outcome.FAILED.value, Outcome.TIMED_OUT.value, Outcome.CANCELLED.value})


def little_known(rows: Sequence[Seen], about: About, limits: Limits) -> list[Finding]:
    """D08: asks with name, birth date and sex alone, and takes many documents."""
    new = asked_of_us(fresh(rows, about))
    discoveries = [row for row in new if row.txn in _DISCOVERIES and row.question is not None]
    minimal = [row for row in discoveries if row.question and not row.question.strong]
    taken = [row for row in new if _moved(row)]
    documents = sum(row.docs for row in taken)
    if (
        len(discoveries) < limits["discoveries"]
        or len(minimal) < limits["share"] * len(discoveries)
        or documents < limits["documents"]
    ):
        return []
    values = {"n": len(minimal), "of": len(discoveries), "documents": documents}
    behind = sorted([*minimal, *taken], key=lambda row: row.seq)
    return [Finding(values=values, entries=rests_on(behind))]


def enumerating(rows: Sequence[Seen], about: About, limits: Limits) -> list[Finding]:
    """D14: asks for people whom we do not know, or for identifiers one after the other."""
    new = [row for row in asked_of_us(fresh(rows, about)) if row.txn in _DISCOVERIES]
    answered = [row for row in new if row.outcome in _ANSWERED]
    missed = [row for row in answered if row.outcome == Outcome.OK_EMPTY]
    run = _longest_run(new)
    if len(run) >= limits["run"]:
        return [Finding(sentence="run", values={"n": len(run)}, entries=rests_on(run))]
    if len(answered) < limits["asked"] or len(missed) < limits["share"] * len(answered):
        return []
    values = {"n": len(missed), "of": len(answered), "share": percent(len(missed), len(answered))}
    return [Finding(values=values, entries=rests_on(missed))]


def other_purpose(rows: Sequence[Seen], about: About, limits: Limits) -> list[Finding]:
    """D15: asks for the same patient with another purpose soon after a refusal."""
    ours = asked_of_us(rows)
    who = persons(ours)
    refused: dict[str, Seen] = {}
    pairs: list[tuple[Seen, Seen]] = []
    for row in ours:
        person = who.of(row.people)
        if person is None or row.purpose is None:
            continue
        before = refused.get(person)
        if (
            before is not None
            and before.purpose != row.purpose
            and row.t - before.t <= limits["minutes"] * MINUTE
            and row.seq > about.flagged
        ):
            pairs.append((before, row))
            refused.pop(person)
        if row.outcome == Outcome.DECLINED:
            refused[person] = row
    if len(pairs) < limits["times"]:
        return []
    values = {"n": len(pairs), "minutes": int(limits["minutes"])}
    behind = {row.seq: row for pair in pairs for row in pair}
    return [Finding(values=values, entries=rests_on([behind[seq] for seq in sorted(behind)]))]


def burst(rows: Sequence[Seen], about: About, limits: Limits) -> list[Finding]:
    """T02: many patients within one minute, and far more than in its busiest minutes before."""
    ours = [row for row in asked_of_us(rows) if row.people]
    who = persons(ours)
    before: dict[int, set[str | None]] = defaultdict(set)
    for row in ours:
        if row.seq <= about.flagged:
            before[row.t // MINUTE].add(who.of(row.people))
    usual = max((len(people) for people in before.values()), default=0)
    most, most_people = _busiest_minute(fresh(ours, about), who.of)
    if most_people < max(limits["patients"], limits["factor"] * usual):
        return []
    return [Finding(values={"n": most_people, "usual": usual}, entries=rests_on(most))]


def again(rows: Sequence[Seen], about: About, limits: Limits) -> list[Finding]:
    """T03: asks for the same patient again and again; a repeat after a failure does not count."""
    ours = [row for row in asked_of_us(rows) if row.people and row.txn in _DISCOVERIES]
    who = persons(ours)
    of_person: dict[str | None, list[Seen]] = defaultdict(list)
    for row in fresh(ours, about):
        person = who.of(row.people)
        if row.outcome not in _AGAIN:
            of_person[person].append(row)
    found = []
    for asked in of_person.values():
        most = _within(asked, int(limits["hours"]) * HOUR)
        if len(most) >= limits["times"]:
            values = {"n": len(most), "hours": int(limits["hours"])}
            found.append(Finding(values=values, entries=rests_on(most)))
    return found


def everything(rows: Sequence[Seen], about: About, limits: Limits) -> list[Finding]:
    """T10: asks for whole histories, without dates, and takes nearly all that is named."""
    new = asked_of_us(fresh(rows, about))
    lists = [row for row in new if row.txn in _LISTS and row.outcome in _HELD]
    whole = [row for row in lists if row.question is not None and row.question.dated is False]
    named = sum(row.docs for row in whole)
    taken = [row for row in new if _moved(row)]
    documents = sum(row.docs for row in taken)
    if (
        len(lists) < limits["lists"]
        or len(whole) < limits["share"] * len(lists)
        or documents < limits["taken"] * named
    ):
        return []
    values = {"n": len(whole), "of": len(lists), "documents": documents, "named": named}
    return [Finding(values=values, entries=rests_on(whole))]


def asked_of_us(rows: Sequence[Seen]) -> list[Seen]:
    """The legs in which the peer asked and we answered."""
    return [row for row in rows if row.direction == Direction.RESPONDING]


def _moved(row: Seen) -> bool:
    return row.txn == Transaction.ITI_39 and row.outcome in _HELD


def _longest_run(rows: Sequence[Seen]) -> list[Seen]:
    """The longest run of questions whose identifiers follow each other by one, up or down."""
    numbered = [(row, row.question.number) for row in rows if row.question]
    first, step, best = 0, 0, (0, 0)
    for at in range(1, len(numbered)):
        number, before = numbered[at][1], numbered[at - 1][1]
        by = number - before if number is not None and before is not None else 0
        if by not in (1, -1):
            first, step = at, 0
            continue
        if step not in (0, by):
            first = at - 1
        step = by
        if at + 1 - first > best[1] - best[0]:
            best = (first, at + 1)
    return [row for row, _ in numbered[slice(*best)]]


def _busiest_minute(
    rows: Sequence[Seen], person: Callable[[frozenset[str]], str | None]
) -> tuple[list[Seen], int]:
    """The legs of the minute with most people, and how many those are."""
    ordered = sorted(rows, key=lambda each: (each.t, each.seq))
    counts: dict[str | None, int] = defaultdict(int)
    first, best, most = 0, (0, 0), 0
    for last, row in enumerate(ordered):
        counts[person(row.people)] += 1
        while row.t - ordered[first].t > MINUTE:
            gone = person(ordered[first].people)
            counts[gone] -= 1
            if not counts[gone]:
                del counts[gone]
            first += 1
        if len(counts) > most:
            best, most = (first, last + 1), len(counts)
    return ordered[slice(*best)], most


def _within(rows: Sequence[Seen], span: int) -> list[Seen]:
    """The most legs that lie within a span of time."""
    ordered = sorted(rows, key=lambda each: (each.t, each.seq))
    first, best = 0, (0, 0)
    for last, row in enumerate(ordered):
        while row.t - ordered[first].t > span:
            first += 1
        if last + 1 - first > best[1] - best[0]:
            best = (first, last + 1)
    return ordered[slice(*best)]
