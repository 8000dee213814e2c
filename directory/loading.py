"""Rows of ``queries.organizations`` to organisations."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import groupby
from typing import Any

import orjson
from sqlalchemy import Connection

from directory import queries
from directory.codec import load_endpoint, load_organization
from directory.fhir import attach
from directory.model import Organization

_FETCH = 1000


def load(connection: Connection, statement: queries.Rows) -> tuple[Organization, ...]:
    """The organisations of a statement made by ``queries``."""
    return tuple(_grouped(connection.execute(statement)))


def load_all(connection: Connection) -> Iterator[Organization]:
    """Every organisation by id, streamed."""
    options = {"yield_per": _FETCH}
    yield from _grouped(connection.execute(queries.organizations(), execution_options=options))


def _grouped(rows: Iterable[Any]) -> Iterator[Organization]:
    for _, group in groupby(rows, key=lambda row: row[0]):
        yield _organization(list(group))


def _organization(rows: list[Any]) -> Organization:
    _, content, _, _, suspended, reason, profile, source = rows[0]
    organization = attach(
        load_organization(content),
        [(load_endpoint(row[2]), row[3]) for row in rows if row[2] is not None],
    )
    if suspended is None:
        return replace(organization, source=source)
    return replace(
        organization,
        suspended=bool(suspended),
        suspended_reason=reason,
        profile=orjson.loads(profile),
        source=source,
    )
