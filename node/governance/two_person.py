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

    # carry it out, once
    two.take(number, "peer-suspend", what, who=author, now=now)
    two.expire(now=now)  # for a periodic round; every verb minds the time by itself

``request`` and ``take`` go into a transaction (an immediate one) that writes more where it is given
as ``within``.

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
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime

import orjson
from sqlalchemy import Connection, Engine, select

from node.governance.case_model import Refusal
from node.governance.two_person_model import (
    MOST_ABOUT,
    MOST_BYTES,
    STANDING,
    Asked,
    Request,
    Step,
    Who,
    barred,
    digest_of,
    not_in,
    short_text,
    verbs,
)
from node.governance.two_person_reading import (
    MOST_LISTED,
    asked_for,
    read_request,
    waiting_requests,
)
from node.governance.two_person_steps import Steps
from node.governance.two_person_tables import REQUEST
from node.ledger import leaf
from node.ledger.private import LedgerKey
from node.ledger.trust_change import Author
from node.storage.engine import IMMEDIATE


class TwoPerson:
    """Requests in the database. Usable from several threads. The schema must be migrated before."""

    def __init__(self, engine: Engine, key: LedgerKey, *, own: str) -> None:
        """``own`` is our HCID."""
        self._engine = engine
        self._immediate = engine.execution_options(**{IMMEDIATE: True})
        self._key = key
        self._steps = Steps(key, own=own)

    def request(
        self,
        verb: str,
        what: Mapping[str, object],
        who: Who,
        *,
        text: str,
        about: str | None = None,
        now: datetime,
        within: Connection | None = None,
    ) -> Request | Refusal:
        """Ask for something; the request, or why not.

        Raises:
            KeyError: for a verb that the table does not have.
            OurFault: when the log cannot take the entry; nothing is asked then.
        """
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
        with self._transaction(within) as connection:
            return self._steps.ask(
                connection, (verb, digest), who, what=what, text=text, about=about, now=now
            )

    def approve(
        self, number: int, who: Who, *, digest: bytes, text: str = "", now: datetime
    ) -> Request | Refusal | None:
        """Approve a request, as the second person; ``digest`` is of what that person was shown.

        Raises:
            OurFault: when the log cannot take the entry; nothing is changed then.
        """
        with self._immediate.begin() as connection:
            found = self._steps.locked(connection, number, now)
            if found is None:
                return None
            stopped = barred(found, who)
            if stopped is None and digest != found.digest:
                stopped = Refusal(code="other-content", sentence="This is not what was asked for.")
            return self._steps.step(
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
            found = self._steps.locked(connection, number, now)
            if found is None:
                return None
            stopped = barred(found, who)
            short = None if stopped else short_text(text)
            if short is not None:
                return short
            return self._steps.step(
                connection, found, Step.REFUSED, who, now=now, text=text, stopped=stopped
            )

    def withdraw(self, number: int, who: Who, *, now: datetime) -> Request | Refusal | None:
        """Take a request back, approved or not, as who asked.

        Raises:
            OurFault: as ``approve``.
        """
        with self._immediate.begin() as connection:
            found = self._steps.locked(connection, number, now)
            if found is None:
                return None
            stopped = not_in(found, STANDING)
            if stopped is None and who.login != found.asker:
                stopped = Refusal(code="not-yours", sentence="Only who asked withdraws a request.")
            return self._steps.step(
                connection, found, Step.WITHDRAWN, who, now=now, stopped=stopped
            )

    def take(
        self,
        number: int,
        verb: str,
        what: Mapping[str, object],
        *,
        who: Author,
        now: datetime,
        within: Connection | None = None,
    ) -> Request | Refusal | None:
        """Use an approval: once, for exactly ``what``; ``who`` carries it out.

        Raises:
            OurFault: as ``approve``.
        """
        with self._transaction(within) as connection:
            found = self._steps.locked(connection, number, now)
            if found is None:
                return None
            stopped = not_in(found, (Step.APPROVED,))
            if stopped is None and digest_of(verb, what) != found.digest:
                stopped = Refusal(code="other-content", sentence="This is not what was approved.")
            return self._steps.step(connection, found, Step.DONE, who, now=now, stopped=stopped)

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
                self._steps.locked(connection, number, now)
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

    def _transaction(self, within: Connection | None) -> AbstractContextManager[Connection]:
        """The transaction that is given, or one of our own."""
        return nullcontext(within) if within is not None else self._immediate.begin()
