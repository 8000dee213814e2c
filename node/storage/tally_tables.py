"""The tables of the tallies: what the log says of each peer, counted by day. A projection.

All of it follows from the log and can be made again from it (``log tally --rebuild``); days that
are older than ``log.tally_days`` are dropped. A day is its number since 1970, UTC. Nothing here is
about a person: ``document_seen`` holds keyed tokens of what a peer gave, not of whom it is about.
"""

from __future__ import annotations

from typing import ClassVar, Final

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, String
from sqlmodel import Field, SQLModel

from node.storage.tables import table_of


class PeerTally(SQLModel, table=True):
    """How many legs of a day are alike; ``mark`` is empty for all, else those that have it."""

    __tablename__: ClassVar[str] = "peer_tally"
    __table_args__ = ({"sqlite_with_rowid": False},)
    peer: str = Field(sa_column=Column(String(64), primary_key=True))
    day: int = Field(sa_column=Column(Integer, primary_key=True, autoincrement=False))
    direction: str = Field(sa_column=Column(String(16), primary_key=True))
    txn: str = Field(sa_column=Column(String(32), primary_key=True))
    outcome: str = Field(sa_column=Column(String(16), primary_key=True))
    purpose: str = Field(sa_column=Column(String(32), primary_key=True))
    mark: str = Field(sa_column=Column(String(64), primary_key=True))
    number: int = Field(sa_column=Column(Integer, nullable=False))


class PeerDuration(SQLModel, table=True):
    """How many answered legs of a day took about so long (``governance.durations``)."""

    __tablename__: ClassVar[str] = "peer_duration"
    __table_args__ = ({"sqlite_with_rowid": False},)
    peer: str = Field(sa_column=Column(String(64), primary_key=True))
    day: int = Field(sa_column=Column(Integer, primary_key=True, autoincrement=False))
    direction: str = Field(sa_column=Column(String(16), primary_key=True))
    txn: str = Field(sa_column=Column(String(32), primary_key=True))
    bucket: int = Field(sa_column=Column(Integer, primary_key=True, autoincrement=False))
    number: int = Field(sa_column=Column(Integer, nullable=False))


class LegMark(SQLModel, table=True):
    """A mark of a leg: by it the log's filter finds what no column says. Ordered like the log."""

    __tablename__: ClassVar[str] = "leg_mark"
    __table_args__ = ({"sqlite_with_rowid": False},)
    mark: str = Field(sa_column=Column(String(64), primary_key=True))
    t: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    seq: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))


class DocumentSeen(SQLModel, table=True):
    """The bytes of a document that a peer gave, and under which id first: keyed tokens both.

    ``seq`` is that retrieve's entry: the row goes when its group ``docs`` is erased.
    """

    __tablename__: ClassVar[str] = "document_seen"
    __table_args__ = ({"sqlite_with_rowid": False},)
    content: bytes = Field(sa_column=Column(LargeBinary, primary_key=True))
    document: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    day: int = Field(sa_column=Column(Integer, nullable=False))
    seq: int = Field(sa_column=Column(BigInteger, nullable=False))


class TallyCursor(SQLModel, table=True):
    """The last entry that was counted; its row is the lock that makes counting exactly once.

    ``kept_from`` is the first day that is still kept.
    """

    __tablename__: ClassVar[str] = "tally_cursor"
    id: int = Field(sa_column=Column(Integer, primary_key=True, autoincrement=False))
    reached: int = Field(sa_column=Column(BigInteger, nullable=False))
    kept_from: int = Field(sa_column=Column(Integer, nullable=False))


TALLY: Final = table_of(PeerTally)
DURATION: Final = table_of(PeerDuration)
MARK: Final = table_of(LegMark)
SEEN_DOCUMENT: Final = table_of(DocumentSeen)
TALLIED: Final = table_of(TallyCursor)

# old days are dropped by them
Index("ix_peer_tally_day", TALLY.c.day)
Index("ix_peer_duration_day", DURATION.c.day)
Index("ix_document_seen_day", SEEN_DOCUMENT.c.day)
Index("ix_document_seen_seq", SEEN_DOCUMENT.c.seq)
Index("ix_leg_mark_t", MARK.c.t)
