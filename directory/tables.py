"""The directory's tables (SQLModel, in the default metadata) for SQLite and PostgreSQL.

``directory_organization`` holds entries as published, with contained endpoints in their content.
``directory_endpoint`` has a row for every endpoint: standalone ones carry content, contained ones
only what is looked up, and name their organisation. ``directory_owner`` joins organisations and
endpoints, within one source only: a source cannot add endpoints to another source's entries.
``directory_pin`` and ``directory_local`` hold what the operator decided; imports never touch them.
``directory_listed_pin`` holds the keys of the signed network list.
"""

from __future__ import annotations

from sqlalchemy import Engine, Index, String, Text
from sqlalchemy.types import TypeEngine
from sqlmodel import Field, SQLModel


def _key(length: int) -> TypeEngine[str]:
    """Text compared byte by byte on both databases, so that prefix ranges use an index."""
    return String(length).with_variant(String(length, collation="C"), "postgresql")


class StateRow(SQLModel, table=True):
    """One row: how many imports and local changes there were; the two name the version."""

    __tablename__ = "directory_state"

    id: int = Field(primary_key=True)
    imports: int
    changes: int


class SourceRow(SQLModel, table=True):
    """Where entries come from, and its last import."""

    __tablename__ = "directory_source"

    name: str = Field(primary_key=True, sa_type=_key(64))
    version: int
    imported_at: str
    organizations: int
    endpoints: int


class OrganizationRow(SQLModel, table=True):
    """One entry. ``seen`` is the import that last had it; ``digest`` tells whether it changed."""

    __tablename__ = "directory_organization"
    __table_args__ = (
        Index("ix_directory_organization_name", "name_key", "id"),
        Index("ix_directory_organization_part_of", "part_of", "id"),
        Index("ix_directory_organization_source", "source", "seen"),
    )

    id: str = Field(primary_key=True, sa_type=_key(64))
    source: str = Field(sa_type=_key(64))
    seen: int
    digest: str = Field(sa_type=_key(64))
    name_key: str = Field(sa_type=_key(200))
    part_of: str | None = Field(default=None, sa_type=_key(200))
    content: str = Field(sa_type=Text)


class EndpointRow(SQLModel, table=True):
    """One endpoint; the id of a contained one is ``organisation#id``."""

    __tablename__ = "directory_endpoint"
    __table_args__ = (
        Index("ix_directory_endpoint_host", "host"),
        Index("ix_directory_endpoint_organization", "organization_id"),
        Index("ix_directory_endpoint_source", "source", "seen"),
    )

    source: str = Field(primary_key=True, sa_type=_key(64))
    id: str = Field(primary_key=True, sa_type=_key(130))
    organization_id: str | None = Field(default=None, sa_type=_key(64))
    managing_organization: str | None = Field(default=None, sa_type=_key(200))
    seen: int
    digest: str = Field(sa_type=_key(64))
    host: str | None = Field(default=None, sa_type=_key(255))
    inherits: bool
    content: str | None = Field(default=None, sa_type=Text)


class OwnerRow(SQLModel, table=True):
    """An organisation has an endpoint; ``derived`` from the endpoint's managing organisation."""

    __tablename__ = "directory_owner"
    __table_args__ = (Index("ix_directory_owner_endpoint", "source", "endpoint_id"),)

    organization_id: str = Field(primary_key=True, sa_type=_key(64))
    endpoint_id: str = Field(primary_key=True, sa_type=_key(200))
    source: str = Field(sa_type=_key(64))
    derived: bool


class ServiceRow(SQLModel, table=True):
    """An endpoint serves a transaction; ``organization_id`` is set for contained endpoints."""

    __tablename__ = "directory_service"
    __table_args__ = (
        Index("ix_directory_service_transaction", "transaction", "source", "endpoint_id"),
        Index("ix_directory_service_organization", "organization_id"),
    )

    source: str = Field(primary_key=True, sa_type=_key(64))
    endpoint_id: str = Field(primary_key=True, sa_type=_key(130))
    transaction: str = Field(primary_key=True, sa_type=_key(200))
    organization_id: str | None = Field(default=None, sa_type=_key(64))


class IdentifierRow(SQLModel, table=True):
    """An identifier of an organisation; kinds are ``hcid``, ``tefcaid``, ``aaid``, ``npi``."""

    __tablename__ = "directory_identifier"
    __table_args__ = (Index("ix_directory_identifier_value", "value", "kind", "organization_id"),)

    organization_id: str = Field(primary_key=True, sa_type=_key(64))
    kind: str = Field(primary_key=True, sa_type=_key(8))
    value: str = Field(primary_key=True, sa_type=_key(210))


class WordRow(SQLModel, table=True):
    """A word of an organisation's name, for search by the beginnings of words."""

    __tablename__ = "directory_word"
    __table_args__ = (Index("ix_directory_word_word", "word", "organization_id"),)

    organization_id: str = Field(primary_key=True, sa_type=_key(64))
    word: str = Field(primary_key=True, sa_type=_key(40))


class FindingRow(SQLModel, table=True):
    """A finding of the last import of a source, or of the network as a whole."""

    __tablename__ = "directory_finding"
    __table_args__ = (
        Index("ix_directory_finding_source", "source", "id"),
        Index("ix_directory_finding_code", "code", "id"),
        Index("ix_directory_finding_severity", "severity", "id"),
        Index("ix_directory_finding_resource", "resource_id", "id"),
    )

    id: int | None = Field(default=None, primary_key=True)
    source: str = Field(sa_type=_key(64))
    severity: str = Field(sa_type=_key(8))
    code: str = Field(sa_type=_key(40))
    resource_id: str | None = Field(default=None, sa_type=_key(64))
    sentence: str = Field(sa_type=Text)
    place: str | None = Field(default=None, sa_type=Text)


class PinRow(SQLModel, table=True):
    """A key that the operator tied to an organisation."""

    __tablename__ = "directory_pin"
    __table_args__ = (Index("ix_directory_pin_spki", "spki"),)

    organization_id: str = Field(primary_key=True, sa_type=_key(64))
    spki: str = Field(primary_key=True, sa_type=_key(64))
    use: str = Field(primary_key=True, sa_type=_key(16))
    pinned_at: str


class ListedPinRow(SQLModel, table=True):
    """A key that the signed network list ties to an organisation; every sync replaces them all."""

    __tablename__ = "directory_listed_pin"
    __table_args__ = (Index("ix_directory_listed_pin_spki", "spki"),)

    organization_id: str = Field(primary_key=True, sa_type=_key(64))
    spki: str = Field(primary_key=True, sa_type=_key(64))
    use: str = Field(primary_key=True, sa_type=_key(16))
    listed_at: str


class LocalRow(SQLModel, table=True):
    """Local settings of an organisation: suspended or not, and its peer profile as JSON."""

    __tablename__ = "directory_local"

    organization_id: str = Field(primary_key=True, sa_type=_key(64))
    suspended: bool
    reason: str | None = Field(default=None, sa_type=Text)
    profile: str = Field(sa_type=Text)
    changed_at: str


def create_tables(engine: Engine) -> None:
    """Make the directory's tables where they are missing; existing ones are left as they are.

    For a directory in a database of its own: on SQLite it should have one, because an import holds
    the write lock of its file for seconds, and the ledger must never wait for it.
    """
    ours = [t for name, t in SQLModel.metadata.tables.items() if name.startswith("directory_")]
    SQLModel.metadata.create_all(engine, tables=ours)
