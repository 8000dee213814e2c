"""The tables of people who sign in, and of their sessions. Times are milliseconds since 1970, UTC.

Passwords are argon2id hashes, session tokens SHA-256 hashes, the secrets of one-time codes are
sealed under the ledger key: a stolen database lets nobody sign in.
"""

from __future__ import annotations

from typing import ClassVar

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
)
from sqlmodel import Field, SQLModel


class UserRow(SQLModel, table=True):
    """One person.

    ``totp`` is NULL before a one-time code is set up; ``totp_step`` is that of the last code taken.
    ``practitioner`` is the id of the Practitioner of our FHIR server that the person is.
    ``practitioner_ids`` and ``departments`` say who the person is in the feed of encounters,
    separated by line feeds. ``issuer`` and ``subject`` are those of a person of our organisation's
    sign-on, who has no password here.
    """

    __tablename__: ClassVar[str] = "console_user"
    login: str = Field(sa_column=Column(String(64), primary_key=True))
    name: str = Field(sa_column=Column(String(128), nullable=False))
    roles: str = Field(sa_column=Column(String(256), nullable=False))
    password: str = Field(sa_column=Column(String(256), nullable=False))
    must_change: bool = Field(sa_column=Column(Boolean, nullable=False))
    totp: bytes | None = Field(default=None, sa_column=Column(LargeBinary))
    totp_step: int = Field(sa_column=Column(BigInteger, nullable=False))
    active: bool = Field(sa_column=Column(Boolean, nullable=False))
    failures: int = Field(sa_column=Column(Integer, nullable=False))
    locked_until: int = Field(sa_column=Column(BigInteger, nullable=False))
    added: int = Field(sa_column=Column(BigInteger, nullable=False))
    practitioner: str | None = Field(default=None, sa_column=Column(String(64)))
    practitioner_ids: str | None = Field(default=None, sa_column=Column(String(512)))
    departments: str | None = Field(default=None, sa_column=Column(String(512)))
    issuer: str | None = Field(default=None, sa_column=Column(String(256)))
    subject: str | None = Field(default=None, sa_column=Column(String(256)))
    __table_args__ = (Index("ux_console_user_subject", "issuer", "subject", unique=True),)


class SessionRow(SQLModel, table=True):
    """One session. ``stage`` says how far signing in has come; ``proved`` is the last step-up."""

    __tablename__: ClassVar[str] = "console_session"
    token: bytes = Field(sa_column=Column(LargeBinary, primary_key=True))
    login: str = Field(
        sa_column=Column(String(64), ForeignKey("console_user.login"), nullable=False, index=True)
    )
    stage: str = Field(sa_column=Column(String(16), nullable=False))
    form: str = Field(sa_column=Column(String(64), nullable=False))
    began: int = Field(sa_column=Column(BigInteger, nullable=False))
    seen: int = Field(sa_column=Column(BigInteger, nullable=False))
    proved: int = Field(sa_column=Column(BigInteger, nullable=False))


class SignOnRow(SQLModel, table=True):
    """A sign-in that is under way at the provider; digests of what the browser holds."""

    __tablename__: ClassVar[str] = "console_sign_on"
    state: bytes = Field(sa_column=Column(LargeBinary, primary_key=True))
    browser: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    began: int = Field(sa_column=Column(BigInteger, nullable=False, index=True))
    session: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    back: str = Field(sa_column=Column(String(1024), nullable=False))


class ViewRow(SQLModel, table=True):
    """A filter of exchanges that a person keeps under a name."""

    __tablename__: ClassVar[str] = "console_view"
    id: int | None = Field(
        default=None,
        sa_column=Column(BigInteger().with_variant(Integer(), "sqlite"), primary_key=True),
    )
    owner: str = Field(
        sa_column=Column(String(64), ForeignKey("console_user.login"), nullable=False)
    )
    name: str = Field(sa_column=Column(String(64), nullable=False))
    query: str = Field(sa_column=Column(String(2048), nullable=False))
    shared: bool = Field(sa_column=Column(Boolean, nullable=False))
    made: int = Field(sa_column=Column(BigInteger, nullable=False))
    __table_args__ = (Index("ux_console_view_name", "owner", "name", unique=True),)


class PreferenceRow(SQLModel, table=True):
    """What a person chose of how pages look and act."""

    __tablename__: ClassVar[str] = "console_preference"
    login: str = Field(
        sa_column=Column(String(64), ForeignKey("console_user.login"), primary_key=True)
    )
    name: str = Field(sa_column=Column(String(32), primary_key=True))
    value: str = Field(sa_column=Column(String(512), nullable=False))


class SelectionRow(SQLModel, table=True):
    """A thing that a person selected in a list, with those of other pages."""

    __tablename__: ClassVar[str] = "console_selection"
    login: str = Field(
        sa_column=Column(String(64), ForeignKey("console_user.login"), primary_key=True)
    )
    view: str = Field(sa_column=Column(String(16), primary_key=True))
    thing: str = Field(sa_column=Column(String(36), primary_key=True))
    t: int = Field(sa_column=Column(BigInteger, nullable=False))


class ListRow(SQLModel, table=True):
    """A page of a list that a person had open: its address, and the ids on it, separated by commas.

    ``following`` is the address of the next page, empty where there is none.
    """

    __tablename__: ClassVar[str] = "console_list"
    login: str = Field(
        sa_column=Column(String(64), ForeignKey("console_user.login"), primary_key=True)
    )
    view: str = Field(sa_column=Column(String(16), primary_key=True))
    place: int = Field(sa_column=Column(Integer, primary_key=True, autoincrement=False))
    address: str = Field(sa_column=Column(String(2048), nullable=False))
    things: str = Field(sa_column=Column(String(2048), nullable=False))
    following: str = Field(sa_column=Column(String(2048), nullable=False))
    t: int = Field(sa_column=Column(BigInteger, nullable=False))


def _table(model: type[SQLModel]) -> Table:
    return SQLModel.metadata.tables[str(model.__tablename__)]


USER = _table(UserRow)
SESSION = _table(SessionRow)
SIGN_ON = _table(SignOnRow)
VIEW = _table(ViewRow)
PREFERENCE = _table(PreferenceRow)
SELECTION = _table(SelectionRow)
LIST = _table(ListRow)
