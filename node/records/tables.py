"""The tables of the local records: people, their blocking keys, documents, and what failed.

All of it may be PHI and stays in the node's database. Values are JSON of the model's dataclasses;
columns repeat only what is searched by. Times are milliseconds since 1970, UTC.
"""

from __future__ import annotations

from typing import ClassVar

from sqlalchemy import BigInteger, Column, Engine, Index, Integer, LargeBinary, String, Table
from sqlmodel import Field, SQLModel


class RecordsPatient(SQLModel, table=True):
    """One person: all that is known; ``merged_into`` leads to the identity that took over.

    ``traits`` is the same in the form in which people are compared (``stored_traits``); ``form``
    says by which rules traits and keys were made (``people.form_of``), nothing that it was an older
    version of the node.
    """

    __tablename__: ClassVar[str] = "records_patient"
    id: str = Field(sa_column=Column(String(64), primary_key=True))
    demographics: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    merged_into: str | None = Field(default=None, sa_column=Column(String(64)))
    added: int = Field(sa_column=Column(BigInteger, nullable=False))
    traits: bytes | None = Field(default=None, sa_column=Column(LargeBinary))
    form: str | None = Field(default=None, sa_column=Column(String(32)))


class RecordsPatientKey(SQLModel, table=True):
    """One blocking key of one person (``node.records.blocking``); the primary key is the index."""

    __tablename__: ClassVar[str] = "records_patient_key"
    __table_args__ = ({"sqlite_with_rowid": False},)
    key: str = Field(sa_column=Column(String(128), primary_key=True))
    patient_id: str = Field(sa_column=Column(String(64), primary_key=True))


class RecordsDocument(SQLModel, table=True):
    """One document entry; the content is in the store under its SHA-256."""

    __tablename__: ClassVar[str] = "records_document"
    entry_uuid: str = Field(sa_column=Column(String(64), primary_key=True))
    patient_id: str = Field(sa_column=Column(String(64), nullable=False))
    unique_id: str = Field(sa_column=Column(String(128), nullable=False))
    logical_id: str | None = Field(default=None, sa_column=Column(String(128)))
    sha256: str = Field(sa_column=Column(String(64), nullable=False))
    path: str = Field(sa_column=Column(String(1024), nullable=False))
    entry: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    notes: str = Field(sa_column=Column(String(1024), nullable=False))
    added: int = Field(sa_column=Column(BigInteger, nullable=False))


class RecordsFailure(SQLModel, table=True):
    """A file that could not be indexed, with the reason."""

    __tablename__: ClassVar[str] = "records_failure"
    path: str = Field(sa_column=Column(String(1024), primary_key=True))
    code: str = Field(sa_column=Column(String(64), nullable=False))
    sentence: str = Field(sa_column=Column(String(512), nullable=False))
    place: str | None = Field(default=None, sa_column=Column(String(128)))
    size: int = Field(sa_column=Column(BigInteger().with_variant(Integer(), "sqlite")))
    added: int = Field(sa_column=Column(BigInteger, nullable=False))


def _table(model: type[SQLModel]) -> Table:
    return SQLModel.metadata.tables[str(model.__tablename__)]


PATIENT = _table(RecordsPatient)
KEY = _table(RecordsPatientKey)
DOCUMENT = _table(RecordsDocument)
FAILURE = _table(RecordsFailure)
TABLES = (PATIENT, KEY, DOCUMENT, FAILURE)

Index("ix_records_patient_merged", PATIENT.c.merged_into)
Index("ix_records_patient_form", PATIENT.c.form)
Index("ix_records_patient_key_patient", KEY.c.patient_id)
Index("ix_records_document_patient", DOCUMENT.c.patient_id)
Index("ix_records_document_unique_id", DOCUMENT.c.unique_id, unique=True)
Index("ix_records_document_logical_id", DOCUMENT.c.logical_id)
Index("ix_records_document_sha256", DOCUMENT.c.sha256)


def create_tables(engine: Engine) -> None:
    """Make the tables where they are missing; what exists is left as it is."""
    SQLModel.metadata.create_all(engine, tables=list(TABLES))
