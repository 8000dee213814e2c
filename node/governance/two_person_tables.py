"""The table of what waits for a second person. Times are milliseconds since 1970, UTC.

A row repeats what its entries in the log say, for lists. What exactly is asked for, and why, stands
in the private group of the entry ``seq`` alone; ``digest`` is SHA-256 of verb and content.
"""

from __future__ import annotations

from typing import Any, ClassVar

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, String
from sqlalchemy.sql.type_api import TypeEngine
from sqlmodel import Field, SQLModel


def _big() -> TypeEngine[Any]:
    return BigInteger().with_variant(Integer(), "sqlite")


class TwoPersonRequest(SQLModel, table=True):
    """A request: its verb, who asked, until when it stands, and who decided.

    ``seq`` is the entry of the request, ``about`` the id of the thing it is about (an HCID, a
    number), if it has one: nothing of a person.
    """

    __tablename__: ClassVar[str] = "two_person_request"
    id: int = Field(sa_column=Column(_big(), primary_key=True, autoincrement=False))
    verb: str = Field(sa_column=Column(String(32), nullable=False))
    about: str | None = Field(sa_column=Column(String(64)))
    digest: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    state: str = Field(sa_column=Column(String(16), nullable=False))
    asked: int = Field(sa_column=Column(BigInteger, nullable=False))
    asker: str = Field(sa_column=Column(String(64), nullable=False))
    until: int = Field(sa_column=Column(BigInteger, nullable=False))
    decided: int | None = Field(sa_column=Column(BigInteger))
    decider: str | None = Field(sa_column=Column(String(64)))
    seq: int = Field(sa_column=Column(BigInteger, nullable=False))


REQUEST = SQLModel.metadata.tables[str(TwoPersonRequest.__tablename__)]

Index("ix_two_person_request_state", REQUEST.c.state, REQUEST.c.until)
