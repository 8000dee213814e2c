"""What our own systems were told of the network, kept for a while: patients, and found documents.

The content is sealed; what stands in the clear is random, or an HMAC that means nothing without the
node's key. Times are milliseconds since 1970, UTC.
"""

from __future__ import annotations

from typing import ClassVar

from sqlalchemy import BigInteger, Column, Index, LargeBinary, String
from sqlmodel import Field, SQLModel


class NetworkKept(SQLModel, table=True):
    """One thing that was told to one holder: a user or system of ours, asking for one purpose.

    ``topic`` is an HMAC of what was asked: who asks the same again finds the same. ``content`` is
    sealed, bound to the row's other columns.
    """

    __tablename__: ClassVar[str] = "network_kept"
    id: str = Field(sa_column=Column(String(64), primary_key=True))
    holder: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    topic: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    expires: int = Field(sa_column=Column(BigInteger, nullable=False))
    content: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


KEPT = SQLModel.metadata.tables["network_kept"]

Index("ix_network_kept_topic", KEPT.c.holder, KEPT.c.topic, unique=True)
Index("ix_network_kept_holder", KEPT.c.holder, KEPT.c.expires)
Index("ix_network_kept_expires", KEPT.c.expires)
