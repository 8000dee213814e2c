"""The log's entries as AuditEvents, found and read (implements ``exchange.audit_ports``).

An AuditEvent's id is its entry's id and its number among the events of that entry, ``….1``. What
was erased of an entry is not in its events, which then may be fewer; they say which groups are
gone.
"""

from __future__ import annotations

import asyncio
import hashlib
import heapq
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Final

import orjson
from sqlalchemy import Engine, select

from node.exchange.audit_ports import AuditPage, AuditView
from node.exchange.fhir_ports import Cursor, HeldResource
from node.ledger import leaf
from node.ledger.audit import Site, audit_event
from node.ledger.audit_search import read_audit_search
from node.ledger.audit_wanted import Wanted
from node.ledger.export import PRIVATE_PIECE, Groups, opened_groups
from node.ledger.filter import LedgerFilter
from node.ledger.find import Cursor as Place
from node.ledger.find import Entry, find, read
from node.ledger.private import LedgerKey
from node.ledger.row_check import GroupState
from node.model import PatientId
from node.storage.tables import ENTRY
from node.wire.balp import build_audit_events
from node.wire.fhir.query import SearchQuery

Json = dict[str, Any]

MOST_ENTRIES: Final = 400
"""Entries that are looked at for one page."""

MOST_BYTES: Final = 8 * 1024 * 1024
"""Bytes of one page, its last event aside."""

_OF_PEOPLE: Final = ("patient", "query", "docs")
_ID: Final = re.compile(r"([0-9a-f-]{36})\.([1-9][0-9]{0,5})", re.ASCII)


class LedgerAudit:
    """Implements ``AuditRecords`` over the log's database."""

    def __init__(self, engine: Engine, key: LedgerKey, site: Site) -> None:
        """``key`` opens the private groups; ``site`` is this node."""
        self._engine = engine
        self._key = key
        self._site = site

    async def read(self, id_: str, view: AuditView) -> HeldResource | None:
        """One AuditEvent, or ``None``."""
        found = _ID.fullmatch(id_)
        if found is None:
            return None
        wanted = Wanted(entry=found[1], event=id_)
        page = await asyncio.to_thread(self._page, wanted, view, None, 1)
        return page.events[0] if page.events else None

    async def search(
        self,
        query: SearchQuery,
        view: AuditView,
        *,
        patients: frozenset[PatientId] | None,
        after: Cursor | None,
    ) -> AuditPage:
        """A page of a search."""
        wanted = read_audit_search(
            query, own=self._site.home_community_id, kinds=view.kinds, patients=patients
        )
        return await asyncio.to_thread(self._page, wanted, view, after, query.count)

    def _page(self, wanted: Wanted, view: AuditView, after: Cursor | None, most: int) -> AuditPage:
        events: list[HeldResource] = []
        size, looked, last = 0, 0, after
        for entry, groups in self._entries(wanted, view, after, most):
            made = self._events(entry, groups, view)
            skipped = after.part if after and entry.seq == after.key - 1 else 0
            place = Cursor(value=leaf.to_milliseconds(str(entry.fields["t"])), key=entry.seq)
            for number, event in enumerate(made):
                if number < skipped:
                    continue
                if len(events) == most or size > MOST_BYTES:
                    # within an entry: the next page reads it again, and passes over what was given
                    within = replace(place, key=entry.seq + 1, part=number)
                    return AuditPage(events=tuple(events), following=within if number else last)
                if wanted.fits(event, people=view.people):
                    events.append(_held(event))
                    size += len(events[-1].data)
            looked, last = looked + 1, place
            if looked >= MOST_ENTRIES:
                return AuditPage(events=tuple(events), following=last)
        return AuditPage(events=tuple(events))

    def _entries(
        self, wanted: Wanted, view: AuditView, after: Cursor | None, most: int
    ) -> Iterator[tuple[Entry, Groups]]:
        """The entries that the filters choose, newest first, with their groups."""
        if wanted.entry is not None:
            found = self._one(wanted.entry)
            pieces = iter([[found]] if found and found.fields["kind"] in view.kinds else [])
        else:
            pieces = self._pieces(wanted.filters, after, most)
        for piece in pieces:
            with self._engine.connect() as connection:
                rows = [(entry.seq, entry.data) for entry in piece]
                groups = opened_groups(connection, rows, self._key)
            yield from ((entry, groups[entry.seq]) for entry in piece)

    def _pieces(
        self, filters: Sequence[LedgerFilter], after: Cursor | None, most: int
    ) -> Iterator[list[Entry]]:
        """The filters have no entry in common: their pages are merged by time and number."""
        at = Place(t=after.value or 0, seq=after.key) if after else None
        while True:
            limit = min(PRIVATE_PIECE, most + 1)
            pages = [find(self._engine, f, key=self._key, limit=limit, after=at) for f in filters]
            merged = heapq.merge(*(page.entries for page in pages), key=_newest)
            piece = [entry for entry, _ in zip(merged, range(limit), strict=False)]
            if not piece:
                return
            yield piece
            if len(piece) < limit and all(page.following is None for page in pages):
                return
            at = Place(t=leaf.to_milliseconds(str(piece[-1].fields["t"])), seq=piece[-1].seq)

    def _one(self, entry_id: str) -> Entry | None:
        query = select(ENTRY.c.seq, ENTRY.c.entry_id, ENTRY.c.leaf)
        with self._engine.connect() as connection:
            row = connection.execute(query.where(ENTRY.c.entry_id == entry_id)).one_or_none()
        return read(row) if row is not None else None

    def _events(self, entry: Entry, groups: Groups, view: AuditView) -> list[Json]:
        closed = () if view.people else _OF_PEOPLE
        opened = {name: g.value for name, g in groups.opened.items() if name not in closed}
        gone = [name for name, state in groups.states.items() if state is GroupState.ERASED]
        event = audit_event(entry.data, entry.fields, opened, self._site, erased=gone)
        made = []
        for number, resource in enumerate(build_audit_events(event), 1):
            meta = {"lastUpdated": resource["recorded"], **resource.pop("meta", {})}
            kind = resource.pop("resourceType")
            made.append(
                {"resourceType": kind, "id": f"{entry.entry_id}.{number}", "meta": meta, **resource}
            )
        return made


def _held(event: Json) -> HeldResource:
    data = orjson.dumps(event)
    return HeldResource(
        type=event["resourceType"],
        id=event["id"],
        data=data,
        patient=None,
        updated=leaf.to_milliseconds(event["recorded"]),
        version=hashlib.sha256(data).hexdigest()[:16],
    )


def _newest(entry: Entry) -> tuple[int, int]:
    return (-leaf.to_milliseconds(str(entry.fields["t"])), -entry.seq)
