"""From the log to what detectors read: the newest legs of one subject in a window, oldest first.

At most ``MOST`` legs of a subject are read, and of their private groups what detectors need; names,
addresses and identifiers are reduced to counts, states and digits at once, and nothing of them is
kept. A group that was erased or does not open counts as absent.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import orjson
from sqlalchemy import Connection, Engine, Row, select

from node.errors import OurFault
from node.governance.detectors.model import File, Question, Seen
from node.ledger.leaf import Kind
from node.ledger.leaf_check import fields_of
from node.ledger.private import LedgerKey, unseal
from node.model import Direction, PatientId
from node.storage.tables import ENTRY, PRIVATE, TOKEN

MOST: Final = 3000
"""Legs of one subject that are read, the newest ones."""

_AT_ONCE: Final = 500
_DIGITS: Final = re.compile(r"[0-9]{1,15}\Z", re.ASCII)
_DATED: Final = re.compile(r"\$XDSDocumentEntry(?:CreationTime|ServiceSt(?:art|op)Time)")
_DATES: Final = frozenset({"date", "period"})

Cared = Callable[[Sequence[PatientId], int], int | None]
"""Days between an instant (ms) and the nearest care by us of a patient."""

_COLUMNS: Final = (
    ENTRY.c.seq,
    ENTRY.c.entry_id,
    ENTRY.c.t.label("began"),
    ENTRY.c.leaf,
    PRIVATE.c.who,
    PRIVATE.c.query,
    PRIVATE.c.docs,
)


class Rows:
    """Reads legs of the log for detectors."""

    def __init__(self, engine: Engine, key: LedgerKey) -> None:
        """``key`` opens private groups."""
        self._engine = engine
        self._key = key

    def of_peer(self, hcid: str, since: int, until: int) -> list[Seen]:
        """The legs with a peer, in both directions."""
        query = (
            select(*_COLUMNS)
            .outerjoin(PRIVATE, PRIVATE.c.seq == ENTRY.c.seq)
            .where(
                ENTRY.c.peer == hcid,
                ENTRY.c.t >= since,
                ENTRY.c.t <= until,
                ENTRY.c.kind == Kind.EXCHANGE.value,
            )
            .order_by(ENTRY.c.t.desc(), ENTRY.c.seq.desc())
            .limit(MOST)
        )
        with self._engine.connect() as connection:
            return self._seen(connection, connection.execute(query).all())

    def of_actor(
        self, token: str, since: int, until: int, cared: Cared | None = None, *, after: int = -1
    ) -> list[Seen]:
        """The legs in which one of ours asked; care is looked up for entries ``after`` a number."""
        query = (
            select(*_COLUMNS)
            .select_from(TOKEN)
            .join(ENTRY, ENTRY.c.seq == TOKEN.c.seq)
            .outerjoin(PRIVATE, PRIVATE.c.seq == ENTRY.c.seq)
            .where(
                TOKEN.c.token == bytes.fromhex(token),
                TOKEN.c.t >= since,
                TOKEN.c.t <= until,
                TOKEN.c.part == "who",
                ENTRY.c.direction == Direction.INITIATING.value,
                ENTRY.c.kind == Kind.EXCHANGE.value,
            )
            .order_by(TOKEN.c.t.desc(), TOKEN.c.seq.desc())
            .limit(MOST)
        )
        with self._engine.connect() as connection:
            found = connection.execute(query).all()
            return self._seen(connection, found, cared, after=after)

    def _seen(
        self,
        connection: Connection,
        found: Sequence[Row[*tuple[Any, ...]]],
        cared: Cared | None = None,
        *,
        after: int = -1,
    ) -> list[Seen]:
        people, users = _tokens(connection, [row.seq for row in found])
        return [
            each
            for row in reversed(found)
            if (each := self._one(row, people, users, cared if row.seq > after else None))
        ]

    def _one(
        self,
        row: Row[*tuple[Any, ...]],
        people: Mapping[int, set[str]],
        users: Mapping[int, str],
        cared: Cared | None,
    ) -> Seen | None:
        fields = fields_of(row.leaf)
        if "test" in fields:
            return None  # our own connectivity tests are about nobody
        who = _group(self._key, row.entry_id, "who", row.who)
        query = _group(self._key, row.entry_id, "query", row.query)
        npi = who.get("npi") if isinstance(who, dict) else None
        return Seen(
            seq=row.seq,
            t=row.began,
            exchange=str(fields["exch"]),
            direction=str(fields["dir"]),
            txn=str(fields["txn"]),
            outcome=str(fields["outcome"]),
            reason=_text(fields.get("reason")),
            purpose=_text(fields.get("purpose")),
            docs=int(fields["docs"]),
            people=frozenset(people.get(row.seq, ())),
            user=users.get(row.seq),
            npi=npi if isinstance(npi, str) else None,
            question=_question(query),
            files=tuple(_files(_group(self._key, row.entry_id, "docs", row.docs))),
            cared=cared(_identifiers(query), row.began) if cared else None,
        )


def _tokens(
    connection: Connection, seqs: Sequence[int]
) -> tuple[dict[int, set[str]], dict[int, str]]:
    """The tokens of patients, and of the person who asked, by entry."""
    people: dict[int, set[str]] = defaultdict(set)
    users: dict[int, str] = {}
    columns = (TOKEN.c.seq, TOKEN.c.token, TOKEN.c.part)
    for first in range(0, len(seqs), _AT_ONCE):
        part = seqs[first : first + _AT_ONCE]
        query = select(*columns).where(
            TOKEN.c.seq.in_(part), TOKEN.c.part.in_(("patient", "query", "who"))
        )
        for seq, token, group in connection.execute(query):
            if group == "who":
                users[seq] = token.hex()
            else:
                people[seq].add(token.hex())
    return people, users


def _group(key: LedgerKey, entry_id: str, name: str, blob: bytes | None) -> object:
    if blob is None:
        return None
    try:
        return unseal(key, entry_id, name, blob).value
    except (OurFault, orjson.JSONDecodeError):
        return None


def _question(group: object) -> Question | None:
    """What a question was asked with, without whom it is about."""
    if not isinstance(group, dict):
        return None
    known = group.get("demographics")
    if isinstance(known, dict):
        addresses, identifiers = _dicts(known, "addresses"), _dicts(known, "identifiers")
        states = [state for each in addresses if (state := _text(each.get("state")))]
        digits = next((d for each in identifiers if (d := _digits(each.get("id")))), None)
        return Question(
            strong=len(addresses) + len(identifiers) + len(_dicts(known, "telecoms")),
            state=states[0].strip().upper()[:2] if states else None,
            number=digits,
        )
    parameters = group.get("parameters")
    if isinstance(parameters, list):
        names = [str(each[0]) for each in parameters if isinstance(each, list) and each]
        return Question(dated=any(_DATED.match(n) or n in _DATES for n in names))
    return None


def _identifiers(group: object) -> list[PatientId]:
    """The identifiers that a question was asked with; they are compared and let go."""
    if not isinstance(group, dict):
        return []
    known = group.get("demographics")
    return [
        PatientId(assigning_authority=authority, id=value)
        for each in _dicts(known if isinstance(known, dict) else {}, "identifiers")
        if (authority := _text(each.get("assigning_authority")))
        and (value := _text(each.get("id")))
    ]


def _files(group: object) -> Iterable[File]:
    for row in group if isinstance(group, list) else ():
        if isinstance(row, dict) and (digest := _text(row.get("sha256"))):
            size = row.get("size")
            yield File(digest=digest, size=size if isinstance(size, int) else None)


def _dicts(group: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    value = group.get(name)
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _digits(value: object) -> int | None:
    found = _DIGITS.search(value) if isinstance(value, str) else None
    return int(found[0]) if found else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
