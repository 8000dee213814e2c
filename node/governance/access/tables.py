"""The tables of encounters and of grants by broken glass. Times are milliseconds since 1970, UTC.

Who a patient is stands nowhere in the clear: rows are found by keyed tokens (``patient_marks``),
and what is known of an encounter is sealed under the ledger key. Without the key they tell nothing
but how many there are and when.
"""

from __future__ import annotations

from typing import Any, ClassVar

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Integer, LargeBinary, String, Table
from sqlalchemy.sql.type_api import TypeEngine
from sqlmodel import Field, SQLModel


def _big() -> TypeEngine[Any]:
    return BigInteger().with_variant(Integer(), "sqlite")


class EncounterRow(SQLModel, table=True):
    """One encounter: ``visit`` is the token of its number, ``last`` the newest time in it."""

    __tablename__: ClassVar[str] = "encounter"
    id: int = Field(sa_column=Column(_big(), primary_key=True))
    visit: bytes = Field(sa_column=Column(LargeBinary, nullable=False, unique=True))
    last: int = Field(sa_column=Column(BigInteger, nullable=False, index=True))
    sealed: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


class EncounterPatientRow(SQLModel, table=True):
    """A token by which an encounter is found."""

    __tablename__: ClassVar[str] = "encounter_patient"
    __table_args__ = ({"sqlite_with_rowid": False},)
    mark: bytes = Field(sa_column=Column(LargeBinary, primary_key=True))
    encounter_id: int = Field(
        sa_column=Column(
            _big(), ForeignKey("encounter.id"), primary_key=True, autoincrement=False, index=True
        )
    )


class PatientLinkRow(SQLModel, table=True):
    """A patient identifier that was merged away, and the one that took over, as tokens."""

    __tablename__: ClassVar[str] = "encounter_patient_link"
    __table_args__ = ({"sqlite_with_rowid": False},)
    mark: bytes = Field(sa_column=Column(LargeBinary, primary_key=True))
    into: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    t: int = Field(sa_column=Column(BigInteger, nullable=False, index=True))


class GrantRow(SQLModel, table=True):
    """One time that somebody broke the glass; ``case_number`` is the case that looks into it.

    ``seq`` is its entry in the log; ``ended`` is set where it was ended before ``until``.
    """

    __tablename__: ClassVar[str] = "glass_grant"
    id: str = Field(sa_column=Column(String(36), primary_key=True))
    login: str = Field(sa_column=Column(String(64), nullable=False))
    reason: str = Field(sa_column=Column(String(32), nullable=False))
    began: int = Field(sa_column=Column(BigInteger, nullable=False, index=True))
    until: int = Field(sa_column=Column(BigInteger, nullable=False))
    ended: int | None = Field(sa_column=Column(BigInteger))
    case_number: str = Field(sa_column=Column(String(16), nullable=False))
    seq: int = Field(sa_column=Column(BigInteger, nullable=False))


class GrantPatientRow(SQLModel, table=True):
    """A token of the patient whom a grant is for."""

    __tablename__: ClassVar[str] = "glass_grant_patient"
    __table_args__ = ({"sqlite_with_rowid": False},)
    mark: bytes = Field(sa_column=Column(LargeBinary, primary_key=True))
    grant_id: str = Field(
        sa_column=Column(String(36), ForeignKey("glass_grant.id"), primary_key=True)
    )


def _table(model: type[SQLModel]) -> Table:
    return SQLModel.metadata.tables[str(model.__tablename__)]


ENCOUNTER = _table(EncounterRow)
PATIENT = _table(EncounterPatientRow)
LINK = _table(PatientLinkRow)
GRANT = _table(GrantRow)
GRANT_PATIENT = _table(GrantPatientRow)

Index("ix_glass_grant_login", GRANT.c.login, GRANT.c.until)
