"""Which exchange asks anew what an earlier one asked: linked both ways, never the same one.

The later exchange is one like any other, under the authority of who asked it. That it asks what
another did is an entry of the log, written with the link in one transaction.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Engine, insert, select

from node.ledger.hold import lock_log
from node.ledger.private import LedgerKey
from node.ledger.trust_change import Author, TrustChange
from node.ledger.trust_log import write_fact
from node.storage.engine import IMMEDIATE
from node.storage.link_tables import LINK

MOST: Final = 10
"""Later exchanges that are named, the newest ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Links:
    """The exchange that one asks anew, and those that ask it anew, newest first."""

    earlier: str | None
    later: tuple[str, ...]


class AskedAnew:
    """Writes and reads the links. Usable from several threads."""

    def __init__(self, engine: Engine, key: LedgerKey, *, own: str) -> None:
        """``own`` is our HCID."""
        self._engine = engine
        self._immediate = engine.execution_options(**{IMMEDIATE: True})
        self._key = key
        self._own = own

    def note(
        self, earlier: str, later: str, author: Author, *, why: str, patient: str, now: datetime
    ) -> None:
        """Write down that ``later`` asks what ``earlier`` asked; ``patient`` is a keyed token.

        A link that is there already stays as it is.

        Raises:
            OurFault: when the log cannot take the entry; nothing is written then.
        """
        private = {"exchange": earlier, "later": later, "why": why, "patient": patient}
        change = TrustChange(act="exchange-ask-anew", private=private)
        with self._immediate.begin() as connection:
            lock_log(connection)
            known = select(LINK.c.later).where(LINK.c.later == later)
            if connection.execute(known).scalar() is not None:
                return
            receipt, _ = write_fact(
                connection, self._key, change, author=author, own=self._own, now=now
            )
            values = {"later": later, "earlier": earlier, "seq": receipt.seq}
            connection.execute(insert(LINK).values(**values))

    def links(self, exchange_id: str) -> Links:
        """What an exchange is linked with."""
        earlier = select(LINK.c.earlier).where(LINK.c.later == exchange_id)
        later = (
            select(LINK.c.later)
            .where(LINK.c.earlier == exchange_id)
            .order_by(LINK.c.seq.desc())
            .limit(MOST)
        )
        with self._engine.connect() as connection:
            return Links(
                earlier=connection.execute(earlier).scalar(),
                later=tuple(connection.execute(later).scalars()),
            )
