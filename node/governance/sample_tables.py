"""The tables of the outcome sample: what was drawn by lot, for which month, and its cases.

Nothing here is PHI: an exchange is its id, an asker is an HCID. A verdict is that of the case.
"""

from __future__ import annotations

from typing import ClassVar, Final

from sqlalchemy import BigInteger, Column, Index, Integer, String
from sqlmodel import Field, SQLModel

from node.storage.tables import table_of


class OutcomeDraw(SQLModel, table=True):
    """A draw: of how many exchanges that somebody asked for in a month, how many were drawn.

    ``month`` is such as ``2026-10`` (UTC), ``asker`` a peer's HCID or our own; ``t`` is when it was
    drawn (milliseconds since 1970), ``entry`` the draw's entry in the log.
    """

    __tablename__: ClassVar[str] = "outcome_draw"
    __table_args__ = ({"sqlite_with_rowid": False},)
    month: str = Field(sa_column=Column(String(7), primary_key=True))
    asker: str = Field(sa_column=Column(String(64), primary_key=True))
    exchanges: int = Field(sa_column=Column(BigInteger, nullable=False))
    drawn: int = Field(sa_column=Column(Integer, nullable=False))
    t: int = Field(sa_column=Column(BigInteger, nullable=False))
    entry: int = Field(sa_column=Column(BigInteger, nullable=False))


class OutcomeSample(SQLModel, table=True):
    """An exchange that was drawn, and the case in which it is judged, once there is one."""

    __tablename__: ClassVar[str] = "outcome_sample"
    __table_args__ = ({"sqlite_with_rowid": False},)
    exchange_id: str = Field(sa_column=Column(String(36), primary_key=True))
    month: str = Field(sa_column=Column(String(7), nullable=False))
    asker: str = Field(sa_column=Column(String(64), nullable=False))
    case_number: str | None = Field(sa_column=Column(String(16)))


DRAW: Final = table_of(OutcomeDraw)
SAMPLE: Final = table_of(OutcomeSample)

Index("ix_outcome_sample_month", SAMPLE.c.month, SAMPLE.c.asker)
