"""The catalogue of stored queries in ``data/stored_queries.toml``, read once."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import Literal

__all__ = ["Catalogue", "Parameter", "Query", "catalogue"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """How the values of one slot are written, and how often they may stand."""

    kind: Literal["patient", "text", "code", "time", "number"]
    many: bool
    repeat: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """One stored query: the parameters it needs, and whether it needs the home attribute."""

    name: str
    id: str
    required: tuple[str, ...]
    one_of: tuple[str, ...]
    home: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalogue:
    """Parameters by slot name, queries by id."""

    parameters: Mapping[str, Parameter]
    queries: Mapping[str, Query]

    def named(self, name: str) -> Query:
        """The query with an IHE name (``FindDocuments`` ...). Raises KeyError for no such name."""
        for query in self.queries.values():
            if query.name == name:
                return query
        raise KeyError(name)


@lru_cache(maxsize=1)
def catalogue() -> Catalogue:
    """The catalogue shipped with this version of the node."""
    source = resources.files("node.wire").joinpath("data/stored_queries.toml").read_text("utf-8")
    table = tomllib.loads(source)
    return Catalogue(
        parameters={
            name: Parameter(
                kind=row["kind"],
                many=row.get("many", False),
                repeat=row.get("repeat", False),
            )
            for name, row in table["parameters"].items()
        },
        queries={
            row["id"]: Query(
                name=name,
                id=row["id"],
                required=tuple(row.get("required", ())),
                one_of=tuple(row.get("one_of", ())),
                home=row.get("home", False),
            )
            for name, row in table["queries"].items()
        },
    )
