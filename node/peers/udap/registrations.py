"""Our registrations at peers, in the node's database: one for each community and client URI."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Engine, RowMapping, delete, select
from sqlalchemy.dialects import postgresql, sqlite

from node.storage.engine import IMMEDIATE
from node.storage.oauth_tables import REGISTRATION

_KEY = ("community", "registration_endpoint", "uri")


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """A registration of ours.

    Servers that share a registration endpoint are one: registering at the second changes the first
    (1.3). ``certificate`` is the SHA-256 of the certificate that we registered with.
    """

    community: str
    registration_endpoint: str
    uri: str
    base_url: str
    purpose: str
    client_id: str
    scope: str
    certificate: str
    registered: datetime


class RegistrationStore:
    """Reads and writes them; synchronous."""

    def __init__(self, engine: Engine) -> None:
        """``engine`` is the node's."""
        self._engine = engine
        self._insert = postgresql.insert if engine.dialect.name == "postgresql" else sqlite.insert

    def get(self, community: str, endpoint: str, uri: str) -> Registration | None:
        """Ours, at an endpoint, in a community."""
        query = select(REGISTRATION).where(
            REGISTRATION.c.community == community,
            REGISTRATION.c.registration_endpoint == endpoint,
            REGISTRATION.c.uri == uri,
        )
        with self._engine.connect() as connection:
            row = connection.execute(query).mappings().one_or_none()
        return _read(row) if row else None

    def all(self) -> list[Registration]:
        """All, the newest first."""
        query = select(REGISTRATION).order_by(REGISTRATION.c.registered.desc())
        with self._engine.connect() as connection:
            return [_read(row) for row in connection.execute(query).mappings()]

    def put(self, registration: Registration) -> None:
        """Keep one in place of what there was."""
        values: dict[str, Any] = {
            name: getattr(registration, name) for name in Registration.__slots__
        }
        values["registered"] = int(registration.registered.timestamp() * 1000)
        changed = {name: value for name, value in values.items() if name not in _KEY}
        with self._engine.execution_options(**{IMMEDIATE: True}).begin() as connection:
            connection.execute(
                self._insert(REGISTRATION)
                .values(**values)
                .on_conflict_do_update(index_elements=list(_KEY), set_=changed)
            )

    def drop(self, registration: Registration) -> None:
        """Forget one."""
        with self._engine.execution_options(**{IMMEDIATE: True}).begin() as connection:
            connection.execute(
                delete(REGISTRATION).where(
                    *(REGISTRATION.c[name] == getattr(registration, name) for name in _KEY)
                )
            )


def _read(row: RowMapping) -> Registration:
    values: dict[str, Any] = dict(row)
    values["registered"] = datetime.fromtimestamp(values["registered"] / 1000, UTC)
    return Registration(**values)
