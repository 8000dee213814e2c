"""Taking a signed network list into the directory, in one transaction.

What the list says of an organisation replaces what an unsigned source said of it: an id that
another source brought first is taken over. Keys of the list are kept apart from the operator's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import TypeVar

from sqlalchemy import Connection, Engine, delete, insert, select
from sqlmodel import col

from directory.checks import Rules, rules
from directory.errors import DirectoryError
from directory.importing import import_rows, remove_rows
from directory.listed import SOURCE, ListedPin, listed_organizations, listed_pins, listed_rows
from directory.mapping import community_mapping
from directory.state import bump_changes, reading, writing
from directory.tables import ListedPinRow, OrganizationRow, SourceRow
from directory.upsert import ImportSettings, remove_organizations
from trust.network_list.listing import NetworkList

T = TypeVar("T")
_CHUNK = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What taking a list in did to the directory; all zero when nothing was new."""

    added: int = 0
    changed: int = 0
    removed: int = 0
    taken_over: int = 0
    pins_added: int = 0
    pins_removed: int = 0


def take_list(
    engine: Engine, listed: NetworkList, *, now: datetime, check_rules: Rules | None = None
) -> Taken:
    """Makes the directory say what a checked list says at a moment.

    Raises:
        DirectoryError: ``directory-unavailable``; nothing has changed then.
    """
    used = check_rules or rules()
    organizations = {organization.id for organization in listed_organizations(listed, now=now)}
    settings = ImportSettings(source=SOURCE, mapping=community_mapping(), rules=used, now=now)
    with writing(engine) as connection:
        bump_changes(connection)
        taken_over = _take_over(connection, sorted(organizations))
        pins = _replace_pins(connection, listed_pins(listed, now=now), now)
        if organizations:
            report = import_rows(connection, listed_rows(listed, now=now), settings)
            counts = report.organizations
            added, changed, removed = counts.added, counts.changed, counts.removed
        else:
            added, changed, removed = 0, 0, _remove_all(connection, used)
    return Taken(
        added=added,
        changed=changed,
        removed=removed,
        taken_over=taken_over,
        pins_added=pins[0],
        pins_removed=pins[1],
    )


def drop_list(engine: Engine, *, check_rules: Rules | None = None) -> Taken:
    """Removes what a signed list brought: its entries and its keys.

    What the operator decided about an organisation (pins, suspension, profile) stays, as with every
    source that goes.

    Raises:
        DirectoryError: ``directory-unavailable``; nothing has changed then.
    """
    with writing(engine) as connection:
        pins = connection.execute(delete(ListedPinRow)).rowcount
        removed = _remove_all(connection, check_rules or rules())
        if pins or removed:
            bump_changes(connection)
    return Taken(removed=removed, pins_removed=pins)


def listed_ids(engine: Engine) -> frozenset[str]:
    """The ids of all organisations that a signed list brought."""
    statement = select(col(OrganizationRow.id)).where(col(OrganizationRow.source) == SOURCE)
    with reading(engine) as connection:
        return frozenset(connection.scalars(statement))


def refuse_listed_source(source: str) -> None:
    """Nobody may import unsigned rows under the name of the signed list.

    Raises:
        DirectoryError: ``source-invalid``.
    """
    if source == SOURCE:
        raise DirectoryError("source-invalid", f"The source {SOURCE} is for the signed list alone.")


def _take_over(connection: Connection, identities: Sequence[str]) -> int:
    taken = 0
    for chunk in _chunks(identities):
        statement = select(col(OrganizationRow.id)).where(
            col(OrganizationRow.id).in_(chunk), col(OrganizationRow.source) != SOURCE
        )
        others = list(connection.scalars(statement))
        remove_organizations(connection, others)
        taken += len(others)
    return taken


def _replace_pins(
    connection: Connection, wanted: frozenset[ListedPin], now: datetime
) -> tuple[int, int]:
    table = ListedPinRow
    rows = connection.execute(select(col(table.organization_id), col(table.spki), col(table.use)))
    held = {tuple(row) for row in rows}
    new = {(pin.organization_id, pin.spki, pin.use.value) for pin in wanted}
    if held == new:
        return 0, 0
    connection.execute(delete(table))
    listed_at = now.astimezone(UTC).isoformat(timespec="milliseconds")
    for chunk in _chunks(sorted(new)):
        values = [
            {"organization_id": one, "spki": spki, "use": use, "listed_at": listed_at}
            for one, spki, use in chunk
        ]
        connection.execute(insert(table), values)
    return len(new - held), len(held - new)


def _remove_all(connection: Connection, used: Rules) -> int:
    known = select(col(SourceRow.name)).where(col(SourceRow.name) == SOURCE)
    if connection.execute(known).first() is None:
        return 0
    return remove_rows(connection, SOURCE, used)[0]


def _chunks(items: Iterable[T]) -> Iterator[list[T]]:
    stream = iter(items)
    while chunk := list(islice(stream, _CHUNK)):
        yield chunk
