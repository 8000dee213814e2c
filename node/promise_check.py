"""Whether peers kept their log promises: asks each log for the entry once the promise is due.

A log that proves the entry kept its promise. One that does not makes a review item and a file that
others can check (``node.ledger.promise_evidence``). A peer that cannot be reached is asked again
later: only a day after the promise was due does its silence count.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from sqlalchemy import func, select, update

from node.errors import CodedError, LogError, NetworkFault, OurFault
from node.exchange.ports import PeerEntry
from node.ledger import leaf
from node.ledger.log_files import LogFolder
from node.ledger.peer_log import PeerLog
from node.ledger.promise import (
    Promise,
    parse_absence,
    parse_promise,
    verify_absence,
    verify_promise,
)
from node.ledger.promise_evidence import Evidence
from node.ledger.review import Found, open_items
from node.ledger.stated_there import proved_entry
from node.model import Direction
from node.opened import OpenedHome
from node.reconciling import STATED, Reconciler, as_peer
from node.storage.engine import IMMEDIATE
from node.storage.tables import OPEN_PROMISE, PROMISE

KEPT: Final = "kept"
BROKEN: Final = "broken"
WAITS: Final = "open"
SOURCE: Final = "promise"

_PATIENCE: Final = timedelta(hours=24)
_OK: Final = 200
_ABSENT: Final = 404


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """A promise to be looked into, by the number of our entry."""

    seq: int
    peer: str
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What looking into one came to: ``kept``, ``broken`` or ``open``; why, in words."""

    seq: int
    peer: str
    state: str
    sentence: str
    evidence: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Question:
    """One promise on its way to be looked into."""

    due: Due
    promise: Promise
    entry: PeerEntry
    log: PeerLog
    asked: datetime


class PromiseCheck:
    """Looks into promises over a reconciler's connections."""

    def __init__(self, opened: OpenedHome, reconciler: Reconciler) -> None:
        """Nothing is asked yet."""
        self._opened = opened
        self._reconciler = reconciler
        self._delay = timedelta(hours=opened.settings.log.merge_delay_hours)

    def due(
        self, *, limit: int, peer: str | None = None, seqs: Sequence[int] | None = None
    ) -> list[Due]:
        """Open promises that are due, those that were given first standing first; blocks."""
        query = (
            select(PROMISE.c.seq, PROMISE.c.peer, PROMISE.c.value)
            .where(PROMISE.c.state == OPEN_PROMISE, PROMISE.c.t <= self._before())
            .order_by(PROMISE.c.t)
            .limit(limit)
        )
        if peer is not None:
            query = query.where(PROMISE.c.peer == peer)
        if seqs is not None:
            query = query.where(PROMISE.c.seq.in_(seqs))
        with self._opened.engine.connect() as connection:
            rows = connection.execute(query).all()
        return [Due(seq=row[0], peer=row[1], value=row[2]) for row in rows]

    def sample(self, count: int) -> list[Due]:
        """Promises that are due, drawn by chance: no peer knows which; blocks.

        Also those whose exchange the peer stated: a statement is its word, a proof its log's.
        """
        found: dict[int, Due] = {}
        with self._opened.engine.connect() as connection:
            most: int | None = connection.execute(select(func.max(PROMISE.c.seq))).scalar()
            for _ in range(count if most is not None else 0):
                query = (
                    select(PROMISE.c.seq, PROMISE.c.peer, PROMISE.c.value)
                    .where(
                        PROMISE.c.seq >= secrets.randbelow((most or 0) + 1),
                        PROMISE.c.state.in_((OPEN_PROMISE, STATED)),
                        PROMISE.c.t <= self._before(),
                    )
                    .order_by(PROMISE.c.seq)
                    .limit(1)
                )
                for row in connection.execute(query):
                    found[row[0]] = Due(seq=row[0], peer=row[1], value=row[2])
        return list(found.values())

    def _before(self) -> int:
        return leaf.milliseconds(self._opened.clock.now() - self._delay)

    async def run(self, due: Due) -> Checked:
        """Ask for the entry of one promise and note what came of it."""
        checked = await self._judged(due)
        if checked.state != WAITS:
            await asyncio.to_thread(self._note, checked)
        return checked

    async def _judged(self, due: Due) -> Checked:
        try:
            entry = self._reconciler.entry(due.peer)
            log = self._reconciler.log_of(entry)
            promise = parse_promise(due.value)
            verify_promise(promise, log.keys)
        except OurFault as error:  # its keys are not known (yet)
            return _checked(due, WAITS, error.sentence)
        except LogError as error:
            return _checked(due, WAITS, f"{error.sentence} Its keys may have become others.")
        return await self._asked(
            _Question(
                due=due, promise=promise, entry=entry, log=log, asked=self._opened.clock.now()
            )
        )

    async def _asked(self, question: _Question) -> Checked:
        due, peer = question.due, as_peer(question.entry)
        message_id = question.promise.message_id
        try:
            reply = await self._reconciler.client.entry(peer, question.log, message_id)
        except CodedError as error:
            if isinstance(error, NetworkFault) and self._may_wait(question):
                return _checked(due, WAITS, error.sentence)
            return await self._broken(question, error.code)
        if reply.status == _OK:
            return await self._shown(question, reply.body)
        absence = _absence(question, reply.body) if reply.status == _ABSENT else None
        if absence is None and self._may_wait(question):
            return _checked(due, WAITS, f"The peer does not show it now (HTTP {reply.status}).")
        return await self._broken(question, str(reply.status), absence)

    def _may_wait(self, question: _Question) -> bool:
        return question.asked < question.promise.time + self._delay + _PATIENCE

    async def _shown(self, question: _Question, proof: bytes) -> Checked:
        try:
            fields, point = proved_entry(proof, question.log)
        except LogError as error:
            return await self._broken(question, error.code)
        about = (fields.get("msg"), fields.get("dir"))
        if about != (question.promise.message_id, Direction.RESPONDING.value):
            return await self._broken(question, "another-entry")
        sentence = f"Entry {fields['seq']} of {point.origin}, {point.size} entries."
        return _checked(question.due, KEPT, sentence)

    async def _broken(
        self, question: _Question, answer: str, absence: str | None = None
    ) -> Checked:
        due = question.due
        evidence = Evidence(
            promise=due.value,
            delay_hours=self._opened.settings.log.merge_delay_hours,
            asked=question.asked,
            answer=answer,
            absence=absence,
            checkpoint=await self._checkpoint(question.entry, question.log),
            asker=str(self._opened.home_community_id),
        )
        name = f"promise-{due.seq}.json"
        folder = LogFolder(self._opened.home.evidence)
        await asyncio.to_thread(folder.write, name, bytes(evidence))
        sentence = (
            "The log says itself that it has no such entry."
            if absence
            else f"The peer did not show the entry ({answer})."
        )
        return Checked(
            seq=due.seq,
            peer=due.peer,
            state=BROKEN,
            sentence=sentence,
            evidence=self._opened.home.evidence / name,
        )

    async def _checkpoint(self, entry: PeerEntry, log: PeerLog) -> str | None:
        try:
            reply = await self._reconciler.client.checkpoint(as_peer(entry), log)
        except CodedError:
            return None
        if reply.status != _OK:
            return None
        text = reply.body.decode("utf-8", "replace")
        origin = text.partition("\n")[0]
        return text if log.of_year(origin) else None

    def _note(self, checked: Checked) -> None:
        engine = self._opened.engine.execution_options(**{IMMEDIATE: True})
        if checked.state == BROKEN:
            found = Found(source=SOURCE, kind="promise-broken", peer=checked.peer, seq=checked.seq)
            open_items(self._opened.engine, [found], now=self._opened.clock.now())
        with engine.begin() as connection:
            connection.execute(
                update(PROMISE).where(PROMISE.c.seq == checked.seq).values(state=checked.state)
            )


def _absence(question: _Question, body: bytes) -> str | None:
    """The log's signed word that it has no entry of this message, if it is that."""
    try:
        said = parse_absence(body)
        verify_absence(said, question.log.of_year(said.origin))
    except LogError:
        return None
    return body.decode("ascii") if said.message_id == question.promise.message_id else None


def _checked(due: Due, state: str, sentence: str) -> Checked:
    return Checked(seq=due.seq, peer=due.peer, state=state, sentence=sentence)
