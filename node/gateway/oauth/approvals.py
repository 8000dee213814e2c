"""What people let apps do, in the node's database: launches, requests, approvals, tickets.

A ticket is a code or a refresh token. It is exchanged once: whoever brings it a second time has it
from somebody else, or somebody else had it, so the approval ends with everything that came of it
(RFC 9700 4.14.2). Calls are synchronous and short; rows go when their time is over.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Engine, RowMapping, Table, delete, func, select, update

from node.storage.approval_tables import APPROVAL, LAUNCH, REQUEST, TICKET
from node.storage.engine import IMMEDIATE
from node.storage.oauth_tables import ISSUED

MAX_REQUESTS = 10_000
"""Requests that wait for a person, at once: strangers make them, so their number is bounded."""

MAX_LAUNCHES = 10_000
REMEMBERED = timedelta(days=7)
"""How long it is known of a refresh token that it was exchanged."""

MAX_APPROVALS = 2000
"""Of one person at once."""


class Kind(StrEnum):
    """What a ticket is."""

    CODE = "code"
    REFRESH = "refresh"


@dataclass(frozen=True, slots=True, kw_only=True)
class Launched:
    """What an EHR knows when it opens an app: whose record, in which encounter, by which user."""

    client_id: str
    login: str | None = None
    patient: str | None = None
    encounter: str | None = None
    until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """What a person approved.

    Attributes:
        login: whose it is.
        scope: what was granted, as the token says it.
        patient: id of the Patient that the app was opened for.
        launched: whether an EHR opened it.
        nonce: for the id_token.
        entry_id: the log entry of the approval.
    """

    id: str
    client_id: str
    login: str
    scope: str
    patient: str | None
    encounter: str | None
    launched: bool
    nonce: str | None
    entry_id: str
    began: datetime
    until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """A code or a refresh token; ``is_again`` when it was exchanged before."""

    digest: bytes
    kind: Kind
    approval: str
    redirect_uri: str | None = None
    challenge: str | None = None
    until: datetime
    is_again: bool = False


class Approvals:
    """The store, over a database that was migrated."""

    def __init__(self, engine: Engine) -> None:
        """``engine`` is the node's."""
        self._engine = engine
        self._writing = engine.execution_options(**{IMMEDIATE: True})

    # --- before a person answers ------------------------------------------------------------------

    def add_launch(self, digest: bytes, launched: Launched, *, now: datetime) -> bool:
        """Remember what an app is opened for; ``False`` when there are too many."""
        with self._writing.begin() as connection:
            _forget(connection, LAUNCH, now)
            if _count(connection, LAUNCH) >= MAX_LAUNCHES:
                return False
            connection.execute(
                LAUNCH.insert().values(
                    digest=digest,
                    client_id=launched.client_id,
                    login=launched.login,
                    patient=launched.patient,
                    encounter=launched.encounter,
                    until=_ms(launched.until),
                )
            )
            return True

    def take_launch(self, digest: bytes, client_id: str, *, now: datetime) -> Launched | None:
        """What an app was opened for; it is told once, and to that app alone."""
        mine = (LAUNCH.c.digest == digest) & (LAUNCH.c.client_id == client_id)
        with self._writing.begin() as connection:
            _forget(connection, LAUNCH, now)
            row = connection.execute(select(LAUNCH).where(mine)).mappings().one_or_none()
            connection.execute(delete(LAUNCH).where(mine))
        if row is None:
            return None
        fields = {name: row[name] for name in ("client_id", "login", "patient", "encounter")}
        return Launched(**fields, until=_moment(row["until"]))

    def add_request(
        self, digest: bytes, client_id: str, body: Mapping[str, Any], *, until: datetime,
        now: datetime,
    ) -> bool:  # fmt: skip
        """Remember a request until a person answers; ``False`` when too many wait."""
        with self._writing.begin() as connection:
            _forget(connection, REQUEST, now)
            if _count(connection, REQUEST) >= MAX_REQUESTS:
                return False
            connection.execute(
                REQUEST.insert().values(
                    digest=digest,
                    client_id=client_id,
                    body=json.dumps(dict(body), sort_keys=True),
                    until=_ms(until),
                )
            )
            return True

    def request(self, digest: bytes, *, now: datetime) -> Mapping[str, Any] | None:
        """A request that waits."""
        query = select(REQUEST.c.body).where(REQUEST.c.digest == digest, REQUEST.c.until > _ms(now))
        with self._engine.connect() as connection:
            body = connection.execute(query).scalar_one_or_none()
        return None if body is None else dict(json.loads(body))

    def change_request(self, digest: bytes, body: Mapping[str, Any]) -> None:
        """Write what came to be known of it, such as the patient who was chosen."""
        text = json.dumps(dict(body), sort_keys=True)
        with self._writing.begin() as connection:
            connection.execute(update(REQUEST).where(REQUEST.c.digest == digest).values(body=text))

    def take_request(self, digest: bytes) -> bool:
        """End a request: it is answered once; ``False`` when it was."""
        with self._writing.begin() as connection:
            done = connection.execute(delete(REQUEST).where(REQUEST.c.digest == digest))
            return bool(done.rowcount == 1)

    # --- approvals and what comes of them ---------------------------------------------------------

    def approve(self, approval: Approval, code: Ticket, *, now: datetime) -> bool:
        """Write an approval with its code; ``False`` when the person has too many."""
        with self._writing.begin() as connection:
            _forget(connection, APPROVAL, now)
            _forget(connection, TICKET, now)
            if _count(connection, APPROVAL, APPROVAL.c.login == approval.login) >= MAX_APPROVALS:
                return False
            values = {name: getattr(approval, name) for name in Approval.__slots__}
            values |= {"began": _ms(approval.began), "until": _ms(approval.until)}
            connection.execute(APPROVAL.insert().values(**values))
            _add(connection, code)
            return True

    def approval(self, approval_id: str, *, now: datetime) -> Approval | None:
        """An approval that counts."""
        query = select(APPROVAL).where(APPROVAL.c.id == approval_id, APPROVAL.c.until > _ms(now))
        with self._engine.connect() as connection:
            row = connection.execute(query).mappings().one_or_none()
        return _approval(row) if row else None

    def add_ticket(self, ticket: Ticket) -> None:
        """Write the next refresh token of an approval."""
        with self._writing.begin() as connection:
            _add(connection, ticket)

    def ticket(self, digest: bytes, *, now: datetime) -> Ticket | None:
        """A ticket whose time is not over, used or not."""
        query = select(TICKET).where(TICKET.c.digest == digest, TICKET.c.until > _ms(now))
        with self._engine.connect() as connection:
            row = connection.execute(query).mappings().one_or_none()
        return _ticket(row) if row else None

    def use(self, ticket: Ticket, *, now: datetime) -> bool:
        """Exchange a ticket; ``False`` when it was before: then its approval has ended."""
        with self._writing.begin() as connection:
            done = connection.execute(
                update(TICKET)
                .where(TICKET.c.digest == ticket.digest, TICKET.c.used.is_(None))
                .values(used=_ms(now), until=_ms(min(ticket.until, now + REMEMBERED)))
            )
            if done.rowcount == 1:
                return True
            _end(connection, ticket.approval)
            return False

    def end(self, approval_id: str) -> None:
        """End an approval with its tickets and tokens."""
        with self._writing.begin() as connection:
            _end(connection, approval_id)


def _end(connection: Connection, approval_id: str) -> None:
    connection.execute(delete(ISSUED).where(ISSUED.c.approval == approval_id))
    connection.execute(delete(TICKET).where(TICKET.c.approval == approval_id))
    connection.execute(delete(APPROVAL).where(APPROVAL.c.id == approval_id))


def _add(connection: Connection, ticket: Ticket) -> None:
    connection.execute(
        TICKET.insert().values(
            digest=ticket.digest,
            kind=ticket.kind.value,
            approval=ticket.approval,
            redirect_uri=ticket.redirect_uri,
            challenge=ticket.challenge,
            until=_ms(ticket.until),
            used=None,
        )
    )


def _forget(connection: Connection, table: Table, now: datetime) -> None:
    connection.execute(delete(table).where(table.c.until <= _ms(now)))


def _count(connection: Connection, table: Table, condition: Any = None) -> int:
    query = select(func.count()).select_from(table)
    return connection.execute(query if condition is None else query.where(condition)).scalar_one()


def _approval(row: RowMapping) -> Approval:
    fields: dict[str, Any] = dict(row)
    return Approval(**fields | {name: _moment(fields[name]) for name in ("began", "until")})


def _ticket(row: RowMapping) -> Ticket:
    return Ticket(
        digest=row["digest"],
        kind=Kind(row["kind"]),
        approval=row["approval"],
        redirect_uri=row["redirect_uri"],
        challenge=row["challenge"],
        until=_moment(row["until"]),
        is_again=row["used"] is not None,
    )


def _ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


def _moment(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
