"""Puts names into the sentences of flags when they are read: none is stored beside a flag."""

from __future__ import annotations

from collections.abc import Callable

import orjson
from sqlalchemy import Engine, select

from node.errors import OurFault
from node.governance.detectors.flags import Flag
from node.governance.detectors.model import Subject
from node.ledger.private import LedgerKey, unseal
from node.storage.tables import ENTRY, PRIVATE


class FlagNames:
    """Reads who is flagged: a peer's name from the directory, a person's from the log."""

    def __init__(
        self, engine: Engine, key: LedgerKey, peer_name: Callable[[str], str | None]
    ) -> None:
        self._engine = engine
        self._key = key
        self._peer_name = peer_name

    def who(self, flag: Flag) -> str:
        """The name of whom a flag is about; the identifier where no name is to be had."""
        if flag.subject == Subject.PEER:
            return self._peer_name(flag.about) or flag.about
        return self._person(flag.last) or f"user {flag.about[:12]}"

    def sentence(self, flag: Flag) -> str:
        """The sentence of a flag with the name in it."""
        return flag.sentence.replace(f"{{{flag.subject}}}", self.who(flag))

    def _person(self, seq: int) -> str | None:
        query = (
            select(ENTRY.c.entry_id, PRIVATE.c.who)
            .join(PRIVATE, PRIVATE.c.seq == ENTRY.c.seq)
            .where(ENTRY.c.seq == seq)
        )
        with self._engine.connect() as connection:
            row = connection.execute(query).first()
        if row is None or row.who is None:
            return None
        try:
            who = unseal(self._key, row.entry_id, "who", row.who).value
        except (OurFault, orjson.JSONDecodeError):
            return None
        for name in ("subject_id", "user_id"):
            value = who.get(name) if isinstance(who, dict) else None
            if isinstance(value, str) and value:
                return value
        return None
