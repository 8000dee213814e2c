"""Cases in the database: each thing done to one is a message, and an entry of the log with it.

Both are written in one transaction, under the log's own lock: two people who do something at once
are decided about one after the other, and nothing is done that the log does not have. A refusal is
a message and an entry as well, except for a form that lacks something.

**What goes where.** The entry's leaf has the verb, SHA-256 of the case's number, the peer's HCID,
and the outcome or why it was refused, by its code. What a person wrote, whom they asked and who got
the case are in the private group ``wire``, which the leaf commits to.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, Engine, insert, select, update

from node.governance.case_model import (
    NODE,
    Given,
    Person,
    Refusal,
    Standing,
    State,
    Verb,
)
from node.governance.case_rows import (
    CaseAt,
    Evidence,
    Message,
    Opening,
    add_evidence,
    add_subjects,
    changed,
    free_items,
    insert_case,
    message_of,
    new_evidence,
    read_case,
    refused,
)
from node.governance.case_rules import NOTHING, barred, decide
from node.governance.detector_tables import FLAG
from node.governance.exchanges import read_exchange
from node.governance.tables import ITEM, SUBJECT
from node.ledger import leaf, review
from node.ledger.hold import lock_log
from node.ledger.private import LedgerKey
from node.ledger.trust_change import Author, TrustChange
from node.ledger.trust_log import write_fact
from node.model import Direction
from node.storage.case_tables import CASE, EVIDENCE, MESSAGE
from node.storage.engine import IMMEDIATE

MOST_AT_ONCE: Final = 100
"""Cases that one form acts on, and questions that lapse at once."""

_NODE: Final = Author(by="node", who={"process": "node"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """Who does something: for the rules, and for the log."""

    person: Person
    author: Author


class Cases:
    """Usable from several threads. The schema must be migrated before."""

    def __init__(self, engine: Engine, key: LedgerKey, *, own: str) -> None:
        """``own`` is our HCID."""
        self._engine = engine
        self._immediate = engine.execution_options(**{IMMEDIATE: True})
        self._key = key
        self._own = own

    def mark(self, login: str) -> str:
        """The token (hex) under which the log finds what a person did."""
        return self._key.token("user", login).hex()

    def open(self, actor: Actor, opening: Opening, *, now: datetime) -> str | Refusal:
        """Open a case; its number, or why not.

        Raises:
            OurFault: when the log cannot take the entry; nothing is changed then.
        """
        given = Given(text=opening.text, due=opening.due)
        ruled = decide(None, Verb.OPEN, actor.person, given, now=now)
        if isinstance(ruled, Refusal):
            return ruled
        found = self._exchanges(opening.exchanges)
        found = replace(
            found,
            ids=(*found.ids, *opening.to_come),
            subjects=found.subjects | {self._key.token("user", each) for each in opening.subjects},
        )
        with self._immediate.begin() as connection:
            lock_log(connection)
            items = free_items(connection, opening.items)
            if opening.items and not items:
                return Refusal(code="case-state", sentence="Another case has these already.")
            peers = {peer for peer in (*(item.peer for item in items), *found.peers) if peer}
            at = insert_case(connection, opening, items, peers=peers, now=now)
            message = Message(
                verb=Verb.OPEN, state=State.NEW, private={"text": opening.text.strip()}
            )
            if items:
                message.private["items"] = [item.id for item in items]
            self._append(connection, at, message, actor, now, found=found)
        return at.standing.number

    def act(
        self, number: str, verb: Verb, actor: Actor, given: Given = NOTHING, *, now: datetime
    ) -> State | Refusal | None:
        """Do something to a case: its new state, why not, or ``None`` when there is no such case.

        Raises:
            OurFault: when the log cannot take the entry; nothing is changed then.
        """
        found = self._exchanges(given.evidence)
        given = replace(given, evidence=found.ids)
        with self._immediate.begin() as connection:
            lock_log(connection)
            at = read_case(connection, number)
            if at is None:
                return None
            target = read_case(connection, given.target.number) if given.target else None
            given = replace(given, target=target.standing if target else None)
            ruled = decide(at.standing, verb, actor.person, given, now=now)
            if verb is Verb.MERGE and target is not None and not isinstance(ruled, Refusal):
                other = barred(target.standing, Verb.COLLECT, actor.person, now=now)
                ruled = replace(other, field="target") if other else ruled
            if isinstance(ruled, Refusal):
                if ruled.field is None:
                    self._append(connection, at, refused(at, verb, ruled), actor, now)
                return ruled
            message = message_of(verb, ruled, given)
            self._append(connection, at, message, actor, now, found=found)
            self._follow(connection, at, message, actor.person.login, now=now)
            if target is not None:
                self._merge(connection, at, target, actor, now)
        return ruled

    def lapse(self, *, now: datetime) -> int:
        """Let questions lapse and snoozed cases wake whose time is over; how many did."""
        t = leaf.milliseconds(now)
        over = {
            Verb.LAPSE: (CASE.c.state == State.WAITING.value) & (CASE.c.answer_due <= t),
            Verb.WAKE: CASE.c.snoozed <= t,
        }
        actor = Actor(person=Person(login=NODE), author=_NODE)
        done = 0
        for verb, where in over.items():
            query = select(CASE.c.number).where(where).order_by(CASE.c.id).limit(MOST_AT_ONCE)
            with self._engine.connect() as connection:
                numbers = list(connection.execute(query).scalars())
            done += sum(isinstance(self.act(each, verb, actor, now=now), State) for each in numbers)
        return done

    def standing(self, number: str) -> Standing | None:
        """A case as the rules see it."""
        with self._engine.connect() as connection:
            at = read_case(connection, number)
        return at.standing if at else None

    # --- inside a transaction -------------------------------------------------------------------

    def _append(
        self,
        connection: Connection,
        at: CaseAt,
        message: Message,
        actor: Actor,
        now: datetime,
        *,
        found: Evidence | None = None,
    ) -> None:
        """Write a message, its entry and the case's row; put evidence into the basket."""
        fresh = new_evidence(connection, at, found.ids) if found else ()
        if fresh:
            message.private["exchanges"] = list(fresh)
        receipt, _ = write_fact(
            connection,
            self._key,
            TrustChange(
                act="case-refuse" if message.refusal else f"case-{message.verb.value}",
                thing=hashlib.sha256(at.standing.number.encode()).hexdigest(),
                home_community_id=at.peer,
                reason=message.refusal or message.outcome,
                private={"case": at.standing.number, **message.private},
            ),
            author=actor.author,
            own=self._own,
            now=now,
        )
        count = at.messages + 1
        connection.execute(
            insert(MESSAGE).values(
                case_id=at.id,
                number=count,
                t=leaf.milliseconds(now),
                verb=message.verb.value,
                who=actor.person.login,
                state=message.state.value,
                seq=receipt.seq,
                refusal=message.refusal,
                about=message.about,
                outcome=message.outcome,
                due=leaf.milliseconds(message.due) if message.due else None,
            )
        )
        add_evidence(connection, at, fresh, count)
        if found:
            add_subjects(connection, at, found.subjects)
        values: dict[str, Any] = {
            "messages": count,
            "incidents": at.incidents + len(fresh),
            "last": leaf.milliseconds(now),
        }
        if not message.refusal:
            values |= changed(message, actor.person.login, now)
        connection.execute(update(CASE).where(CASE.c.id == at.id).values(values))

    def _follow(
        self, connection: Connection, at: CaseAt, message: Message, who: str, *, now: datetime
    ) -> None:
        """Let the review items of a case go with it."""
        match message.verb:
            case Verb.CONFIRM:
                event = {"verb": "resolve", "outcome": at.standing.outcome}
            case Verb.DISMISS:
                event = {"verb": "resolve", "outcome": message.outcome}
            case Verb.REOPEN:
                event = {"verb": "open", "outcome": None}
            case _:
                return
        reason = f"Case {at.standing.number}."
        numbers = connection.execute(select(ITEM.c.item).where(ITEM.c.case_id == at.id))
        review.append_events(
            connection,
            numbers.scalars().all(),
            {**event, "reason": reason, "who": who},
            now=now,
        )

    def _merge(
        self, connection: Connection, at: CaseAt, target: CaseAt, actor: Actor, now: datetime
    ) -> None:
        """Put what a case holds into the one that it is merged into."""
        of = select(EVIDENCE.c.exchange_id).where(EVIDENCE.c.case_id == at.id)
        ids = tuple(connection.execute(of).scalars())
        marks = connection.execute(select(SUBJECT.c.mark).where(SUBJECT.c.case_id == at.id))
        moved = connection.execute(
            update(ITEM).where(ITEM.c.case_id == at.id).values(case_id=target.id)
        ).rowcount
        into, of_flags = target.standing.number, FLAG.c.case_number == at.standing.number
        connection.execute(update(FLAG).where(of_flags).values(case_number=into))
        message = Message(verb=Verb.COLLECT, state=target.standing.state, about=at.standing.number)
        found = Evidence(ids=ids, subjects=frozenset(marks.scalars()))
        self._append(
            connection,
            replace(target, incidents=target.incidents + moved),
            message,
            actor,
            now,
            found=found,
        )

    def _exchanges(self, ids: Sequence[str]) -> Evidence:
        """Those of some exchanges that the log has, and who of ours asked in them."""
        kept: list[str] = []
        marks: set[bytes] = set()
        peers: set[str] = set()
        for exchange_id in list(dict.fromkeys(ids))[:MOST_AT_ONCE]:
            exchange = read_exchange(self._engine, self._key, exchange_id)
            if exchange is None:
                continue
            kept.append(exchange_id)
            peers |= {peer for each in exchange.legs if (peer := each.text("peer"))}
            user = exchange.who.get("user_id")
            # a peer's user may be called as one of ours is
            ours = exchange.direction is Direction.INITIATING
            if ours and isinstance(user, str) and user:
                marks.add(self._key.token("user", user))
        return Evidence(ids=tuple(kept), subjects=frozenset(marks), peers=frozenset(peers))
