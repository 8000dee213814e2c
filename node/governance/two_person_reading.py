"""Requests for a second person, read: one, those that wait, and what exactly one asks for."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import Engine, select
from sqlalchemy.engine import RowMapping

from node.governance.two_person_model import Asked, Request, Step, digest_of
from node.governance.two_person_tables import REQUEST
from node.ledger import leaf
from node.ledger.private import LedgerKey
from node.ledger.show import show

MOST_LISTED: Final = 200
"""Requests in a list, and such as are ended at once."""


def read_request(engine: Engine, number: int) -> Request | None:
    """A request by its number, as the last step left it."""
    with engine.connect() as connection:
        row = connection.execute(select(REQUEST).where(REQUEST.c.id == number)).mappings().first()
    return request_of(row) if row else None


def waiting_requests(
    engine: Engine, *, now: datetime, verb: str | None = None
) -> tuple[Request, ...]:
    """Requests that a second person has to decide about, the first to end first."""
    query = select(REQUEST).where(
        REQUEST.c.state == Step.ASKED.value, REQUEST.c.until > leaf.milliseconds(now)
    )
    if verb is not None:
        query = query.where(REQUEST.c.verb == verb)
    with engine.connect() as connection:
        rows = connection.execute(query.order_by(REQUEST.c.until).limit(MOST_LISTED)).mappings()
        return tuple(request_of(row) for row in rows)


def asked_for(engine: Engine, key: LedgerKey, request: Request) -> Asked | None:
    """What exactly is asked for; ``None`` where it was erased from the log.

    Raises:
        OurFault: when the log's private part does not open.
    """
    shown = show(engine, request.seq, key)
    value = shown.groups["wire"].value if shown and "wire" in shown.groups else None
    if not isinstance(value, dict) or not isinstance(value.get("what"), dict):
        return None
    if digest_of(request.verb, value["what"]) != request.digest:
        return None
    return Asked(what=value["what"], text=str(value.get("text", "")))


def request_of(row: RowMapping | Mapping[str, Any]) -> Request:
    """A request from its row."""
    decided = row["decided"]
    return Request(
        number=row["id"],
        verb=row["verb"],
        about=row["about"],
        digest=bytes(row["digest"]),
        step=Step(row["state"]),
        asked=_instant(row["asked"]),
        asker=row["asker"],
        until=_instant(row["until"]),
        decided=None if decided is None else _instant(decided),
        decider=row["decider"],
        seq=row["seq"],
    )


def _instant(t: int) -> datetime:
    return datetime.fromtimestamp(t / 1000, UTC)
