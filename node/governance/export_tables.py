"""The table of exports. Times are milliseconds since 1970, UTC.

A person in a filter stands there as the keyed token. ``sha256`` and ``size`` are of the whole file;
they stay when the file is deleted.
"""

from __future__ import annotations

from typing import Any, ClassVar

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, LargeBinary, String, Text
from sqlalchemy.sql.type_api import TypeEngine
from sqlmodel import Field, SQLModel


def _big() -> TypeEngine[Any]:
    return BigInteger().with_variant(Integer(), "sqlite")


class ExportRow(SQLModel, table=True):
    """An export: what of, for whom, how far it is, and until when its file is kept.

    ``bound`` is the newest entry when it was asked for, ``rows`` how many there were to be,
    ``written`` how many are in the file, ``seen`` when its writer last said so. ``request`` is the
    number of the request for a second person, ``reason`` a code: why it ended early.
    """

    __tablename__: ClassVar[str] = "console_export"
    id: int = Field(sa_column=Column(_big(), primary_key=True, autoincrement=False))
    kind: str = Field(sa_column=Column(String(16), nullable=False))
    filter: str = Field(sa_column=Column(Text, nullable=False))
    format: str = Field(sa_column=Column(String(8), nullable=False))
    tokens: bool = Field(sa_column=Column(Boolean, nullable=False))
    asker: str = Field(sa_column=Column(String(64), nullable=False))
    asked: int = Field(sa_column=Column(BigInteger, nullable=False))
    bound: int = Field(sa_column=Column(BigInteger, nullable=False))
    rows: int = Field(sa_column=Column(BigInteger, nullable=False))
    state: str = Field(sa_column=Column(String(16), nullable=False))
    request: int | None = Field(sa_column=Column(BigInteger))
    written: int = Field(sa_column=Column(BigInteger, nullable=False))
    seen: int | None = Field(sa_column=Column(BigInteger))
    until: int | None = Field(sa_column=Column(BigInteger))
    size: int | None = Field(sa_column=Column(BigInteger))
    sha256: bytes | None = Field(sa_column=Column(LargeBinary))
    downloads: int = Field(sa_column=Column(Integer, nullable=False))
    reason: str | None = Field(sa_column=Column(String(64)))


EXPORT = SQLModel.metadata.tables[str(ExportRow.__tablename__)]

Index("ix_console_export_state", EXPORT.c.state, EXPORT.c.until)
