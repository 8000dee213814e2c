"""The table of the outbox. Times are milliseconds since 1970, UTC.

A row names a person of ours and a case of ours, and no patient.
"""

from __future__ import annotations

from typing import ClassVar

from sqlalchemy import BigInteger, Column, Index, Integer, String, Table
from sqlmodel import Field, SQLModel


class MailRow(SQLModel, table=True):
    """One notice to one address.

    ``login`` is who it is about and ``case_number`` the case; ``due`` is when it is tried next, and
    for one that is over when it became so. ``code`` and ``detail`` are those of the last failure.
    """

    __tablename__: ClassVar[str] = "mail"
    __table_args__ = (Index("ix_mail_due", "state", "due"),)
    id: str = Field(sa_column=Column(String(36), primary_key=True))
    kind: str = Field(sa_column=Column(String(32), nullable=False))
    recipient: str = Field(sa_column=Column(String(254), nullable=False))
    login: str = Field(sa_column=Column(String(64), nullable=False))
    case_number: str = Field(sa_column=Column(String(16), nullable=False))
    t: int = Field(sa_column=Column(BigInteger, nullable=False))
    state: str = Field(sa_column=Column(String(16), nullable=False))
    due: int = Field(sa_column=Column(BigInteger, nullable=False))
    attempts: int = Field(sa_column=Column(Integer, nullable=False))
    code: str | None = Field(default=None, sa_column=Column(String(64)))
    detail: str | None = Field(default=None, sa_column=Column(String(64)))


MAIL: Table = SQLModel.metadata.tables[str(MailRow.__tablename__)]
