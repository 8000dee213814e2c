"""The tables of the FHIR authorization server, and of our own registrations at others.

Times are milliseconds since 1970, UTC. A bearer token is kept as its SHA-256 alone: who reads the
database can use none. Nothing here is about patients.
"""

from __future__ import annotations

from typing import ClassVar

from sqlalchemy import BigInteger, Column, Index, LargeBinary, String, Table, Text
from sqlmodel import Field, SQLModel

MAX_URI = 512
"""Characters of a community's or client's URI, and of an endpoint's: they are keys."""


class OauthClient(SQLModel, table=True):
    """A client of ours: one for each community and client URI, for as long as the node lives.

    A client that was cancelled keeps its row, so that old entries of the log can be explained; when
    it registers again, it gets the same ``client_id`` back. ``body`` are its registered parameters
    (JSON), ``jwks`` its keys where it is no UDAP client, ``statement`` the SHA-256 of the software
    statement in force.
    """

    __tablename__: ClassVar[str] = "oauth_client"
    community: str = Field(sa_column=Column(String(MAX_URI), primary_key=True))
    uri: str = Field(sa_column=Column(String(MAX_URI), primary_key=True))
    client_id: str = Field(sa_column=Column(String(64), nullable=False))
    state: str = Field(sa_column=Column(String(16), nullable=False))
    purpose: str = Field(sa_column=Column(String(32), nullable=False))
    organization_id: str = Field(sa_column=Column(String(64), nullable=False))
    scope: str = Field(sa_column=Column(Text, nullable=False))
    body: str = Field(sa_column=Column(Text, nullable=False))
    jwks: str | None = Field(sa_column=Column(Text))
    key: str | None = Field(sa_column=Column(String(64)))
    statement: bytes | None = Field(sa_column=Column(LargeBinary))
    registered: int = Field(sa_column=Column(BigInteger, nullable=False))
    changed: int = Field(sa_column=Column(BigInteger, nullable=False))


class OauthToken(SQLModel, table=True):
    """A token that was given out; ``context`` is the SHA-256 of what it was asked with.

    ``approval`` is that of the person whose app it is for; a system's token has none. ``patient``
    is the individual, a Patient of ours, who asks for their own records.
    """

    __tablename__: ClassVar[str] = "oauth_token"
    digest: bytes = Field(sa_column=Column(LargeBinary, primary_key=True))
    client_id: str = Field(sa_column=Column(String(64), nullable=False))
    purpose: str = Field(sa_column=Column(String(32), nullable=False))
    organization_id: str = Field(sa_column=Column(String(64), nullable=False))
    scope: str = Field(sa_column=Column(Text, nullable=False))
    context: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    entry_id: str = Field(sa_column=Column(String(36), nullable=False))
    issued: int = Field(sa_column=Column(BigInteger, nullable=False))
    expires: int = Field(sa_column=Column(BigInteger, nullable=False))
    approval: str | None = Field(sa_column=Column(String(36), index=True))
    patient: str | None = Field(sa_column=Column(String(64)))


class OauthSeen(SQLModel, table=True):
    """A token of a client that was accepted, until it expires: none is accepted twice."""

    __tablename__: ClassVar[str] = "oauth_seen"
    key: bytes = Field(sa_column=Column(LargeBinary, primary_key=True))
    until: int = Field(sa_column=Column(BigInteger, nullable=False))


class FhirRegistration(SQLModel, table=True):
    """A registration of ours at another server, one for each community and purpose.

    ``certificate`` is the SHA-256 (hex) of the certificate that we registered with.
    """

    __tablename__: ClassVar[str] = "fhir_registration"
    community: str = Field(sa_column=Column(String(MAX_URI), primary_key=True))
    registration_endpoint: str = Field(sa_column=Column(String(MAX_URI), primary_key=True))
    uri: str = Field(sa_column=Column(String(MAX_URI), primary_key=True))
    base_url: str = Field(sa_column=Column(String(MAX_URI), nullable=False))
    purpose: str = Field(sa_column=Column(String(32), nullable=False))
    client_id: str = Field(sa_column=Column(String(MAX_URI), nullable=False))
    scope: str = Field(sa_column=Column(Text, nullable=False))
    certificate: str = Field(sa_column=Column(String(64), nullable=False))
    registered: int = Field(sa_column=Column(BigInteger, nullable=False))


def _table(model: type[SQLModel]) -> Table:
    return SQLModel.metadata.tables[str(model.__tablename__)]


CLIENT = _table(OauthClient)
ISSUED = _table(OauthToken)
SEEN = _table(OauthSeen)
REGISTRATION = _table(FhirRegistration)

Index("ix_oauth_client_id", CLIENT.c.client_id, unique=True)
Index("ix_oauth_token_client", ISSUED.c.client_id, ISSUED.c.expires)
Index("ix_oauth_token_expires", ISSUED.c.expires)
Index("ix_oauth_seen_until", SEEN.c.until)
