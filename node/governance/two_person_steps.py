"""The steps of a request for a second person, inside a transaction: each a row and its entry.

The log is locked before a request is read: two people at once are decided about one after the
other. An attempt that the rules stop is an entry as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, func, insert, select, update

from node.governance.case_model import Refusal
from node.governance.two_person_model import (
    MOST_OPEN,
    MOST_TEXT,
    STANDING,
    Request,
    Step,
    Who,
    stands_for,
)
from node.governance.two_person_reading import request_of
from node.governance.two_person_tables import REQUEST
from node.ledger import leaf
from node.ledger.hold import lock_log
from node.ledger.private import LedgerKey
from node.ledger.trust_change import Author, TrustChange
from node.ledger.trust_log import NODE, write_fact


class Steps:
    """Writes steps; each method is called inside an immediate transaction."""

    def __init__(self, key: LedgerKey, *, own: str) -> None:
        """``own`` is our HCID."""
        self._key = key
        self._own = own

    def ask(
        self,
        connection: Connection,
        verb: tuple[str, bytes],
        who: Who,
        *,
        what: Mapping[str, object],
        text: str,
        about: str | None,
        now: datetime,
    ) -> Request | Refusal:
        """Write a new request of a verb with its digest, unless too many of the person's stand."""
        lock_log(connection)
        open_ = select(func.count()).where(
            REQUEST.c.asker == who.login,
            REQUEST.c.state.in_([each.value for each in STANDING]),
            REQUEST.c.until > leaf.milliseconds(now),
        )
        if (connection.execute(open_).scalar() or 0) >= MOST_OPEN:
            return Refusal(
                code="too-many",
                sentence=f"{MOST_OPEN} requests of yours still stand. Withdraw one first.",
            )
        private = {"what": dict(what), "text": text.strip(), "about": about}
        receipt = self._write(connection, "ask", verb, who.author, private, now=now)
        last = connection.execute(select(func.max(REQUEST.c.id))).scalar() or 0
        values = {
            "id": last + 1,
            "verb": verb[0],
            "about": about,
            "digest": verb[1],
            "state": Step.ASKED.value,
            "asked": leaf.milliseconds(now),
            "asker": who.login,
            "until": leaf.milliseconds(now + stands_for()),
            "decided": None,
            "decider": None,
            "seq": receipt,
        }
        connection.execute(insert(REQUEST).values(values))
        return request_of(values)

    def locked(self, connection: Connection, number: int, now: datetime) -> Request | None:
        """A request under the log's lock; one whose time is over ends here."""
        lock_log(connection)
        row = connection.execute(select(REQUEST).where(REQUEST.c.id == number)).mappings().first()
        if row is None:
            return None
        found = request_of(row)
        if found.step in STANDING and found.until <= now:
            self._write(connection, "expire", found, NODE, {"request": number}, now=now)
            _set(connection, found, Step.EXPIRED, now=now)
            return replace(found, step=Step.EXPIRED)
        return found

    def step(
        self,
        connection: Connection,
        found: Request,
        to: Step,
        who: Who | Author,
        *,
        now: datetime,
        text: str = "",
        stopped: Refusal | None = None,
    ) -> Request | Refusal:
        """Write a step, or the attempt that was stopped."""
        author = who.author if isinstance(who, Who) else who
        private: dict[str, object] = {"request": found.number}
        if text.strip():
            private["text"] = text.strip()[:MOST_TEXT]
        if stopped is not None:
            private |= {"to": to.value, "why": stopped.code}
            self._write(connection, "stop", found, author, private, now=now)
            return stopped
        self._write(connection, _ACTS[to], found, author, private, now=now)
        decider = None
        if isinstance(who, Who) and to in (Step.APPROVED, Step.REFUSED):
            decider = who.login
        _set(connection, found, to, decider=decider, now=now)
        if decider is None:
            return replace(found, step=to)
        return replace(found, step=to, decided=now, decider=decider)

    def _write(
        self,
        connection: Connection,
        act: str,
        about: Request | tuple[str, bytes],
        author: Author,
        private: Mapping[str, object],
        *,
        now: datetime,
    ) -> int:
        """Write an entry about a request, or about one that is made: its verb and digest."""
        if isinstance(about, Request):
            verb, digest, counts = about.verb, about.digest, {"first": about.seq}
        else:
            (verb, digest), counts = about, {}
        change = TrustChange(
            act=f"two-person-{act}",
            thing=digest.hex(),
            reason=verb,
            counts=counts,
            private={"verb": verb, **private},
        )
        receipt, _ = write_fact(
            connection, self._key, change, author=author, own=self._own, now=now
        )
        return receipt.seq


_ACTS: Final = {
    Step.APPROVED: "approve",
    Step.REFUSED: "refuse",
    Step.WITHDRAWN: "withdraw",
    Step.DONE: "done",
}


def _set(
    connection: Connection,
    found: Request,
    to: Step,
    *,
    decider: str | None = None,
    now: datetime,
) -> None:
    values: dict[str, object] = {"state": to.value}
    if decider is not None:
        values |= {"decided": leaf.milliseconds(now), "decider": decider}
    connection.execute(update(REQUEST).where(REQUEST.c.id == found.number).values(values))
