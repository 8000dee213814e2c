"""Writes a merged answer, whole or a page of it, as a searchset Bundle."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

import orjson

from node.exchange.fhir_merge import Merged, MergedEntry
from node.wire.fhir.bundle_writer import Link, searchset_head
from node.wire.fhir.outcome import write_outcome
from node.wire.fhir.provenance import Party, write_provenance


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Some of the matches: from which on, and how many; all of them from 0 with ``None``."""

    start: int = 0
    count: int | None = None


_WHOLE = Page()


def write_merged(
    merged: Merged,
    *,
    own: Party,
    now: datetime,
    new_id: Callable[[], str],
    links: Sequence[Link] = (),
    page: Page = _WHOLE,
) -> bytes:
    """A Bundle with a Provenance for each peer that gave something, and one OperationOutcome.

    What a peer included stands on the page of its first match; the outcome on every page, because
    whoever reads one alone has to know what is missing.
    """
    shown = on_page(merged, page)
    parts = [entry.data for entry in shown]
    targets: dict[int, list[str]] = defaultdict(list)
    for entry in shown:
        targets[entry.origin].append(entry.full_url)
    for origin, urls in targets.items():
        answer = merged.answers[origin]
        id_ = new_id()
        provenance = write_provenance(
            id_=id_,
            targets=urls,
            origin=Party(home_community_id=answer.home_community_id, name=answer.name),
            transmitter=own,
            messages=answer.messages,
            recorded=now,
        )
        parts.append(
            b'{"fullUrl":%b,"resource":%b,"search":{"mode":"include"}}'
            % (orjson.dumps(f"urn:uuid:{id_}"), provenance)
        )
    if merged.issues:
        outcome = write_outcome(merged.issues)
        parts.append(b'{"resource":%b,"search":{"mode":"outcome"}}' % outcome)
    head = searchset_head(bundle_id=new_id(), now=now, total=merged.total, links=links)
    if not parts:
        return head
    return b'%b,"entry":[%b]}' % (head[:-1], b",".join(parts))


def on_page(merged: Merged, page: Page) -> Sequence[MergedEntry]:
    """The entries of a page, without what is said about them."""
    if page == _WHOLE:
        return merged.entries
    matches = [each for each in merged.entries if each.is_match]
    end = len(matches) if page.count is None else page.start + page.count
    shown = matches[page.start : end]
    before = {each.origin for each in matches[: page.start]}
    first = {each.origin for each in shown} - before
    if page.start == 0:
        # who gave nothing but what belongs to other answers has no match to stand beside
        first |= {each.origin for each in merged.entries} - {each.origin for each in matches}
    return [*shown, *(e for e in merged.entries if not e.is_match and e.origin in first)]
