"""The table of exchanges that ask anew what an earlier one asked."""

from __future__ import annotations

from typing import ClassVar, Final

from sqlalchemy import BigInteger, Column, Index, String
from sqlmodel import Field, SQLModel

from node.storage.tables import table_of


class ExchangeLink(SQLModel, table=True):
    """``later`` asks anew what ``earlier`` asked; the entry ``seq`` says who, and why."""

    __tablename__: ClassVar[str] = "exchange_link"
    __table_args__ = ({"sqlite_with_rowid": False},)
    later: str = Field(sa_column=Column(String(36), primary_key=True))
    earlier: str = Field(sa_column=Column(String(36), nullable=False))
    seq: int = Field(sa_column=Column(BigInteger, nullable=False))


LINK: Final = table_of(ExchangeLink)

Index("ix_exchange_link_earlier", LINK.c.earlier, LINK.c.seq)
