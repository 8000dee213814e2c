"""Whom an exchange is about, from its private groups: opened for somebody who may have it shown."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from pydantic import TypeAdapter, ValidationError
from sqlalchemy import Engine, select

from node.errors import CodedError
from node.governance.exchanges import Exchange
from node.ledger.private import LedgerKey, unseal
from node.model import Demographics, PatientId
from node.storage.tables import PRIVATE
from node.wire.identifiers import parse_cx

MOST_LEGS: Final = 100
"""Legs whose groups are opened; all legs of an exchange are about one person."""

MOST_IDS: Final = 50
_DEMOGRAPHICS: Final = TypeAdapter(Demographics)


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """What the log holds of a person.

    Attributes:
        demographics: what was asked with; ``None`` where nothing was, or it was erased.
        ids: the identifiers of the person, each once, in the order of the legs.
    """

    demographics: Demographics | None = field(repr=False)
    ids: tuple[PatientId, ...] = field(repr=False)


def person_of(engine: Engine, key: LedgerKey, exchange: Exchange) -> Person:
    """Whom an exchange is about. A group that does not open is left out."""
    names = {leg.entry.seq: leg.entry.entry_id for leg in exchange.legs[:MOST_LEGS]}
    query = (
        select(PRIVATE.c.seq, PRIVATE.c.patient, PRIVATE.c.query)
        .where(PRIVATE.c.seq.in_(names))
        .order_by(PRIVATE.c.seq)
    )
    with engine.connect() as connection:
        rows = connection.execute(query).all()
    asked: Demographics | None = None
    ids: dict[str, PatientId] = {}
    for row in rows:
        entry_id = names[row.seq]
        asked = asked or _demographics(_opened(key, entry_id, "query", row.query))
        group = _opened(key, entry_id, "patient", row.patient)
        given = group.get("ids", []) if isinstance(group, dict) else []
        for text in given if isinstance(given, list) else []:
            found = _identifier(text)
            if found is not None and len(ids) < MOST_IDS:
                ids.setdefault(found.cx, found)
    if asked is not None:
        ids = {each.cx: each for each in asked.identifiers} | ids
    return Person(demographics=asked, ids=tuple(ids.values())[:MOST_IDS])


def _opened(key: LedgerKey, entry_id: str, group: str, blob: bytes | None) -> object:
    if blob is None:
        return None
    try:
        return unseal(key, entry_id, group, blob).value
    except CodedError:
        return None  # the exchange's page says that the group does not open


def _demographics(group: object) -> Demographics | None:
    given = group.get("demographics") if isinstance(group, dict) else None
    if given is None:
        return None
    try:
        return _DEMOGRAPHICS.validate_python(given)
    except ValidationError:
        return None


def _identifier(text: object) -> PatientId | None:
    try:
        return parse_cx(text) if isinstance(text, str) else None
    except CodedError:
        return None
