"""Decisions about bindings, kept once each beside the log that names them.

A leaf names a decision by the SHA-256 of its bytes (field ``trust``); the bytes stand in a table of
their own, written in the transaction of the first entry that names them. Anybody can check that the
bytes are the ones that the leaf means.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import Final

from sqlalchemy import Connection, select

from node.storage.bulk import placeholder, run_statement
from node.storage.tables import DECISION
from trust.decision import TrustDecision

_REMEMBERED: Final = 10_000
_INSERT: Final = (
    "INSERT INTO trust_decision (digest, body) VALUES ({0}, {0}) ON CONFLICT (digest) DO NOTHING"
)


class DecisionWriter:
    """Writes decisions in the writer's transactions; remembers which ones are durable.

    Used by the writer's thread alone. A transaction may fail after this wrote into it: a decision
    counts as durable only once a later transaction has seen it.
    """

    def __init__(self) -> None:
        self._durable: OrderedDict[str, None] = OrderedDict()
        self._written: set[str] = set()

    def write(self, connection: Connection, decisions: Iterable[TrustDecision | None]) -> None:
        """Insert what is not known to be there, inside the caller's transaction."""
        new = {
            decision.digest: decision.body
            for decision in decisions
            if decision is not None and decision.digest not in self._durable
        }
        if not new:
            return
        self._settle(connection)
        sql = _INSERT.format(placeholder(connection.dialect))
        for digest, body in sorted(new.items()):  # one order: no two writers wait for each other
            if digest not in self._durable:
                run_statement(connection, sql, (digest, body))
                self._written.add(digest)

    def _settle(self, connection: Connection) -> None:
        """Learn which decisions of former transactions were committed."""
        if not self._written:
            return
        query = select(DECISION.c.digest).where(DECISION.c.digest.in_(sorted(self._written)))
        for (digest,) in connection.execute(query):
            self._durable[digest] = None
        while len(self._durable) > _REMEMBERED:
            self._durable.popitem(last=False)
        self._written.clear()


def read_decision(connection: Connection, digest: str) -> bytes | None:
    """The bytes of a decision, or ``None``."""
    query = select(DECISION.c.body).where(DECISION.c.digest == digest)
    found: bytes | None = connection.execute(query).scalar_one_or_none()
    return found
