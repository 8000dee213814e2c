"""From the log to what detectors read: legs, oldest first.

At most ``MOST`` legs of a subject are read, the newest ones, and of their private groups what
detectors need (``reduced``). A group that was erased or does not open counts as absent.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from sys import intern
from typing import Any, Final

import orjson
from sqlalchemy import Connection, Engine, Row, Select, func, select

from node.errors import OurFault
from node.governance.detectors.model import Seen, Subject, Whom
from node.governance.detectors.reduced import files_of, identifiers_of, question_of, text_of
from node.ledger.leaf import Kind
from node.ledger.leaf_check import fields_of
from node.ledger.private import LedgerKey, unseal
from node.model import Direction, PatientId
from node.storage.tables import ENTRY, PRIVATE, TOKEN

MOST: Final = 3000
"""Legs of one subject that are read, the newest ones."""

_AT_ONCE: Final = 500

Cared = Callable[[Sequence[PatientId], int], int | None]
"""Days between an instant (ms) and the nearest care by us of a patient."""

_COLUMNS: Final = (
    ENTRY.c.seq,
    ENTRY.c.entry_id,
    ENTRY.c.t.label("began"),
    ENTRY.c.leaf,
    ENTRY.c.peer,
    PRIVATE.c.who,
    PRIVATE.c.query,
    PRIVATE.c.docs,
)
_PARTS: Final = ("patient", "query", "who")
_NONE: Final[frozenset[str]] = frozenset()

_Row = Row[*tuple[Any, ...]]
_Tokens = tuple[dict[int, set[str]], dict[int, str]]


class Rows:
    """Reads legs of the log for detectors."""

    def __init__(self, engine: Engine, key: LedgerKey, *, most: int = MOST) -> None:
        """``key`` opens private groups; ``most`` legs of a subject are read."""
        self._engine = engine
        self._most = most
        self._key = key

    def of(
        self, whom: Whom, since: int, *, until: int | None = None, upto: int | None = None
    ) -> list[Seen]:
        """The newest legs of a subject that began at or after an instant (ms), tests among them.

        Args:
            whom: the subject.
            since: milliseconds since 1970.
            until: legs that began later are left out.
            upto: entries with a higher number are left out.
        """
        query, t = _of_peer(whom) if whom.subject is Subject.PEER else _of_actor(whom)
        query = query.where(t >= since)
        if until is not None:
            query = query.where(t <= until)
        if upto is not None:
            query = query.where(ENTRY.c.seq <= upto)
        with self._engine.connect() as connection:
            found = connection.execute(query.limit(self._most)).all()[::-1]
            people, users = _tokens(connection, [row.seq for row in found])
        return [self._one(row, people, users) for row in found]

    def first(self, whom: Whom, upto: int | None) -> int | None:
        """When the first leg with a peer began."""
        query = select(func.min(ENTRY.c.t)).where(
            ENTRY.c.peer == whom.about, ENTRY.c.kind == Kind.EXCHANGE.value
        )
        if upto is not None:
            query = query.where(ENTRY.c.seq <= upto)
        with self._engine.connect() as connection:
            return connection.execute(query).scalar()

    def numbered(
        self, after: int, upto: int, wanted: Callable[[Whom], bool]
    ) -> Iterator[tuple[Whom, Seen]]:
        """The legs with these numbers of the subjects that are wanted, in the order of numbers."""
        while after < upto:
            found, tokens = self._page(after, upto)
            if not found:
                return
            after = found[-1].seq
            for row in found:
                whose = [each for each in _subjects(row, tokens[1]) if wanted(each)]
                if whose:
                    seen = self._one(row, *tokens)
                    yield from ((each, seen) for each in whose if _is_of(each, seen))

    def with_care(self, legs: Sequence[Seen], cared: Cared) -> dict[int, Seen]:
        """Legs by number, with the days to the nearest care by us: read anew from the log."""
        asked = {row.seq: row for row in legs if row.people and row.question and row.question.named}
        numbers = sorted(asked)
        with self._engine.connect() as connection:
            for first in range(0, len(numbers), _AT_ONCE):
                query = (
                    select(ENTRY.c.seq, ENTRY.c.entry_id, PRIVATE.c.query)
                    .join(PRIVATE, PRIVATE.c.seq == ENTRY.c.seq)
                    .where(ENTRY.c.seq.in_(numbers[first : first + _AT_ONCE]))
                )
                for seq, entry_id, blob in connection.execute(query).all():
                    patients = identifiers_of(_group(self._key, entry_id, "query", blob))
                    days = cared(patients, asked[seq].t) if patients else None
                    asked[seq] = replace(asked[seq], cared=days)
        return asked

    def _page(self, after: int, upto: int) -> tuple[Sequence[_Row], _Tokens]:
        query = (
            select(*_COLUMNS)
            .outerjoin(PRIVATE, PRIVATE.c.seq == ENTRY.c.seq)
            .where(ENTRY.c.seq > after, ENTRY.c.seq <= upto, ENTRY.c.kind == Kind.EXCHANGE.value)
            .order_by(ENTRY.c.seq)
            .limit(_AT_ONCE)
        )
        with self._engine.connect() as connection:
            found = connection.execute(query).all()
            if not found:
                return found, ({}, {})
            tokens = select(TOKEN.c.seq, TOKEN.c.token, TOKEN.c.part).where(
                TOKEN.c.seq >= found[0].seq, TOKEN.c.seq <= found[-1].seq, TOKEN.c.part.in_(_PARTS)
            )
            return found, _sorted_out(connection.execute(tokens).all())

    def _one(self, row: _Row, people: Mapping[int, set[str]], users: Mapping[int, str]) -> Seen:
        fields = fields_of(row.leaf)
        who = query = docs = None
        if row.who is not None or row.query is not None or row.docs is not None:
            who = _group(self._key, row.entry_id, "who", row.who)
            query = _group(self._key, row.entry_id, "query", row.query)
            docs = _group(self._key, row.entry_id, "docs", row.docs)
        npi = who.get("npi") if isinstance(who, dict) else None
        tokens = people.get(row.seq)
        return Seen(
            seq=row.seq,
            t=row.began,
            exchange=intern(str(fields["exch"])),
            # a value that comes again and again is kept once
            direction=intern(str(fields["dir"])),
            txn=intern(str(fields["txn"])),
            outcome=intern(str(fields["outcome"])),
            reason=_word(fields.get("reason")),
            purpose=_word(fields.get("purpose")),
            docs=int(fields["docs"]),
            people=frozenset(tokens) if tokens else _NONE,
            user=users.get(row.seq),
            npi=npi if isinstance(npi, str) else None,
            question=question_of(query),
            files=tuple(files_of(docs)),
            test="test" in fields,
        )


def _of_peer(whom: Whom) -> tuple[Select[Any], Any]:
    """The legs with a peer, in both directions, newest first; and the column of their time."""
    query = (
        select(*_COLUMNS)
        .outerjoin(PRIVATE, PRIVATE.c.seq == ENTRY.c.seq)
        .where(ENTRY.c.peer == whom.about, ENTRY.c.kind == Kind.EXCHANGE.value)
        .order_by(ENTRY.c.t.desc(), ENTRY.c.seq.desc())
    )
    return query, ENTRY.c.t


def _of_actor(whom: Whom) -> tuple[Select[Any], Any]:
    """The legs in which one of ours asked, newest first; and the column of their time."""
    query = (
        select(*_COLUMNS)
        .select_from(TOKEN)
        .join(ENTRY, ENTRY.c.seq == TOKEN.c.seq)
        .outerjoin(PRIVATE, PRIVATE.c.seq == ENTRY.c.seq)
        .where(
            TOKEN.c.token == bytes.fromhex(whom.about),
            TOKEN.c.part == "who",
            ENTRY.c.direction == Direction.INITIATING.value,
            ENTRY.c.kind == Kind.EXCHANGE.value,
        )
        .order_by(TOKEN.c.t.desc(), TOKEN.c.seq.desc())
    )
    return query, TOKEN.c.t


def _subjects(row: _Row, users: Mapping[int, str]) -> Iterator[Whom]:
    """Whom a leg may be about: its peer, and the one who asked, be it one of ours or of theirs."""
    if row.peer is not None:
        yield Whom(subject=Subject.PEER, about=row.peer)
    if (user := users.get(row.seq)) is not None:
        yield Whom(subject=Subject.ACTOR, about=user)


def _is_of(whom: Whom, seen: Seen) -> bool:
    """Whether a leg is one of the subject's: those who asked us are no people of ours."""
    return whom.subject is Subject.PEER or seen.direction == Direction.INITIATING


def _tokens(connection: Connection, seqs: Sequence[int]) -> _Tokens:
    """The tokens of patients, and of the person who asked, by entry."""
    found: list[Any] = []
    for first in range(0, len(seqs), _AT_ONCE):
        query = select(TOKEN.c.seq, TOKEN.c.token, TOKEN.c.part).where(
            TOKEN.c.seq.in_(seqs[first : first + _AT_ONCE]), TOKEN.c.part.in_(_PARTS)
        )
        found += connection.execute(query).all()
    return _sorted_out(found)


def _sorted_out(rows: Sequence[Any]) -> _Tokens:
    people: dict[int, set[str]] = defaultdict(set)
    users: dict[int, str] = {}
    for seq, token, group in rows:
        if group == "who":
            users[seq] = intern(token.hex())
        else:
            people[seq].add(intern(token.hex()))
    return people, users


def _group(key: LedgerKey, entry_id: str, name: str, blob: bytes | None) -> object:
    if blob is None:
        return None
    try:
        return unseal(key, entry_id, name, blob).value
    except (OurFault, orjson.JSONDecodeError):
        return None


def _word(value: object) -> str | None:
    text = text_of(value)
    return intern(text) if text else None
