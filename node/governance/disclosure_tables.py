"""The tables of patients' requests for reports, and of suspensions. Times: milliseconds since 1970.

A patient stands there as the keyed token alone; what people wrote is in the private group of the
entry ``seq`` of the log.
"""

from __future__ import annotations

from typing import Any, ClassVar

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, LargeBinary, String
from sqlalchemy.sql.type_api import TypeEngine
from sqlmodel import Field, SQLModel


def _big() -> TypeEngine[Any]:
    return BigInteger().with_variant(Integer(), "sqlite")


class DisclosureRequest(SQLModel, table=True):
    """A patient's request: when it came, until when it is answered, and when it was."""

    __tablename__: ClassVar[str] = "disclosure_request"
    id: int = Field(sa_column=Column(_big(), primary_key=True, autoincrement=False))
    token: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    asked: int = Field(sa_column=Column(BigInteger, nullable=False))
    due: int = Field(sa_column=Column(BigInteger, nullable=False))
    extended: bool = Field(sa_column=Column(Boolean, nullable=False))
    answered: int | None = Field(sa_column=Column(BigInteger))
    who: str = Field(sa_column=Column(String(64), nullable=False))
    seq: int = Field(sa_column=Column(BigInteger, nullable=False))


class DisclosureSuspension(SQLModel, table=True):
    """What an authority asked to keep from a patient: disclosures to it, until ``until``."""

    __tablename__: ClassVar[str] = "disclosure_suspension"
    id: int = Field(sa_column=Column(_big(), primary_key=True, autoincrement=False))
    token: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    peer: str = Field(sa_column=Column(String(64), nullable=False))
    begun: int = Field(sa_column=Column(BigInteger, nullable=False))
    until: int = Field(sa_column=Column(BigInteger, nullable=False))
    oral: bool = Field(sa_column=Column(Boolean, nullable=False))
    who: str = Field(sa_column=Column(String(64), nullable=False))
    seq: int = Field(sa_column=Column(BigInteger, nullable=False))


REQUESTED = SQLModel.metadata.tables[str(DisclosureRequest.__tablename__)]
SUSPENSION = SQLModel.metadata.tables[str(DisclosureSuspension.__tablename__)]

Index("ix_disclosure_request_token", REQUESTED.c.token)
Index("ix_disclosure_request_due", REQUESTED.c.answered, REQUESTED.c.due)
Index("ix_disclosure_suspension_token", SUSPENSION.c.token, SUSPENSION.c.until)
