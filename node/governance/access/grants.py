"""Grants by broken glass in the database: given, found while they last, ended.

A grant is for one person, one patient and some hours, to read. That it was given is an entry of the
log in the same transaction; so is its end before the time. Who else breaks the glass for the same
patient needs a grant of their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Engine, RowMapping, delete, func, insert, select, update

from node.governance.access.tables import GRANT, GRANT_PATIENT
from node.ledger.hold import lock_log
from node.ledger.leaf import milliseconds
from node.ledger.private import LedgerKey
from node.ledger.trust_change import Author, TrustChange
from node.ledger.trust_log import write_fact
from node.storage.engine import IMMEDIATE


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """A grant. ``ended`` is set where it was ended before ``until``."""

    id: str
    login: str
    reason: str
    began: datetime
    until: datetime
    case: str
    ended: datetime | None = None


class Grants:
    """Usable from several threads. The schema must be migrated before."""

    def __init__(self, engine: Engine, key: LedgerKey, *, own: str) -> None:
        """``own`` is our HCID."""
        self._engine = engine
        self._immediate = engine.execution_options(**{IMMEDIATE: True})
        self._key = key
        self._own = own

    def give(
        self, grant: Grant, marks: Sequence[bytes], *, author: Author, about: dict[str, object]
    ) -> None:
        """Write a grant down for the patient with these tokens, with its entry.

        ``about`` is for the entry's private group: what was said, and the patient's token.

        Raises:
            OurFault: when the log cannot take the entry; nothing is given then.
        """
        with self._immediate.begin() as connection:
            lock_log(connection)
            receipt, _ = write_fact(
                connection,
                self._key,
                TrustChange(
                    act="glass-break",
                    reason=grant.reason,
                    private={"grant": grant.id, "case": grant.case, **about},
                ),
                author=author,
                own=self._own,
                now=grant.began,
            )
            connection.execute(
                insert(GRANT).values(
                    id=grant.id,
                    login=grant.login,
                    reason=grant.reason,
                    began=milliseconds(grant.began),
                    until=milliseconds(grant.until),
                    ended=None,
                    case_number=grant.case,
                    seq=receipt.seq,
                )
            )
            for mark in marks:
                connection.execute(insert(GRANT_PATIENT).values(mark=mark, grant_id=grant.id))

    def find(self, login: str, marks: Sequence[bytes], *, now: datetime) -> Grant | None:
        """A person's grant for a patient that counts now, the one that lasts longest."""
        ids = select(GRANT_PATIENT.c.grant_id).where(GRANT_PATIENT.c.mark.in_(marks))
        at = milliseconds(now)
        query = select(GRANT).where(
            GRANT.c.id.in_(ids),
            GRANT.c.login == login,
            GRANT.c.began <= at,
            GRANT.c.until > at,
            GRANT.c.ended.is_(None),
        )
        with self._engine.connect() as connection:
            ordered = query.order_by(GRANT.c.until.desc()).limit(1)
            row = connection.execute(ordered).mappings().first()
        return _grant(row) if row else None

    def end(self, login: str, grant_id: str, *, author: Author, now: datetime) -> bool:
        """End a person's own grant; whether there was one that counted.

        Raises:
            OurFault: when the log cannot take the entry; it is not ended then.
        """
        at = milliseconds(now)
        with self._immediate.begin() as connection:
            lock_log(connection)
            done = connection.execute(
                update(GRANT)
                .where(
                    GRANT.c.id == grant_id,
                    GRANT.c.login == login,
                    GRANT.c.until > at,
                    GRANT.c.ended.is_(None),
                )
                .values(ended=at)
            )
            if not done.rowcount:
                return False
            change = TrustChange(act="glass-end", private={"grant": grant_id})
            write_fact(connection, self._key, change, author=author, own=self._own, now=now)
        return True

    def purge(self, before: datetime) -> int:
        """Delete grants that were over before a time, which the log has as entries; how many."""
        old = GRANT.c.until < milliseconds(before)
        with self._immediate.begin() as connection:
            connection.execute(
                delete(GRANT_PATIENT).where(
                    GRANT_PATIENT.c.grant_id.in_(select(GRANT.c.id).where(old))
                )
            )
            return connection.execute(delete(GRANT).where(old)).rowcount

    def count_since(self, since: datetime) -> int:
        """How often the glass was broken since a time."""
        query = select(func.count()).where(GRANT.c.began >= milliseconds(since))
        with self._engine.connect() as connection:
            return connection.execute(query).scalar() or 0


def _grant(row: RowMapping) -> Grant:
    return Grant(
        id=row["id"],
        login=row["login"],
        reason=row["reason"],
        began=_instant(row["began"]),
        until=_instant(row["until"]),
        case=row["case_number"],
        ended=_instant(row["ended"]) if row["ended"] is not None else None,
    )


def _instant(t: int) -> datetime:
    return datetime.fromtimestamp(t / 1000, UTC)
