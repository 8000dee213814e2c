"""The tables of encounters and of grants by broken glass. Times are milliseconds since 1970, UTC.

Who a patient is stands nowhere in the clear: rows are found by keyed tokens (``patient_marks``),
and what is known of an encounter is sealed under the ledger key. Without the key they tell nothing
but how many there are and when.
"""

from __future__ import annotations

from typing import ClassVar

from sqlalchemy import BigInteger, Column, ForeignKey, Index, LargeBinary, String
from sqlmodel import Field, SQLModel

from node.storage.tables import big, table_of


class EncounterRow(SQLModel, table=True):
    """One encounter: ``visit`` is the token of its number, ``last`` the newest time in it."""

    __tablename__: ClassVar[str] = "encounter"
    id: int = Field(sa_column=Column(big(), primary_key=True))
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
            big(), ForeignKey("encounter.id"), primary_key=True, autoincrement=False, index=True
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


ENCOUNTER = table_of(EncounterRow)
PATIENT = table_of(EncounterPatientRow)
LINK = table_of(PatientLinkRow)
GRANT = table_of(GrantRow)
GRANT_PATIENT = table_of(GrantPatientRow)

Index("ix_glass_grant_login", GRANT.c.login, GRANT.c.until)
