"""The tables of the ledger.

``ledger_entry.leaf`` holds the exact bytes of an entry and is the truth; the other columns repeat
parts of it for searching, and ``show`` compares them. Times are milliseconds since 1970, UTC: the
same integer on both engines, and nothing to convert where ten million rows are compared.

Nothing in ``ledger_entry`` is PHI. ``ledger_private`` holds one sealed blob per group, NULL when
there was none or it was erased; ``ledger_token`` holds keyed tokens to find entries by person.
"""

from __future__ import annotations

from typing import Any, ClassVar

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
    text,
)
from sqlalchemy.sql.type_api import TypeEngine
from sqlmodel import Field, SQLModel


def big() -> TypeEngine[Any]:
    """A number that is a table's primary key."""
    # SQLite makes only an INTEGER PRIMARY KEY the row's own key, without a second index
    return BigInteger().with_variant(Integer(), "sqlite")


class LedgerCounter(SQLModel, table=True):
    """The next sequence number; its row is the lock that makes the sequence gap-free."""

    __tablename__: ClassVar[str] = "ledger_counter"
    name: str = Field(sa_column=Column(String(16), primary_key=True))
    next: int = Field(sa_column=Column(BigInteger, nullable=False))


class LedgerEntry(SQLModel, table=True):
    """One entry: its bytes, their hash, and what it is found by.

    ``txn`` is what was done: the transaction of an exchange, the ``act`` of a trust change.
    """

    __tablename__: ClassVar[str] = "ledger_entry"
    seq: int = Field(sa_column=Column(big(), primary_key=True, autoincrement=False))
    entry_id: str = Field(sa_column=Column(String(36), nullable=False))
    leaf: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    leaf_hash: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    kind: str = Field(sa_column=Column(String(16), nullable=False))
    t: int = Field(sa_column=Column(BigInteger, nullable=False))
    exchange_id: str | None = Field(sa_column=Column(String(36)))
    direction: str | None = Field(sa_column=Column(String(16)))
    txn: str | None = Field(sa_column=Column(String(32)))
    peer: str | None = Field(sa_column=Column(String(64)))
    purpose: str | None = Field(sa_column=Column(String(32)))
    outcome: str | None = Field(sa_column=Column(String(16)))
    reason: str | None = Field(sa_column=Column(String(64)))
    msg: str | None = Field(sa_column=Column(String(45)))
    rel: str | None = Field(sa_column=Column(String(45)))


class LedgerPrivate(SQLModel, table=True):
    """The sealed groups of an entry (``node.ledger.private``)."""

    __tablename__: ClassVar[str] = "ledger_private"
    seq: int = Field(
        sa_column=Column(
            big(), ForeignKey("ledger_entry.seq"), primary_key=True, autoincrement=False
        )
    )
    who: bytes | None = Field(sa_column=Column(LargeBinary))
    patient: bytes | None = Field(sa_column=Column(LargeBinary))
    query: bytes | None = Field(sa_column=Column(LargeBinary))
    docs: bytes | None = Field(sa_column=Column(LargeBinary))
    wire: bytes | None = Field(sa_column=Column(LargeBinary))


class LedgerToken(SQLModel, table=True):
    """A keyed token of an entry; ``part`` is the group that it is erased with."""

    __tablename__: ClassVar[str] = "ledger_token"
    __table_args__ = ({"sqlite_with_rowid": False},)
    token: bytes = Field(sa_column=Column(LargeBinary, primary_key=True))
    t: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    seq: int = Field(
        sa_column=Column(
            BigInteger, ForeignKey("ledger_entry.seq"), primary_key=True, autoincrement=False
        )
    )
    part: str = Field(sa_column=Column(String(16), nullable=False))


class LedgerErasure(SQLModel, table=True):
    """Which entry (``seq``) says that a private group (``part``) of another one was erased."""

    __tablename__: ClassVar[str] = "ledger_erasure"
    __table_args__ = ({"sqlite_with_rowid": False},)
    target: int = Field(
        sa_column=Column(
            BigInteger, ForeignKey("ledger_entry.seq"), primary_key=True, autoincrement=False
        )
    )
    part: str = Field(sa_column=Column(String(16), primary_key=True))
    seq: int = Field(sa_column=Column(BigInteger, ForeignKey("ledger_entry.seq"), nullable=False))


class LedgerHold(SQLModel, table=True):
    """A legal hold on a range of numbers, on a person (a token), or on a peer: one of the three."""

    __tablename__: ClassVar[str] = "ledger_hold"
    id: int = Field(sa_column=Column(Integer, primary_key=True, autoincrement=False))
    first: int | None = Field(sa_column=Column(BigInteger))
    last: int | None = Field(sa_column=Column(BigInteger))
    token: bytes | None = Field(sa_column=Column(LargeBinary))
    peer: str | None = Field(sa_column=Column(String(64)))
    reason: str = Field(sa_column=Column(String(64), nullable=False))
    placed_by: str = Field(sa_column=Column(String(64), nullable=False))
    placed: int = Field(sa_column=Column(BigInteger, nullable=False))


class LogPromise(SQLModel, table=True):
    """A log promise that a peer gave us with an answer, by the number of our entry.

    It holds nothing about a person, and stays when that entry's private groups are erased.
    ``state``: ``open``, ``stated`` (the peer's statement has the exchange), ``kept`` (its log
    proved the entry) or ``broken``.
    """

    __tablename__: ClassVar[str] = "log_promise"
    seq: int = Field(
        sa_column=Column(
            big(), ForeignKey("ledger_entry.seq"), primary_key=True, autoincrement=False
        )
    )
    peer: str = Field(sa_column=Column(String(64), nullable=False))
    t: int = Field(sa_column=Column(BigInteger, nullable=False))
    value: str = Field(sa_column=Column(String(512), nullable=False))
    state: str = Field(sa_column=Column(String(16), nullable=False))


class LedgerWitness(SQLModel, table=True):
    """An organisation that we agreed with to witness each other (``node.ledger.witness_peers``).

    ``log_keys`` and ``witness_keys`` are verifier keys, one a line. ``cosigned`` and ``size`` tell
    of its last signature under a checkpoint of ours, ``failing`` since when there is none and
    ``failure`` why (a code).
    """

    __tablename__: ClassVar[str] = "ledger_witness"
    organization_id: str = Field(sa_column=Column(String(64), primary_key=True))
    name: str = Field(sa_column=Column(String(255), nullable=False))
    address: str = Field(sa_column=Column(String(2048), nullable=False))
    log_keys: str = Field(sa_column=Column(Text, nullable=False))
    witness_keys: str = Field(sa_column=Column(Text, nullable=False))
    added: int = Field(sa_column=Column(BigInteger, nullable=False))
    cosigned: int | None = Field(sa_column=Column(BigInteger))
    size: int | None = Field(sa_column=Column(BigInteger))
    failing: int | None = Field(sa_column=Column(BigInteger))
    failure: str | None = Field(sa_column=Column(String(64)))


class LedgerWitnessed(SQLModel, table=True):
    """The last checkpoint of another log that we signed as a witness; never forgotten.

    ``digest`` is the SHA-256 (hex) of the origin, ``note`` the checkpoint with the signatures.
    """

    __tablename__: ClassVar[str] = "ledger_witnessed"
    digest: str = Field(sa_column=Column(String(64), primary_key=True))
    origin: str = Field(sa_column=Column(String(255), nullable=False))
    size: int = Field(sa_column=Column(BigInteger, nullable=False))
    root: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    note: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    t: int = Field(sa_column=Column(BigInteger, nullable=False))


class ReviewItem(SQLModel, table=True):
    """Something that a person has to look into, as it was found; its state is in its events.

    ``subject`` names what it is about, so that it is not made twice. ``seq`` is our entry's number
    and ``token`` that of the exchange, where there is one; ``cases`` is more than one where single
    cases were too many. Times are milliseconds since 1970.
    """

    __tablename__: ClassVar[str] = "review_item"
    id: int = Field(sa_column=Column(big(), primary_key=True, autoincrement=False))
    subject: str = Field(sa_column=Column(String(64), nullable=False, unique=True))
    source: str = Field(sa_column=Column(String(16), nullable=False))
    kind: str = Field(sa_column=Column(String(32), nullable=False))
    peer: str = Field(sa_column=Column(String(64), nullable=False))
    window: str | None = Field(sa_column=Column(String(10)))
    seq: int | None = Field(sa_column=Column(BigInteger))
    token: str | None = Field(sa_column=Column(String(32)))
    cases: int = Field(sa_column=Column(BigInteger, nullable=False))
    first_seen: int = Field(sa_column=Column(BigInteger, nullable=False))
    due: int = Field(sa_column=Column(BigInteger, nullable=False))


class ReviewEvent(SQLModel, table=True):
    """What was done with a review item, in order; only ever appended. The newest is its state."""

    __tablename__: ClassVar[str] = "review_event"
    __table_args__ = ({"sqlite_with_rowid": False},)
    item: int = Field(
        sa_column=Column(
            BigInteger, ForeignKey("review_item.id"), primary_key=True, autoincrement=False
        )
    )
    number: int = Field(sa_column=Column(Integer, primary_key=True, autoincrement=False))
    t: int = Field(sa_column=Column(BigInteger, nullable=False))
    verb: str = Field(sa_column=Column(String(16), nullable=False))
    who: str = Field(sa_column=Column(String(64), nullable=False))
    outcome: str | None = Field(sa_column=Column(String(40)))
    reason: str | None = Field(sa_column=Column(String(500)))


class ReconciledWindow(SQLModel, table=True):
    """How comparing our log with a peer's about a day ended the last time.

    ``failure`` is an error's code where it could not be done; ``counts`` is JSON by class.
    """

    __tablename__: ClassVar[str] = "reconciled_window"
    __table_args__ = ({"sqlite_with_rowid": False},)
    peer: str = Field(sa_column=Column(String(64), primary_key=True))
    window: str = Field(sa_column=Column(String(10), primary_key=True))
    t: int = Field(sa_column=Column(BigInteger, nullable=False))
    failure: str | None = Field(sa_column=Column(String(64)))
    counts: str = Field(sa_column=Column(String(500), nullable=False))


class LogRetirement(SQLModel, table=True):
    """A year's log whose time is over: how far dropping its entries has come.

    ``reached`` is the first number that the pass at hand has not looked at, ``begun`` the entry
    that began it. ``ended`` is when the last pass was done (milliseconds since 1970), NULL while
    one is under way; ``due`` is until when the entries were kept.
    """

    __tablename__: ClassVar[str] = "log_retirement"
    year: int = Field(sa_column=Column(Integer, primary_key=True, autoincrement=False))
    origin: str = Field(sa_column=Column(String(210), nullable=False))
    first: int = Field(sa_column=Column(BigInteger, nullable=False))
    size: int = Field(sa_column=Column(BigInteger, nullable=False))
    root: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    due: int = Field(sa_column=Column(BigInteger, nullable=False))
    begun: int = Field(sa_column=Column(BigInteger, nullable=False))
    reached: int = Field(sa_column=Column(BigInteger, nullable=False))
    dropped: int = Field(sa_column=Column(BigInteger, nullable=False))
    kept: int = Field(sa_column=Column(BigInteger, nullable=False))
    ended: int | None = Field(sa_column=Column(BigInteger))


class MessageBody(SQLModel, table=True):
    """Messages of an entry as they were on the wire, sealed (``node.ledger.bodies``); short-lived.

    ``t`` is that of the entry, ``size`` how many bytes of the messages are kept.
    """

    __tablename__: ClassVar[str] = "message_body"
    seq: int = Field(
        sa_column=Column(
            big(), ForeignKey("ledger_entry.seq"), primary_key=True, autoincrement=False
        )
    )
    t: int = Field(sa_column=Column(BigInteger, nullable=False))
    size: int = Field(sa_column=Column(BigInteger, nullable=False))
    request: bytes | None = Field(sa_column=Column(LargeBinary))
    response: bytes | None = Field(sa_column=Column(LargeBinary))


class TrustDecisionRow(SQLModel, table=True):
    """A decision about a binding, named by the SHA-256 (base64) of its bytes; without PHI."""

    __tablename__: ClassVar[str] = "trust_decision"
    digest: str = Field(sa_column=Column(String(44), primary_key=True))
    body: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


def table_of(model: type[SQLModel]) -> Table:
    """The table of a model."""
    return SQLModel.metadata.tables[str(model.__tablename__)]


COUNTER = table_of(LedgerCounter)
ENTRY = table_of(LedgerEntry)
PRIVATE = table_of(LedgerPrivate)
TOKEN = table_of(LedgerToken)
ERASURE = table_of(LedgerErasure)
HOLD = table_of(LedgerHold)
WITNESS = table_of(LedgerWitness)
WITNESSED = table_of(LedgerWitnessed)
DECISION = table_of(TrustDecisionRow)
PROMISE = table_of(LogPromise)
REVIEW = table_of(ReviewItem)
REVIEW_EVENT = table_of(ReviewEvent)
RECONCILED = table_of(ReconciledWindow)
RETIREMENT = table_of(LogRetirement)
BODY = table_of(MessageBody)

OPEN_PROMISE = "open"
"""The state of a promise that was not looked into yet."""

# One index behind each filter, newest first with the sequence number as the tie-break, so that a
# page is read from the index alone (a test reads the query plans).
Index("ix_ledger_entry_id", ENTRY.c.entry_id, unique=True)
Index("ix_ledger_entry_time", ENTRY.c.t, ENTRY.c.seq)
for _name in ("peer", "outcome", "purpose", "txn", "direction", "exchange_id"):
    Index(f"ix_ledger_entry_{_name}", ENTRY.c[_name], ENTRY.c.t, ENTRY.c.seq)
for _name in ("reason", "msg", "rel"):
    Index(
        f"ix_ledger_entry_{_name}",
        ENTRY.c[_name],
        ENTRY.c.t,
        ENTRY.c.seq,
        sqlite_where=ENTRY.c[_name].is_not(None),
        postgresql_where=ENTRY.c[_name].is_not(None),
    )
NO_EXCHANGE = text("kind <> 'exchange'")
"""The condition of the index by kind, word for word: trust changes are few among exchanges."""

Index(
    "ix_ledger_entry_kind",
    ENTRY.c.kind,
    ENTRY.c.t,
    ENTRY.c.seq,
    sqlite_where=NO_EXCHANGE,
    postgresql_where=NO_EXCHANGE,
)
Index("ix_ledger_token_seq", TOKEN.c.seq)

PROMISE_DUE = text("state = 'open'")
"""The condition of the index by which promises are found that are to be looked into."""

Index(
    "ix_log_promise_due",
    PROMISE.c.t,
    sqlite_where=PROMISE_DUE,
    postgresql_where=PROMISE_DUE,
)
# how much is kept is summed from it, without reading the messages
Index("ix_message_body_time", BODY.c.t, BODY.c.seq, BODY.c.size)
