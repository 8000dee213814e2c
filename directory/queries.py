"""The directory's lookups as SQL statements; each one is served by an index (a test proves it).

An organisation is always loaded by ONE statement together with its standalone endpoints and local
settings: a statement sees one state of the database, so no reader sees half an import.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, exists, select, tuple_
from sqlmodel import col

from directory.tables import (
    EndpointRow,
    FindingRow,
    IdentifierRow,
    ListedPinRow,
    LocalRow,
    OrganizationRow,
    OwnerRow,
    PinRow,
    ServiceRow,
    WordRow,
)

Rows = Select[*tuple[Any, ...]]
"""A statement whose rows have the columns its docstring names."""

HCID = "hcid"
TEFCAID = "tefcaid"
AAID = "aaid"
NPI = "npi"
_MAX_WORDS = 12
_MAX_WORD = 40
_MAX_NAME = 200
_LAST = "\U0010ffff"
_WORD = re.compile(r"[^\W_]+")


def name_key(name: str) -> str:
    """The form of a name by which entries are sorted: case and accents folded, at most 200."""
    if name.isascii() and name.isprintable():
        return " ".join(name.lower().split())[:_MAX_NAME]
    folded = unicodedata.normalize("NFKD", name.casefold())
    kept = "".join(
        c for c in folded if not unicodedata.combining(c) and (c.isprintable() or c.isspace())
    )
    return " ".join(kept.split())[:_MAX_NAME]


def words_of(name: str) -> tuple[str, ...]:
    """The distinct words of a name, folded; at most twelve of at most 40 characters."""
    found = (word[:_MAX_WORD] for word in _WORD.findall(name_key(name)))
    return tuple(dict.fromkeys(found))[:_MAX_WORDS]


def organizations() -> Rows:
    """Every organisation with its standalone endpoints and local settings, by id."""
    return (
        select(
            col(OrganizationRow.id),
            col(OrganizationRow.content),
            col(EndpointRow.content),
            col(EndpointRow.inherits),
            col(LocalRow.suspended),
            col(LocalRow.reason),
            col(LocalRow.profile),
            col(OrganizationRow.source),
        )
        .select_from(OrganizationRow)
        .outerjoin(OwnerRow, col(OwnerRow.organization_id) == col(OrganizationRow.id))
        .outerjoin(
            EndpointRow,
            and_(
                col(EndpointRow.source) == col(OwnerRow.source),
                col(EndpointRow.id) == col(OwnerRow.endpoint_id),
                col(EndpointRow.content).is_not(None),
            ),
        )
        .outerjoin(LocalRow, col(LocalRow.organization_id) == col(OrganizationRow.id))
        .order_by(col(OrganizationRow.id))
    )


def by_id(identity: str) -> Rows:
    """The organisation with an id."""
    return organizations().where(col(OrganizationRow.id) == identity)


def by_identifier(value: str, kind: str | None = None) -> Rows:
    """Organisations with an identifier, of one kind or of any."""
    holders = select(col(IdentifierRow.organization_id)).where(col(IdentifierRow.value) == value)
    if kind is not None:
        holders = holders.where(col(IdentifierRow.kind) == kind)
    return organizations().where(col(OrganizationRow.id).in_(holders))


def by_host(host: str) -> Rows:
    """Organisations with an endpoint on a host."""
    holders = (
        select(col(OwnerRow.organization_id))
        .join(
            EndpointRow,
            and_(
                col(EndpointRow.source) == col(OwnerRow.source),
                col(EndpointRow.id) == col(OwnerRow.endpoint_id),
            ),
        )
        .where(col(EndpointRow.host) == host)
    )
    return organizations().where(col(OrganizationRow.id).in_(holders))


def by_transaction(transaction: str) -> Rows:
    """Organisations with an endpoint that serves a transaction."""
    holders = (
        select(col(OwnerRow.organization_id))
        .join(
            ServiceRow,
            and_(
                col(ServiceRow.source) == col(OwnerRow.source),
                col(ServiceRow.endpoint_id) == col(OwnerRow.endpoint_id),
            ),
        )
        .where(col(ServiceRow.transaction) == transaction)
    )
    return organizations().where(col(OrganizationRow.id).in_(holders))


def by_pin(spki: str) -> Rows:
    """Organisations to which a key is pinned."""
    pinned = select(col(PinRow.organization_id)).where(col(PinRow.spki) == spki)
    listed = select(col(ListedPinRow.organization_id)).where(col(ListedPinRow.spki) == spki)
    holders = pinned.union(listed)
    return organizations().where(col(OrganizationRow.id).in_(holders))


def child_ids(parent: str, limit: int, after: str | None) -> Rows:
    """Ids of the entries directly below another, by id."""
    statement = select(col(OrganizationRow.id)).where(col(OrganizationRow.part_of) == parent)
    if after is not None:
        statement = statement.where(col(OrganizationRow.id) > after)
    return statement.order_by(col(OrganizationRow.id)).limit(limit)


def ids(identities: list[str]) -> Rows:
    """The organisations with these ids."""
    return organizations().where(col(OrganizationRow.id).in_(identities))


def named_ids(words: tuple[str, ...], limit: int, after: tuple[str, str] | None) -> Rows:
    """Ids and name keys of entries whose name has a word that begins with each given word."""
    statement = select(col(OrganizationRow.name_key), col(OrganizationRow.id))
    longest = max(words, key=len, default=None)
    if longest is not None:
        statement = statement.where(
            col(OrganizationRow.id).in_(
                select(col(WordRow.organization_id)).where(_begins(longest))
            )
        )
    for word in words:
        if word != longest:
            statement = statement.where(
                exists().where(
                    col(WordRow.organization_id) == col(OrganizationRow.id), _begins(word)
                )
            )
    if after is not None:
        statement = statement.where(
            tuple_(col(OrganizationRow.name_key), col(OrganizationRow.id)) > after
        )
    return statement.order_by(col(OrganizationRow.name_key), col(OrganizationRow.id)).limit(limit)


def findings(
    *,
    source: str | None,
    severity: str | None,
    code: str | None,
    resource_id: str | None,
    limit: int,
    after: int,
) -> Rows:
    """Stored findings in the order they were made."""
    statement = select(FindingRow).where(col(FindingRow.id) > after)
    for column, value in (
        (col(FindingRow.source), source),
        (col(FindingRow.severity), severity),
        (col(FindingRow.code), code),
        (col(FindingRow.resource_id), resource_id),
    ):
        if value is not None:
            statement = statement.where(column == value)
    return statement.order_by(col(FindingRow.id)).limit(limit)


def _begins(word: str) -> ColumnElement[bool]:
    return and_(col(WordRow.word) >= word, col(WordRow.word) < word + _LAST)
