"""The types and search parameters of the FHIR server, as ``data/search.toml`` says."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from importlib import resources
from typing import Any


class Kind(StrEnum):
    """The search parameter types of FHIR that the catalogue uses."""

    TOKEN = "token"  # noqa: S105 - a type of parameter
    DATE = "date"
    STRING = "string"
    REFERENCE = "reference"


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One search parameter of one type.

    Attributes:
        name: as it stands in a query.
        kind: how its values are compared.
        paths: where they stand in a resource.
        us_core: what US Core expects of a server, ``None`` where it says nothing.
        target: the one type that a reference leads to, ``None`` where there are several.
        chain: parameters of the target that may stand behind a dot.
    """

    name: str
    kind: Kind
    paths: tuple[str, ...]
    us_core: str | None = None
    target: str | None = None
    chain: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Combination:
    """Parameters that US Core expects to be usable together, and how much."""

    us_core: str
    of: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceType:
    """What the server does with one type.

    Attributes:
        of_patient: whether its resources are about a patient.
        search: whether it can be searched, and not only read.
        updated: whether it can be searched by ``_lastUpdated``.
        asked_by: one of these must stand in a search that is not bound to a patient; empty: none.
        include, revinclude: what may be asked along, as FHIR writes it.
    """

    name: str
    parameters: Mapping[str, Parameter]
    of_patient: bool = False
    search: bool = True
    updated: bool = True
    asked_by: tuple[str, ...] = ()
    include: tuple[str, ...] = ()
    revinclude: tuple[str, ...] = ()
    combinations: tuple[Combination, ...] = field(default=())
    us_core: str | None = None


ID = Parameter(name="_id", kind=Kind.TOKEN, paths=("id",))
"""Every type has it."""


@lru_cache
def resource_types() -> Mapping[str, ResourceType]:
    """All types that are served, by name."""
    text = resources.files("node.wire.fhir").joinpath("data/search.toml").read_text("utf-8")
    return {name: _type(name, table) for name, table in tomllib.loads(text).items()}


@lru_cache
def audit_type() -> ResourceType:
    """AuditEvent, whose resources the log gives (``data/audit_search.toml``)."""
    text = resources.files("node.wire.fhir").joinpath("data/audit_search.toml").read_text("utf-8")
    return _type("AuditEvent", tomllib.loads(text)["AuditEvent"])


def is_asked_of_network(type_: ResourceType) -> bool:
    """Whether many servers can be asked for a type: by patient, and not for what it is about."""
    by_patient = "patient" in type_.parameters and type_.name != "Provenance"
    return type_.search and (by_patient or type_.name == "Patient")


def asked_of_network(type_: ResourceType) -> tuple[Parameter, ...]:
    """The parameters that many servers can be asked by: patient, and no other reference."""
    return tuple(
        each
        for each in type_.parameters.values()
        if each.name == "patient" or not (each.kind is Kind.REFERENCE or each.name == "_id")
    )


def _type(name: str, table: Mapping[str, Any]) -> ResourceType:
    parameters = {n: _parameter(n, row) for n, row in table["parameters"].items()}
    search = bool(table.get("search", True))
    if search:
        parameters.setdefault(ID.name, ID)
    return ResourceType(
        name=name,
        parameters=parameters,
        of_patient=bool(table.get("of_patient", False)),
        search=search,
        asked_by=tuple(table.get("asked_by", ())),
        include=tuple(table.get("include", ())),
        revinclude=tuple(table.get("revinclude", ())),
        combinations=tuple(
            Combination(us_core=row["us_core"], of=tuple(row["of"]))
            for row in table.get("combinations", ())
        ),
        us_core=table.get("us_core"),
    )


def _parameter(name: str, row: Mapping[str, Any]) -> Parameter:
    return Parameter(
        name=name,
        kind=Kind(row["type"]),
        paths=tuple(row["paths"]),
        us_core=row.get("us_core"),
        target=row.get("target"),
        chain=tuple(row.get("chain", ())),
    )
