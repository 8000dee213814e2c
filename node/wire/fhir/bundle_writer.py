"""Searchset bundles: what we author stands around the untouched bytes of resources."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import orjson


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchEntry:
    """One resource of an answer.

    Attributes:
        full_url: its absolute address; ``None`` for an OperationOutcome.
        resource: its bytes.
        search: the ``search`` element, such as ``{"mode": "match"}``.
    """

    full_url: str | None
    resource: bytes
    search: dict[str, Any] = field(default_factory=lambda: {"mode": "match"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A link of a bundle."""

    relation: str
    url: str


def write_searchset(
    entries: Sequence[SearchEntry],
    *,
    bundle_id: str,
    now: datetime,
    total: int | None = None,
    links: Sequence[Link] = (),
) -> bytes:
    """A Bundle of type searchset; ``total`` is left out where it is not exact."""
    start = searchset_head(bundle_id=bundle_id, now=now, total=total, links=links)
    if not entries:
        return start
    return b'%b,"entry":[%b]}' % (start[:-1], b",".join(map(_entry, entries)))


def searchset_head(
    *, bundle_id: str, now: datetime, total: int | None = None, links: Sequence[Link] = ()
) -> bytes:
    """A Bundle of type searchset without its entries."""
    head: dict[str, Any] = {
        "resourceType": "Bundle",
        "id": bundle_id,
        "type": "searchset",
        "timestamp": fhir_instant(now),
    }
    if total is not None:
        head["total"] = total
    if links:
        head["link"] = [{"relation": link.relation, "url": link.url} for link in links]
    return orjson.dumps(head)


def fhir_instant(moment: datetime) -> str:
    """An instant in UTC with milliseconds."""
    text = moment.astimezone(UTC).isoformat(timespec="milliseconds")
    return text.removesuffix("+00:00") + "Z"


def _entry(entry: SearchEntry) -> bytes:
    start = b"{" if entry.full_url is None else b'{"fullUrl":%b,' % orjson.dumps(entry.full_url)
    return b'%b"resource":%b,"search":%b}' % (start, entry.resource, _search(entry.search))


_MATCH = orjson.dumps({"mode": "match"})


def _search(element: dict[str, Any]) -> bytes:
    return _MATCH if element == {"mode": "match"} else orjson.dumps(element)
