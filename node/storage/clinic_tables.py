"""The tables of what clinicians asked and opened: short-lived, sealed under the ledger key.

A row is found by a token that the key makes; who asked is in the clear, whom about is not. Times
are milliseconds since 1970, UTC; a row past its ``until`` is deleted.
"""

from __future__ import annotations

from typing import ClassVar

from sqlalchemy import BigInteger, Column, Index, LargeBinary, String, Table
from sqlmodel import Field, SQLModel


class ClinicRequestRow(SQLModel, table=True):
    """One request of a clinician with all that came."""

    __tablename__: ClassVar[str] = "clinic_request"
    __table_args__ = (Index("ix_clinic_request_until", "until"),)
    token: bytes = Field(sa_column=Column(LargeBinary, primary_key=True))
    login: str = Field(sa_column=Column(String(64), nullable=False))
    until: int = Field(sa_column=Column(BigInteger, nullable=False))
    sealed: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


class ClinicSeenRow(SQLModel, table=True):
    """One document that a clinician opened."""

    __tablename__: ClassVar[str] = "clinic_seen"
    __table_args__ = (
        Index("ix_clinic_seen_login", "login"),
        Index("ix_clinic_seen_until", "until"),
    )
    token: bytes = Field(sa_column=Column(LargeBinary, primary_key=True))
    login: str = Field(sa_column=Column(String(64), nullable=False))
    until: int = Field(sa_column=Column(BigInteger, nullable=False))
    sealed: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


def _table(model: type[SQLModel]) -> Table:
    return SQLModel.metadata.tables[str(model.__tablename__)]


CLINIC_REQUEST = _table(ClinicRequestRow)
CLINIC_SEEN = _table(ClinicSeenRow)
