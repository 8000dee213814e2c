"""The birth date of the person whom an entry is about, as far as the private groups tell.

A discovery was asked with one. What follows it (a query, a retrieve) has identifiers alone: then
the entries that share an identifier of the person are looked at, a few of them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import orjson
from sqlalchemy import Connection, select

from node.errors import OurFault
from node.ledger.private import LedgerKey, unseal
from node.storage.tables import ENTRY, PRIVATE, TOKEN

_PARTS: Final = ("patient", "query")
_RELATED: Final = 20  # entries of one person that are looked at
_REMEMBERED: Final = 100_000


class BirthDates:
    """Reads them; remembers people by their tokens while it lives."""

    def __init__(self, key: LedgerKey) -> None:
        """``key`` opens the private groups."""
        self._key = key
        self._known: dict[bytes, str | None] = {}

    def of(
        self, connection: Connection, rows: Sequence[Mapping[str, Any]]
    ) -> dict[int, str | None]:
        """By number of entries; ``None`` where nothing is known.

        Each row has ``seq``, ``entry_id``, ``patient`` and ``query``.
        """
        found = {row["seq"]: self._own(row) for row in rows}
        unknown = [seq for seq, birth in found.items() if birth is None]
        people = self._tokens(connection, unknown)
        for seq, tokens in people.items():
            dates = (self._of_person(connection, token) for token in tokens)
            found[seq] = next((date for date in dates if date is not None), None)
        return found

    def _own(self, row: Mapping[str, Any]) -> str | None:
        for group in _PARTS:
            birth = self._read(row["entry_id"], group, row[group])
            if birth is not None:
                return birth
        return None

    def _read(self, entry_id: str, group: str, blob: bytes | None) -> str | None:
        if blob is None:
            return None
        try:
            value = unseal(self._key, entry_id, group, bytes(blob)).value
        except (OurFault, orjson.JSONDecodeError):
            return None
        if not isinstance(value, dict):
            return None
        for place in (value.get("demographics"), value):
            if isinstance(place, dict) and isinstance(birth := place.get("birth_date"), str):
                return birth
        return None

    def _tokens(self, connection: Connection, seqs: Sequence[int]) -> dict[int, list[bytes]]:
        people: dict[int, list[bytes]] = defaultdict(list)
        if seqs:
            query = select(TOKEN.c.seq, TOKEN.c.token).where(
                TOKEN.c.seq.in_(seqs), TOKEN.c.part.in_(_PARTS)
            )
            for seq, token in connection.execute(query):
                people[seq].append(bytes(token))
        return people

    def _of_person(self, connection: Connection, token: bytes) -> str | None:
        if token not in self._known:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            self._known[token] = self._look(connection, token)
        return self._known[token]

    def _look(self, connection: Connection, token: bytes) -> str | None:
        newest = (
            select(TOKEN.c.seq)
            .where(TOKEN.c.token == token)
            .order_by(TOKEN.c.t.desc(), TOKEN.c.seq.desc())
            .limit(_RELATED)
        )
        seqs: Iterable[int] = connection.execute(newest).scalars().all()
        query = (
            select(ENTRY.c.entry_id, PRIVATE.c.patient, PRIVATE.c.query)
            .join(PRIVATE, PRIVATE.c.seq == ENTRY.c.seq)
            .where(ENTRY.c.seq.in_(seqs))
        )
        for row in connection.execute(query).mappings():
            if (birth := self._own(dict(row))) is not None:
                return birth
        return None
