"""The tables of the detectors. Times are milliseconds since 1970, UTC.

No name and nothing about a patient is in them: who is flagged is an HCID or a keyed token, and what
a person wrote stands in the private group of the entry that a row names (``entry``).
"""

from __future__ import annotations

from typing import Any, ClassVar

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
)
from sqlalchemy.sql.type_api import TypeEngine
from sqlmodel import Field, SQLModel


def _big() -> TypeEngine[Any]:
    return BigInteger().with_variant(Integer(), "sqlite")


class DetectorFlag(SQLModel, table=True):
    """What a detector found.

    ``about`` is an HCID, or the token (hex) of one of our people. ``sentence`` has ``{peer}`` and
    ``{actor}`` open. ``first`` and ``last`` are the entry numbers it rests on; ``count`` is how
    many, of which ``detector_flag_entry`` has the newest ones. ``case_number`` is the case that it
    became part of, ``suppression`` what kept it from that.
    """

    __tablename__: ClassVar[str] = "detector_flag"
    id: int = Field(sa_column=Column(_big(), primary_key=True, autoincrement=False))
    detector: str = Field(sa_column=Column(String(16), nullable=False))
    version: int = Field(sa_column=Column(Integer, nullable=False))
    subject: str = Field(sa_column=Column(String(8), nullable=False))
    about: str = Field(sa_column=Column(String(64), nullable=False))
    state: str = Field(sa_column=Column(String(8), nullable=False))
    t: int = Field(sa_column=Column(BigInteger, nullable=False))
    sentence: str = Field(sa_column=Column(String(512), nullable=False))
    first: int = Field(sa_column=Column(BigInteger, nullable=False))
    last: int = Field(sa_column=Column(BigInteger, nullable=False))
    count: int = Field(sa_column=Column(Integer, nullable=False))
    sweep: int = Field(sa_column=Column(BigInteger, nullable=False))
    suppression: int | None = Field(sa_column=Column(BigInteger))
    case_number: str | None = Field(sa_column=Column(String(16)))


class DetectorFlagEntry(SQLModel, table=True):
    """An entry that a flag rests on, and its exchange."""

    __tablename__: ClassVar[str] = "detector_flag_entry"
    __table_args__ = ({"sqlite_with_rowid": False},)
    flag: int = Field(
        sa_column=Column(
            BigInteger, ForeignKey("detector_flag.id"), primary_key=True, autoincrement=False
        )
    )
    seq: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    exchange_id: str = Field(sa_column=Column(String(36), nullable=False))


class DetectorChange(SQLModel, table=True):
    """A change of a detector's state or limits; the newest of each detector counts.

    ``limits`` is JSON of those that differ from the shipped ones, after the change.
    """

    __tablename__: ClassVar[str] = "detector_change"
    id: int = Field(sa_column=Column(_big(), primary_key=True, autoincrement=False))
    detector: str = Field(sa_column=Column(String(16), nullable=False, index=True))
    t: int = Field(sa_column=Column(BigInteger, nullable=False))
    who: str = Field(sa_column=Column(String(64), nullable=False))
    state: str = Field(sa_column=Column(String(8), nullable=False))
    limits: str = Field(sa_column=Column(String(1000), nullable=False))
    entry: int = Field(sa_column=Column(BigInteger, nullable=False))


class DetectorSweep(SQLModel, table=True):
    """One look at what is new; ``reached`` is the highest entry number that was looked at."""

    __tablename__: ClassVar[str] = "detector_sweep"
    id: int = Field(sa_column=Column(_big(), primary_key=True, autoincrement=False))
    t: int = Field(sa_column=Column(BigInteger, nullable=False))
    reached: int = Field(sa_column=Column(BigInteger, nullable=False))
    exchanges: int = Field(sa_column=Column(Integer, nullable=False))
    subjects: int = Field(sa_column=Column(Integer, nullable=False))
    flags: int = Field(sa_column=Column(Integer, nullable=False))
    shadow: int = Field(sa_column=Column(Integer, nullable=False))
    took_ms: int = Field(sa_column=Column(BigInteger, nullable=False))
    failed: str = Field(sa_column=Column(String(200), nullable=False))


class DetectorSuppression(SQLModel, table=True):
    """Until when a detector's flags about somebody make no case; ``ended`` where it ended early.

    ``entry`` is its own entry in the log, which has the reason.
    """

    __tablename__: ClassVar[str] = "detector_suppression"
    id: int = Field(sa_column=Column(_big(), primary_key=True, autoincrement=False))
    detector: str = Field(sa_column=Column(String(16), nullable=False))
    subject: str = Field(sa_column=Column(String(8), nullable=False))
    about: str = Field(sa_column=Column(String(64), nullable=False))
    t: int = Field(sa_column=Column(BigInteger, nullable=False))
    until: int = Field(sa_column=Column(BigInteger, nullable=False))
    who: str = Field(sa_column=Column(String(64), nullable=False))
    entry: int = Field(sa_column=Column(BigInteger, nullable=False))
    ended: int | None = Field(sa_column=Column(BigInteger))


def _table(model: type[SQLModel]) -> Table:
    return SQLModel.metadata.tables[str(model.__tablename__)]


FLAG = _table(DetectorFlag)
FLAG_ENTRY = _table(DetectorFlagEntry)
CHANGE = _table(DetectorChange)
SWEEP = _table(DetectorSweep)
SUPPRESSION = _table(DetectorSuppression)

Index("ix_detector_flag_about", FLAG.c.about, FLAG.c.detector, FLAG.c.last)
Index("ix_detector_flag_detector", FLAG.c.detector, FLAG.c.t)
Index("ix_detector_flag_case", FLAG.c.case_number)
Index("ix_detector_suppression_about", SUPPRESSION.c.about, SUPPRESSION.c.detector)
