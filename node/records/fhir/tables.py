"""The tables of FHIR resources and of what they are found by.

All of it may be PHI and stays in the node's database. Resources lie in the content store as part
of a file (``sha256``, ``start``, ``size``), or here (``body``) where we authored them. Times are
milliseconds since 1970, UTC.
"""

from __future__ import annotations

from typing import Any, ClassVar, Final

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, String, Table
from sqlalchemy.sql.type_api import TypeEngine
from sqlmodel import Field, SQLModel

MANY: Final = "*"
"""``patient`` of a resource about several people, or about one who is not known."""
NOBODY: Final = ""
"""``patient`` of a resource that is about no patient, such as an Organization."""


def _big() -> TypeEngine[Any]:
    return BigInteger().with_variant(Integer(), "sqlite")


def _text(length: int) -> TypeEngine[Any]:
    # compared byte by byte on both engines: a prefix is found by a range
    return String(length).with_variant(String(length, collation="C"), "postgresql")


class FhirResource(SQLModel, table=True):
    """One resource; ``key`` orders them by arrival, and pages go on from it.

    ``patient`` is the id of the one Patient that it is about, or ``MANY`` or ``NOBODY``. ``digest``
    is the SHA-256 of the bytes that are served. ``origin`` says who wrote it: ``given``, ``made``
    by us, or ``document``: a Binary whose data is a file of the store, and ``body`` the rest of it.
    """

    __tablename__: ClassVar[str] = "fhir_resource"
    key: int = Field(sa_column=Column(_big(), primary_key=True, autoincrement=False))
    type: str = Field(sa_column=Column(_text(64), nullable=False))
    id: str = Field(sa_column=Column(_text(64), nullable=False))
    patient: str = Field(sa_column=Column(_text(64), nullable=False))
    updated: int = Field(sa_column=Column(BigInteger, nullable=False))
    version: str = Field(sa_column=Column(String(64), nullable=False))
    digest: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    origin: str = Field(sa_column=Column(String(16), nullable=False))
    sha256: str | None = Field(sa_column=Column(String(64)))
    start: int = Field(sa_column=Column(BigInteger, nullable=False))
    size: int = Field(sa_column=Column(BigInteger, nullable=False))
    body: bytes | None = Field(sa_column=Column(LargeBinary))


class FhirToken(SQLModel, table=True):
    """One code or identifier of a resource; ``system`` is empty where it has none."""

    __tablename__: ClassVar[str] = "fhir_token"
    __table_args__ = ({"sqlite_with_rowid": False},)
    key: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    parameter: str = Field(sa_column=Column(_text(64), primary_key=True))
    code: str = Field(sa_column=Column(_text(256), primary_key=True))
    system: str = Field(sa_column=Column(_text(256), primary_key=True))


class FhirText(SQLModel, table=True):
    """One string of a resource: folded for comparing, and as it stands."""

    __tablename__: ClassVar[str] = "fhir_text"
    __table_args__ = ({"sqlite_with_rowid": False},)
    key: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    parameter: str = Field(sa_column=Column(_text(64), primary_key=True))
    folded: str = Field(sa_column=Column(_text(256), primary_key=True))
    exact: str = Field(sa_column=Column(_text(256), primary_key=True))


class FhirDate(SQLModel, table=True):
    """One stretch of time of a resource, half-open."""

    __tablename__: ClassVar[str] = "fhir_date"
    __table_args__ = ({"sqlite_with_rowid": False},)
    key: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    parameter: str = Field(sa_column=Column(_text(64), primary_key=True))
    low: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    high: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))


class FhirReference(SQLModel, table=True):
    """One reference of a resource in normal form: ``Type/id`` or an absolute URL."""

    __tablename__: ClassVar[str] = "fhir_reference"
    __table_args__ = ({"sqlite_with_rowid": False},)
    key: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    parameter: str = Field(sa_column=Column(_text(64), primary_key=True))
    target: str = Field(sa_column=Column(_text(512), primary_key=True))


class FhirPerson(SQLModel, table=True):
    """Which person of the patient index (``records_patient``) a Patient resource is."""

    __tablename__: ClassVar[str] = "fhir_person"
    patient: str = Field(sa_column=Column(_text(64), primary_key=True))
    local_id: str = Field(sa_column=Column(String(64), nullable=False))


def _table(model: type[SQLModel]) -> Table:
    return SQLModel.metadata.tables[str(model.__tablename__)]


RESOURCE = _table(FhirResource)
TOKEN = _table(FhirToken)
TEXT = _table(FhirText)
DATE = _table(FhirDate)
REFERENCE = _table(FhirReference)
PERSON = _table(FhirPerson)

Index("ix_fhir_resource_id", RESOURCE.c.type, RESOURCE.c.id, unique=True)
Index("ix_fhir_resource_patient", RESOURCE.c.patient, RESOURCE.c.type, RESOURCE.c.key)
Index("ix_fhir_resource_type", RESOURCE.c.type, RESOURCE.c.key)
# by value; the type stands in front of the parameter's name: "Patient.identifier"
Index("ix_fhir_token_value", TOKEN.c.parameter, TOKEN.c.code, TOKEN.c.system, TOKEN.c.key)
Index("ix_fhir_text_value", TEXT.c.parameter, TEXT.c.folded, TEXT.c.key)
Index("ix_fhir_date_value", DATE.c.parameter, DATE.c.low, DATE.c.key)
Index("ix_fhir_reference_value", REFERENCE.c.parameter, REFERENCE.c.target, REFERENCE.c.key)
Index("ix_fhir_person_local", PERSON.c.local_id)
