"""The tables of what people let apps of our own do: launches, requests, approvals, what they yield.

Times are milliseconds since 1970, UTC. Handles, codes and refresh tokens are kept as their SHA-256
alone. A patient is the id of a Patient of ours. Each row goes when its time is over.
"""

from __future__ import annotations

from typing import ClassVar

from sqlalchemy import BigInteger, Boolean, Column, Index, LargeBinary, String, Table, Text
from sqlmodel import Field, SQLModel


class OauthLaunch(SQLModel, table=True):
    """An app is about to be opened from an EHR: for whom, by whom; used once."""

    __tablename__: ClassVar[str] = "oauth_launch"
    digest: bytes = Field(sa_column=Column(LargeBinary, primary_key=True))
    client_id: str = Field(sa_column=Column(String(64), nullable=False))
    login: str | None = Field(sa_column=Column(String(64)))
    patient: str | None = Field(sa_column=Column(String(64)))
    encounter: str | None = Field(sa_column=Column(String(64)))
    until: int = Field(sa_column=Column(BigInteger, nullable=False))


class OauthRequest(SQLModel, table=True):
    """An app asked for an approval and a person has not answered yet; ``body`` is JSON."""

    __tablename__: ClassVar[str] = "oauth_request"
    digest: bytes = Field(sa_column=Column(LargeBinary, primary_key=True))
    client_id: str = Field(sa_column=Column(String(64), nullable=False))
    body: str = Field(sa_column=Column(Text, nullable=False))
    until: int = Field(sa_column=Column(BigInteger, nullable=False))


class OauthApproval(SQLModel, table=True):
    """A person approved what an app may do; its tokens and tickets name it, and end with it."""

    __tablename__: ClassVar[str] = "oauth_approval"
    id: str = Field(sa_column=Column(String(36), primary_key=True))
    client_id: str = Field(sa_column=Column(String(64), nullable=False))
    login: str = Field(sa_column=Column(String(64), nullable=False))
    scope: str = Field(sa_column=Column(Text, nullable=False))
    patient: str | None = Field(sa_column=Column(String(64)))
    encounter: str | None = Field(sa_column=Column(String(64)))
    launched: bool = Field(sa_column=Column(Boolean, nullable=False))
    nonce: str | None = Field(sa_column=Column(String(256)))
    entry_id: str = Field(sa_column=Column(String(36), nullable=False))
    began: int = Field(sa_column=Column(BigInteger, nullable=False))
    until: int = Field(sa_column=Column(BigInteger, nullable=False))


class OauthTicket(SQLModel, table=True):
    """A code or a refresh token: exchanged once for a token. ``used`` is when it was."""

    __tablename__: ClassVar[str] = "oauth_ticket"
    digest: bytes = Field(sa_column=Column(LargeBinary, primary_key=True))
    kind: str = Field(sa_column=Column(String(8), nullable=False))
    approval: str = Field(sa_column=Column(String(36), nullable=False, index=True))
    redirect_uri: str | None = Field(sa_column=Column(String(512)))
    challenge: str | None = Field(sa_column=Column(String(64)))
    until: int = Field(sa_column=Column(BigInteger, nullable=False))
    used: int | None = Field(sa_column=Column(BigInteger))


def _table(model: type[SQLModel]) -> Table:
    return SQLModel.metadata.tables[str(model.__tablename__)]


LAUNCH = _table(OauthLaunch)
REQUEST = _table(OauthRequest)
APPROVAL = _table(OauthApproval)
TICKET = _table(OauthTicket)

Index("ix_oauth_launch_until", LAUNCH.c.until)
Index("ix_oauth_request_until", REQUEST.c.until)
Index("ix_oauth_approval_until", APPROVAL.c.until)
Index("ix_oauth_approval_client", APPROVAL.c.client_id)
Index("ix_oauth_approval_login", APPROVAL.c.login)
Index("ix_oauth_ticket_until", TICKET.c.until)
