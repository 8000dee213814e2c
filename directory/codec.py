"""Directory values to compact JSON text and back, for the store. Pure.

Only fields that differ from their default are written. The form is private to one version of the
node: an import writes it, and a changed form means a new import.
"""

from __future__ import annotations

import dataclasses
from functools import cache, lru_cache
from typing import Any

import orjson

from directory.model import Contact, Endpoint, Organization, Period, PostalAddress, PublishedKey

_LOCAL = frozenset({"suspended", "suspended_reason", "profile", "source"})
_SETS = frozenset({"initiates", "initiates_transactions", "transactions", "responds"})


def dump_organization(organization: Organization) -> bytes:
    """JSON of an entry without the local settings; equal entries give equal bytes."""
    return orjson.dumps(_compact(organization), option=orjson.OPT_SORT_KEYS)


def dump_endpoint(endpoint: Endpoint) -> bytes:
    """JSON of a standalone endpoint; equal endpoints give equal bytes."""
    return orjson.dumps(_compact(endpoint), option=orjson.OPT_SORT_KEYS)


def load_organization(content: str) -> Organization:
    """The entry that :func:`dump_organization` wrote."""
    fields = orjson.loads(content)
    nested: dict[str, Any] = {
        "addresses": tuple(PostalAddress(**_values(item)) for item in fields.pop("addresses", ())),
        "keys": tuple(PublishedKey(**item) for item in fields.pop("keys", ())),
        "contacts": tuple(Contact(**_values(item)) for item in fields.pop("contacts", ())),
        "endpoints": tuple(_endpoint(item) for item in fields.pop("endpoints", ())),
    }
    return Organization(**nested, **_values(fields))


def load_endpoint(content: str) -> Endpoint:
    """The endpoint that :func:`dump_endpoint` wrote."""
    return _endpoint(orjson.loads(content))


def _endpoint(fields: dict[str, Any]) -> Endpoint:
    period = fields.pop("period", None)
    return Endpoint(period=Period(**period) if period else None, **_values(fields))


def _values(fields: dict[str, Any]) -> dict[str, Any]:
    for name, value in fields.items():
        if isinstance(value, list):
            fields[name] = _interned(tuple(value)) if name in _SETS else tuple(value)
    return fields


@lru_cache(maxsize=4096)
def _interned(codes: tuple[str, ...]) -> frozenset[str]:
    """One set for all entries with the same codes: a directory has few combinations."""
    return frozenset(codes)


def _compact(
    value: Organization | Endpoint | PostalAddress | Contact | Period | PublishedKey,
) -> dict[str, Any]:
    found: dict[str, Any] = {}
    kind: Any = type(value)
    for name, default in _defaults(kind):
        item = getattr(value, name)
        if item == default or name in _LOCAL:
            continue
        if isinstance(item, frozenset):
            item = sorted(item)
        elif isinstance(item, tuple) and dataclasses.is_dataclass(item[0]):
            item = [_compact(part) for part in item]
        elif isinstance(item, Period):
            item = _compact(item)
        found[name] = item
    return found


@cache
def _defaults(kind: Any) -> tuple[tuple[str, object], ...]:
    return tuple((field.name, field.default) for field in dataclasses.fields(kind))
