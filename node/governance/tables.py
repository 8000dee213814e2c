"""Whom cases are about, the review items they take up, and notes on refusals; nothing here is PHI.

Cases themselves are in ``node.storage.case_tables``. Times are milliseconds since 1970, UTC.
"""

from __future__ import annotations

from typing import ClassVar

from sqlalchemy import BigInteger, Column, ForeignKey, Integer, LargeBinary, String
from sqlmodel import Field, SQLModel

from node.storage.tables import big, table_of


class CaseSubject(SQLModel, table=True):
    """Keyed token of a person whom a case is about: that person does not act on it."""

    __tablename__: ClassVar[str] = "case_subject"
    __table_args__ = ({"sqlite_with_rowid": False},)
    case_id: int = Field(
        sa_column=Column(
            BigInteger, ForeignKey("governance_case.id"), primary_key=True, autoincrement=False
        )
    )
    mark: bytes = Field(sa_column=Column(LargeBinary, primary_key=True))


class CaseItem(SQLModel, table=True):
    """A review item that a case takes up: each by one case."""

    __tablename__: ClassVar[str] = "case_item"
    item: int = Field(
        sa_column=Column(big(), ForeignKey("review_item.id"), primary_key=True, autoincrement=False)
    )
    case_id: int = Field(
        sa_column=Column(BigInteger, ForeignKey("governance_case.id"), nullable=False, index=True)
    )


class DenialNote(SQLModel, table=True):
    """What a person wrote about a refusal (entry ``seq``), and when it was answered in writing.

    ``entry`` is the note's own entry in the log; the newest number counts. ``confirmer`` is the
    second person who confirmed it.
    """

    __tablename__: ClassVar[str] = "denial_note"
    __table_args__ = ({"sqlite_with_rowid": False},)
    seq: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    number: int = Field(sa_column=Column(Integer, primary_key=True, autoincrement=False))
    t: int = Field(sa_column=Column(BigInteger, nullable=False))
    who: str = Field(sa_column=Column(String(64), nullable=False))
    exception: str = Field(sa_column=Column(String(40), nullable=False))
    answered: int | None = Field(sa_column=Column(BigInteger))
    entry: int = Field(sa_column=Column(BigInteger, nullable=False))
    confirmed: int | None = Field(default=None, sa_column=Column(BigInteger))
    confirmer: str | None = Field(default=None, sa_column=Column(String(64)))


SUBJECT = table_of(CaseSubject)
ITEM = table_of(CaseItem)
DENIAL = table_of(DenialNote)
