"""What the operator decides about a partner: pinned keys, suspension, peer profile.

It lives apart from imported entries and survives every import, even one that removes the entry.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime

import orjson
from sqlalchemy import ColumnElement, Connection, Engine, delete, insert, select
from sqlmodel import col

from directory.errors import DirectoryError
from directory.model import Pin, PinUse
from directory.profile import Value, profile_value
from directory.state import bump_changes, reading, writing
from directory.tables import ListedPinRow, LocalRow, OrganizationRow, PinRow

_SPKI = re.compile(r"[0-9a-f]{64}")
_MAX_REASON = 500


class LocalSettings:
    """Pins and settings per organisation; ``written`` is called after each committed change.

    Every method that names an organisation raises ``DirectoryError`` ``unknown-organization`` when
    the directory has no such entry and nothing has been decided about it yet.
    """

    def __init__(self, engine: Engine, *, written: Callable[[], None]) -> None:
        self._engine = engine
        self._written = written

    def pin(self, organization_id: str, spki: str, use: PinUse, *, now: datetime) -> bool:
        """Tie a key to an organisation; returns whether it was new.

        Args:
            organization_id: directory id.
            spki: SHA-256 of the SubjectPublicKeyInfo, 64 hex digits (colons and case are ignored).
            use: what the key is used for.
            now: the instant.

        Raises:
            DirectoryError: ``pin-invalid``, ``unknown-organization``.
        """
        key = _spki(spki)
        with writing(self._engine) as connection:
            bump_changes(connection)
            _known(connection, organization_id)
            held = select(PinRow).where(*_same(organization_id, key, use))
            if connection.execute(held).first() is not None:
                return False
            row = {
                "organization_id": organization_id,
                "spki": key,
                "use": use.value,
                "pinned_at": _text(now),
            }
            connection.execute(insert(PinRow), [row])
        self._written()
        return True

    def unpin(self, organization_id: str, spki: str, use: PinUse) -> bool:
        """Forget a pinned key; returns whether it was there. Raises ``pin-invalid``."""
        key = _spki(spki)
        with writing(self._engine) as connection:
            bump_changes(connection)
            gone = connection.execute(delete(PinRow).where(*_same(organization_id, key, use)))
        self._written()
        return bool(gone.rowcount)

    def pins(self, organization_id: str) -> tuple[Pin, ...]:
        """The keys tied to an organisation, oldest first, then those of the network list."""
        statement = (
            select(PinRow)
            .where(col(PinRow.organization_id) == organization_id)
            .order_by(col(PinRow.pinned_at), col(PinRow.spki), col(PinRow.use))
        )
        listed = (
            select(ListedPinRow)
            .where(col(ListedPinRow.organization_id) == organization_id)
            .order_by(col(ListedPinRow.spki), col(ListedPinRow.use))
        )
        with reading(self._engine) as connection:
            rows = connection.execute(statement).all()
            listed_rows = connection.execute(listed).all()
        return tuple(
            Pin(
                organization_id=row.organization_id,
                spki=row.spki,
                use=PinUse(row.use),
                pinned_at=row.pinned_at,
            )
            for row in rows
        ) + tuple(
            Pin(
                organization_id=row.organization_id,
                spki=row.spki,
                use=PinUse(row.use),
                pinned_at=row.listed_at,
                listed=True,
            )
            for row in listed_rows
        )

    def pinned_to(self, spki: str) -> str | None:
        """The one organisation that a key is tied to, by us or by the network list."""
        with reading(self._engine) as connection:
            found = {
                str(owner)
                for table in (PinRow, ListedPinRow)
                for owner in connection.execute(
                    select(col(table.organization_id))
                    .where(col(table.spki) == spki)
                    .distinct()
                    .limit(2)
                ).scalars()
            }
        return found.pop() if len(found) == 1 else None

    def suspend(self, organization_id: str, reason: str, *, now: datetime) -> None:
        """Stop exchanging with an organisation.

        Raises:
            DirectoryError: ``reason-missing``, ``unknown-organization``.
        """
        reason = reason.strip()[:_MAX_REASON]
        if not reason:
            raise DirectoryError("reason-missing", "A suspension needs a reason.")
        self._change(organization_id, {"suspended": True, "reason": reason}, now)

    def resume(self, organization_id: str, *, now: datetime) -> None:
        """Exchange with an organisation again. Raises ``unknown-organization``."""
        self._change(organization_id, {"suspended": False, "reason": None}, now)

    def suspended(self, *, limit: int) -> tuple[str, ...]:
        """Ids of suspended organisations, at most so many, by id."""
        statement = (
            select(col(LocalRow.organization_id))
            .where(col(LocalRow.suspended).is_(True))
            .order_by(col(LocalRow.organization_id))
            .limit(limit)
        )
        with reading(self._engine) as connection:
            return tuple(connection.scalars(statement))

    def set_profile(
        self, organization_id: str, key: str, value: object | None, *, now: datetime
    ) -> Value | None:
        """Set one key of the peer profile (``None`` goes back to the default); returns the value.

        Raises:
            DirectoryError: ``profile-invalid``, ``unknown-organization``.
        """
        typed = None if value is None else profile_value(key, value)
        self._change(organization_id, {}, now, profile={key: typed})
        return typed

    def _change(
        self,
        organization_id: str,
        values: dict[str, object],
        now: datetime,
        *,
        profile: dict[str, Value | None] | None = None,
    ) -> None:
        with writing(self._engine) as connection:
            bump_changes(connection)
            _known(connection, organization_id)
            mine = col(LocalRow.organization_id) == organization_id
            held = connection.execute(select(LocalRow).where(mine)).first()
            settings: dict[str, object] = orjson.loads(held.profile) if held else {}
            settings.update(profile or {})
            kept = {key: value for key, value in settings.items() if value is not None}
            row: dict[str, object] = {
                "organization_id": organization_id,
                "suspended": bool(held and held.suspended),
                "reason": held.reason if held else None,
                **values,
                "profile": orjson.dumps(kept, option=orjson.OPT_SORT_KEYS).decode(),
                "changed_at": _text(now),
            }
            connection.execute(delete(LocalRow).where(mine))
            connection.execute(insert(LocalRow), [row])
        self._written()


def _known(connection: Connection, organization_id: str) -> None:
    for column in (OrganizationRow.id, LocalRow.organization_id, PinRow.organization_id):
        found = select(col(column)).where(col(column) == organization_id).limit(1)
        if connection.execute(found).first() is not None:
            return
    raise DirectoryError("unknown-organization", "The directory has no organisation with this id.")


def _same(organization_id: str, spki: str, use: PinUse) -> tuple[ColumnElement[bool], ...]:
    return (
        col(PinRow.organization_id) == organization_id,
        col(PinRow.spki) == spki,
        col(PinRow.use) == use.value,
    )


def _spki(text: str) -> str:
    key = text.replace(":", "").strip().lower()
    if not _SPKI.fullmatch(key):
        raise DirectoryError("pin-invalid", "This is not a SHA-256 in hex.")
    return key


def _text(now: datetime) -> str:
    return now.astimezone(UTC).isoformat(timespec="milliseconds")
