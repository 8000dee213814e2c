"""The rows of cases inside a transaction: read, made, and what a message changes of one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import Connection, func, insert, select

from node.governance.case_model import Given, Refusal, Standing, State, Verb
from node.governance.tables import ITEM, SUBJECT
from node.ledger import leaf, review
from node.storage.case_tables import CASE, EVIDENCE
from node.storage.tables import REVIEW

FLAG: Final = "flag"
"""The kind of a case that a person opened about an exchange."""

DETECTOR: Final = "detector-"
"""What the kind of a case that a detector opened begins with; its id follows, in lower case."""

SAMPLED: Final = "outcome-sample"
"""The kind of a case about an exchange that was drawn by lot."""

MOST_EVIDENCE: Final = 500
"""Exchanges in the basket of one case; further ones stay out of it."""

MOST_ITEMS: Final = 100
"""Review items that one case takes up when it is opened."""

_DUPLICATE: Final = "duplicate"
_SLEEPS_ON: Final = frozenset({Verb.COMMENT, Verb.ASSIGN, Verb.HAND_OVER})
"""What leaves a snoozed case snoozed; anything else, new evidence above all, wakes it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """What a case is opened about.

    Attributes:
        kind: ``FLAG``, or the kind of the review items.
        text: why, in a sentence.
        exchanges: ids for the basket.
        items: numbers of review items.
        subjects: logins of people whom it is about, beside those who asked in the exchanges.
        to_come: ids for the basket of exchanges that begin now, which the log has not got yet.
        due: until when; where it is ``None``, that of the items, or five business days.
    """

    kind: str
    text: str
    exchanges: tuple[str, ...] = ()
    items: tuple[int, ...] = ()
    subjects: tuple[str, ...] = ()
    to_come: tuple[str, ...] = ()
    due: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseAt:
    """A case inside a transaction: its row, and what the rules ask about it."""

    id: int
    peer: str | None
    messages: int
    incidents: int
    standing: Standing


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A message to be appended; ``private`` goes into the private group of its entry."""

    verb: Verb
    state: State
    private: dict[str, object] = field(default_factory=dict)
    refusal: str | None = None
    about: str | None = None
    outcome: str | None = None
    due: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Exchanges for the basket, tokens of who of ours asked in them, HCIDs of the other sides."""

    ids: tuple[str, ...] = ()
    subjects: frozenset[bytes] = frozenset()
    peers: frozenset[str] = frozenset()


def read_case(connection: Connection, number: str) -> CaseAt | None:
    """A case by its number."""
    row = connection.execute(select(CASE).where(CASE.c.number == number)).mappings().first()
    if row is None:
        return None
    marks = connection.execute(select(SUBJECT.c.mark).where(SUBJECT.c.case_id == row["id"]))
    return CaseAt(
        id=row["id"],
        peer=row["peer"],
        messages=row["messages"],
        incidents=row["incidents"],
        standing=Standing(
            number=number,
            state=State(row["state"]),
            subjects=frozenset(mark.hex() for mark in marks.scalars()),
            assignee=row["assignee"],
            resolver=row["resolver"],
            outcome=row["outcome"],
            resolved=instant(row["resolved"]),
            answer_due=instant(row["answer_due"]),
            due=instant(row["due"]),
            snoozed=instant(row["snoozed"]),
        ),
    )


def instant(t: int | None) -> datetime | None:
    """Milliseconds since 1970 as an instant."""
    return None if t is None else datetime.fromtimestamp(t / 1000, UTC)


def next_number(connection: Connection, now: datetime) -> tuple[int, str]:
    """The id and the number of a new case: ``2026-0143``, counted anew each year (UTC)."""
    last = connection.execute(select(func.max(CASE.c.id))).scalar() or 0
    year = f"{now.astimezone(UTC):%Y}-"
    of_year = select(CASE.c.number).where(CASE.c.number.startswith(year, autoescape=True))
    newest = connection.execute(of_year.order_by(CASE.c.id.desc()).limit(1)).scalar()
    counted = int(newest.removeprefix(year)) if newest else 0
    return last + 1, f"{year}{counted + 1:04}"


def insert_case(
    connection: Connection,
    opening: Opening,
    items: Sequence[review.Item],
    *,
    peers: Iterable[str],
    now: datetime,
) -> CaseAt:
    """Make the row of a new case, and give it its review items."""
    number, name = next_number(connection, now)
    one = set(peers)
    due = min((item.due for item in items), default=leaf.milliseconds(review.due_after(now)))
    t = leaf.milliseconds(now)
    made = CaseAt(
        id=number,
        peer=one.pop() if len(one) == 1 else None,
        messages=0,
        incidents=sum(item.cases for item in items),
        standing=Standing(number=name, state=State.NEW),
    )
    connection.execute(
        insert(CASE).values(
            id=number,
            number=name,
            kind=opening.kind,
            peer=made.peer,
            state=State.NEW.value,
            opened=t,
            due=leaf.milliseconds(opening.due) if opening.due else due,
            last=t,
            messages=0,
            incidents=made.incidents,
        )
    )
    for item in items:
        connection.execute(insert(ITEM).values(item=item.id, case_id=number))
    return made


def free_items(connection: Connection, numbers: Sequence[int]) -> list[review.Item]:
    """Those of some review items that are open and that no case has taken up."""
    wanted = REVIEW.c.id.in_(numbers[:MOST_ITEMS])
    taken = select(ITEM.c.item).where(ITEM.c.item.in_(numbers[:MOST_ITEMS]))
    return review.open_among(connection, wanted & REVIEW.c.id.not_in(taken))


def new_evidence(connection: Connection, at: CaseAt, ids: Sequence[str]) -> tuple[str, ...]:
    """Those of some exchanges that a basket does not hold yet, as far as it has room."""
    held = select(EVIDENCE.c.exchange_id).where(EVIDENCE.c.case_id == at.id)
    known = set(connection.execute(held).scalars())
    room = max(MOST_EVIDENCE - len(known), 0)
    return tuple(each for each in dict.fromkeys(ids) if each not in known)[:room]


def add_evidence(connection: Connection, at: CaseAt, ids: Sequence[str], message: int) -> None:
    """Put exchanges into the basket."""
    for exchange_id in ids:
        connection.execute(
            insert(EVIDENCE).values(case_id=at.id, exchange_id=exchange_id, message=message)
        )


def add_subjects(connection: Connection, at: CaseAt, marks: Iterable[bytes]) -> None:
    """Say whom a case is about, as far as it is not said yet."""
    for mark in sorted(marks):
        if mark.hex() not in at.standing.subjects:
            connection.execute(insert(SUBJECT).values(case_id=at.id, mark=mark))


def message_of(verb: Verb, state: State, given: Given) -> Message:
    """The message of something that is done."""
    about = given.assignee.login if given.assignee else None
    if given.target is not None:
        about = given.target.number
    private: dict[str, object] = {
        name: value
        for name, value in (
            ("text", given.text.strip()),
            ("whom", given.whom.strip()[:200]),
            ("actions", list(given.actions)),
            ("about", about),
        )
        if value
    }
    outcome = _DUPLICATE if verb is Verb.MERGE else given.outcome
    return Message(
        verb=verb, state=state, private=private, about=about, outcome=outcome, due=given.due
    )


def refused(at: CaseAt, verb: Verb, refusal: Refusal) -> Message:
    """The message of something that was refused."""
    return Message(
        verb=verb, state=at.standing.state, refusal=refusal.code, private={"tried": verb.value}
    )


def changed(message: Message, who: str, now: datetime) -> dict[str, Any]:
    """The columns of a case that a message changes."""
    values: dict[str, Any] = {"state": message.state.value}
    if message.verb not in _SLEEPS_ON:
        values["snoozed"] = None
    match message.verb:
        case Verb.TAKE:
            values["assignee"] = who
        case Verb.ASSIGN | Verb.HAND_OVER:
            values["assignee"] = message.about
        case Verb.SNOOZE:
            values["snoozed"] = leaf.milliseconds(message.due) if message.due else None
        case Verb.ASK:
            values["answer_due"] = leaf.milliseconds(message.due) if message.due else None
        case Verb.ANSWER | Verb.LAPSE:
            values["answer_due"] = None
        case Verb.RESOLVE | Verb.DISMISS:
            values |= {"resolver": who, "outcome": message.outcome}
            values["resolved"] = leaf.milliseconds(now)
        case Verb.SEND_BACK | Verb.REOPEN:
            values |= {"resolver": None, "outcome": None, "resolved": None}
        case Verb.MERGE:
            values |= {"target": message.about, "outcome": message.outcome}
    return values
