"""The tables of cases that the log's filter asks. Times are milliseconds since 1970, UTC.

A case's row repeats what its messages say, for lists; the messages are the truth, and each is an
entry of the log (``seq``). What people wrote stands in that entry's private group alone: sealed,
committed to by its leaf, erasable. Nothing here is PHI.
"""

from __future__ import annotations

from typing import ClassVar, Final

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Integer, String
from sqlmodel import Field, SQLModel

from node.storage.tables import big, table_of


class CaseRow(SQLModel, table=True):
    """A case as it stands; ``number`` is what people call it, ``messages`` how many there are."""

    __tablename__: ClassVar[str] = "governance_case"
    id: int = Field(sa_column=Column(big(), primary_key=True, autoincrement=False))
    number: str = Field(sa_column=Column(String(16), nullable=False, unique=True))
    kind: str = Field(sa_column=Column(String(32), nullable=False))
    peer: str | None = Field(sa_column=Column(String(64)))
    state: str = Field(sa_column=Column(String(16), nullable=False))
    opened: int = Field(sa_column=Column(BigInteger, nullable=False))
    due: int = Field(sa_column=Column(BigInteger, nullable=False))
    last: int = Field(sa_column=Column(BigInteger, nullable=False))
    messages: int = Field(sa_column=Column(Integer, nullable=False))
    incidents: int = Field(sa_column=Column(Integer, nullable=False))
    assignee: str | None = Field(sa_column=Column(String(64)))
    resolver: str | None = Field(sa_column=Column(String(64)))
    outcome: str | None = Field(sa_column=Column(String(40)))
    resolved: int | None = Field(sa_column=Column(BigInteger))
    answer_due: int | None = Field(sa_column=Column(BigInteger))
    target: str | None = Field(sa_column=Column(String(16)))
    snoozed: int | None = Field(default=None, sa_column=Column(BigInteger))


class CaseMessage(SQLModel, table=True):
    """One message of a case: what was done, by whom, and the state after it.

    ``seq`` is its entry in the log. ``refusal`` is the code where it was refused; ``about`` the
    login or the case that it names.
    """

    __tablename__: ClassVar[str] = "case_message"
    __table_args__ = ({"sqlite_with_rowid": False},)
    case_id: int = Field(
        sa_column=Column(
            BigInteger, ForeignKey("governance_case.id"), primary_key=True, autoincrement=False
        )
    )
    number: int = Field(sa_column=Column(Integer, primary_key=True, autoincrement=False))
    t: int = Field(sa_column=Column(BigInteger, nullable=False))
    verb: str = Field(sa_column=Column(String(16), nullable=False))
    who: str = Field(sa_column=Column(String(64), nullable=False))
    state: str = Field(sa_column=Column(String(16), nullable=False))
    seq: int = Field(sa_column=Column(BigInteger, nullable=False))
    refusal: str | None = Field(sa_column=Column(String(32)))
    about: str | None = Field(sa_column=Column(String(64)))
    outcome: str | None = Field(sa_column=Column(String(40)))
    due: int | None = Field(sa_column=Column(BigInteger))


class CaseEvidence(SQLModel, table=True):
    """An exchange in the basket of a case, and the message that put it there."""

    __tablename__: ClassVar[str] = "case_evidence"
    __table_args__ = ({"sqlite_with_rowid": False},)
    case_id: int = Field(
        sa_column=Column(
            BigInteger, ForeignKey("governance_case.id"), primary_key=True, autoincrement=False
        )
    )
    exchange_id: str = Field(sa_column=Column(String(36), primary_key=True))
    message: int = Field(sa_column=Column(Integer, nullable=False))


CASE: Final = table_of(CaseRow)
MESSAGE: Final = table_of(CaseMessage)
EVIDENCE: Final = table_of(CaseEvidence)

Index("ix_governance_case_due", CASE.c.due, CASE.c.id)
Index("ix_case_evidence_exchange", EVIDENCE.c.exchange_id)
