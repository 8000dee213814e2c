"""What one person asks for and another one has to approve: asked, decided once, done once.

Used in this way, by whoever has such a verb (a row of ``data/two_person.toml``)::

    two = TwoPerson(engine, ledger_key, own=own_hcid)
    what = {"hcid": hcid, "why": why}  # JSON-ready, exactly what is to be done
    asked = two.request("peer-suspend", what, who, text=why, about=hcid, now=now)
    # a Request (its ``number`` is for pages), or a Refusal: a sentence for the form

    two.waiting(now=now)  # requests to be decided about, the first to end first
    two.read(number)  # a Request, or None
    two.asked_for(request)  # ``what`` and ``text`` as they were asked; None once erased

    # the second person: Request | Refusal | None (there is no such request)
    two.approve(number, who, digest=shown, text="", now=now)
    two.refuse(number, who, text=why, now=now)
    two.withdraw(number, who, now=now)  # who asked takes it back

    # carry it out, once; inside the transaction that does it, if there is one
    two.take(number, "peer-suspend", what, who=author, now=now)
    two.take_in(connection, number, "peer-suspend", what, who=author, now=now)
    two.expire(now=now)  # for a periodic round; every verb minds the time by itself

``digest`` in ``approve`` is of what the second person was shown (the form carries
``request.digest.hex()``): what is approved is what was read. ``take`` makes the digest of ``what``
again: nothing else can be done by an approval.

The rules (facts: governance-ux 6.3): the second person is not who asked, and has the verb's right;
a request stands for 72 hours and no longer, approved or not; it is decided about once and done
once. Each step, and each attempt that the rules stop, is an entry of the log in one transaction
with the row, under the log's own lock: two people at once are decided about one after the other.
The entry's leaf has the digest and the verb; what is asked for and what people wrote are in its
private group.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Final

import orjson
from sqlalchemy import Connection, Engine, func, insert, select, update

from node.governance.case_model import Refusal
from node.governance.two_person_model import (
    MOST_ABOUT,
    MOST_BYTES,
    MOST_OPEN,
    MOST_TEXT,
    STANDING,
    Asked,
    Request,
    Step,
    Who,
    barred,
    digest_of,
    not_in,
    short_text,
    stands_for,
    verbs,
)
from node.governance.two_person_reading import (
    MOST_LISTED,
    asked_for,
    read_request,
    request_of,
    waiting_requests,
)
from node.governance.two_person_tables import REQUEST
from node.ledger import leaf
from node.ledger.hold import lock_log
from node.ledger.private import LedgerKey
from node.ledger.trust_change import Author, TrustChange
from node.ledger.trust_log import NODE, write_fact
from node.storage.engine import IMMEDIATE


class TwoPerson:
    """Requests in the database. Usable from several threads. The schema must be migrated before."""

    def __init__(self, engine: Engine, key: LedgerKey, *, own: str) -> None:
        """``own`` is our HCID."""
        self._engine = engine
        self._immediate = engine.execution_options(**{IMMEDIATE: True})
        self._key = key
        self._own = own

    def request(
        self,
        verb: str,
        what: Mapping[str, object],
        who: Who,
        *,
        text: str,
        about: str | None = None,
        now: datetime,
    ) -> Request | Refusal:
        """Ask for something; the request, or why not.

        Raises:
            KeyError: for a verb that the table does not have.
            OurFault: when the log cannot take the entry; nothing is asked then.
        """
        with self._immediate.begin() as connection:
            return self.request_in(connection, verb, what, who, text=text, about=about, now=now)

    def request_in(
        self,
        connection: Connection,
        verb: str,
        what: Mapping[str, object],
        who: Who,
        *,
        text: str,
        about: str | None = None,
        now: datetime,
    ) -> Request | Refusal:
        """``request`` inside a transaction (an immediate one) that writes more."""
        row, digest = verbs()[verb], digest_of(verb, what)
        if row.ask not in who.rights:
            return Refusal(code="right-missing", sentence="You do not have the right to ask this.")
        short = short_text(text)
        if short is not None:
            return short
        if len(orjson.dumps(what)) > MOST_BYTES or len(about or "") > MOST_ABOUT:
            return Refusal(
                code="too-large", sentence="What is asked for is too large.", field="text"
            )
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
        receipt = self._write(connection, "ask", (verb, digest), who.author, private, now=now)
        last = connection.execute(select(func.max(REQUEST.c.id))).scalar() or 0
        values = {
            "id": last + 1,
            "verb": verb,
            "about": about,
            "digest": digest,
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

    def approve(
        self, number: int, who: Who, *, digest: bytes, text: str = "", now: datetime
    ) -> Request | Refusal | None:
        """Approve a request, as the second person; ``digest`` is of what that person was shown.

        Raises:
            OurFault: when the log cannot take the entry; nothing is changed then.
        """
        with self._immediate.begin() as connection:
            found = self._locked(connection, number, now)
            if found is None:
                return None
            stopped = barred(found, who)
            if stopped is None and digest != found.digest:
                stopped = Refusal(code="other-content", sentence="This is not what was asked for.")
            return self._step(
                connection, found, Step.APPROVED, who, now=now, text=text, stopped=stopped
            )

    def refuse(
        self, number: int, who: Who, *, text: str, now: datetime
    ) -> Request | Refusal | None:
        """Refuse a request, as the second person, with a reason.

        Raises:
            OurFault: as ``approve``.
        """
        with self._immediate.begin() as connection:
            found = self._locked(connection, number, now)
            if found is None:
                return None
            stopped = barred(found, who)
            short = None if stopped else short_text(text)
            if short is not None:
                return short
            return self._step(
                connection, found, Step.REFUSED, who, now=now, text=text, stopped=stopped
            )

    def withdraw(self, number: int, who: Who, *, now: datetime) -> Request | Refusal | None:
        """Take a request back, approved or not, as who asked.

        Raises:
            OurFault: as ``approve``.
        """
        with self._immediate.begin() as connection:
            found = self._locked(connection, number, now)
            if found is None:
                return None
            stopped = not_in(found, STANDING)
            if stopped is None and who.login != found.asker:
                stopped = Refusal(code="not-yours", sentence="Only who asked withdraws a request.")
            return self._step(connection, found, Step.WITHDRAWN, who, now=now, stopped=stopped)

    def take(
        self, number: int, verb: str, what: Mapping[str, object], *, who: Author, now: datetime
    ) -> Request | Refusal | None:
        """Use an approval: once, for exactly ``what``; ``who`` carries it out.

        Raises:
            OurFault: as ``approve``.
        """
        with self._immediate.begin() as connection:
            return self.take_in(connection, number, verb, what, who=who, now=now)

    def take_in(
        self,
        connection: Connection,
        number: int,
        verb: str,
        what: Mapping[str, object],
        *,
        who: Author,
        now: datetime,
    ) -> Request | Refusal | None:
        """``take`` inside a transaction (an immediate one) that also does what was asked for."""
        found = self._locked(connection, number, now)
        if found is None:
            return None
        stopped = not_in(found, (Step.APPROVED,))
        if stopped is None and digest_of(verb, what) != found.digest:
            stopped = Refusal(code="other-content", sentence="This is not what was approved.")
        return self._step(connection, found, Step.DONE, who, now=now, stopped=stopped)

    def expire(self, *, now: datetime) -> int:
        """End the requests whose time is over, some at once; how many were."""
        query = select(REQUEST.c.id).where(
            REQUEST.c.state.in_([each.value for each in STANDING]),
            REQUEST.c.until <= leaf.milliseconds(now),
        )
        with self._engine.connect() as connection:
            numbers = list(connection.execute(query.limit(MOST_LISTED)).scalars())
        for number in numbers:
            with self._immediate.begin() as connection:
                self._locked(connection, number, now)
        return len(numbers)

    def read(self, number: int) -> Request | None:
        """A request by its number, as the last step left it."""
        return read_request(self._engine, number)

    def waiting(self, *, now: datetime, verb: str | None = None) -> tuple[Request, ...]:
        """Requests that a second person has to decide about, the first to end first."""
        return waiting_requests(self._engine, now=now, verb=verb)

    def asked_for(self, request: Request) -> Asked | None:
        """What exactly is asked for; ``None`` where it was erased from the log.

        Raises:
            OurFault: when the log's private part does not open.
        """
        return asked_for(self._engine, self._key, request)

    # --- inside a transaction -------------------------------------------------------------------

    def _locked(self, connection: Connection, number: int, now: datetime) -> Request | None:
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

    def _step(
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
