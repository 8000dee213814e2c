"""Finds the same result among what several peers gave (``wire.fhir.same_result``). Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Final

from node.wire.fhir.dates import Span, parse_span
from node.wire.fhir.searchset_reader import ReadEntry

MAX_LINKS: Final = 10
"""Alternates of one entry that are linked."""

Kept = tuple[int, ReadEntry]
"""Which peer gave an entry, and the entry."""
Links = dict[int, dict[int, str]]
"""By place: the places of its alternates, and how each was recognised."""


def alternates(kept: Sequence[Kept]) -> Links:
    """For each entry that others hold as well: which, ``identifier`` or ``content``."""
    links: Links = defaultdict(dict)
    named, alike = _grouped(kept)
    for group in named.several():
        _link(group, kept, links, "identifier")
    for group in alike.several():
        for at_once in _by_time(group, kept):
            _link(at_once, kept, links, "content")
    return dict(links)


class _Groups:
    """Places by key; most keys have one place alone."""

    def __init__(self) -> None:
        self._first: dict[object, int] = {}
        self._several: dict[object, list[int]] = {}

    def add(self, key: object, place: int) -> None:
        first = self._first.setdefault(key, place)
        if first != place:
            self._several.setdefault(key, [first]).append(place)

    def several(self) -> Iterable[list[int]]:
        """The groups of more than one place."""
        return self._several.values()


def _grouped(kept: Sequence[Kept]) -> tuple[_Groups, _Groups]:
    """Places by identifier and code, and by code and value."""
    named, alike = _Groups(), _Groups()
    for place, (_, entry) in enumerate(kept):
        key = entry.key
        if key is None:
            continue
        for coding in key.codings or (None,):
            for identifier in key.identifiers:
                named.add((entry.type, identifier, coding), place)
            if key.value is not None and key.time is not None:
                alike.add((coding, key.value), place)
    return named, alike


def _by_time(group: Sequence[int], kept: Sequence[Kept]) -> Iterable[list[int]]:
    written: dict[str, list[int]] = defaultdict(list)
    for place in group:
        key = kept[place][1].key
        if key is not None and key.time is not None:
            written[key.time].append(place)
    if len(written) == 1:
        return written.values()
    times: dict[Span, list[int]] = defaultdict(list)
    for text, places in written.items():
        span = parse_span(text)
        if span is not None:
            times[span] += places
    return times.values()


def _link(group: Sequence[int], kept: Sequence[Kept], links: Links, how: str) -> None:
    """Link the entries of each peer to those of the others: a peer knows what it holds twice."""
    by_peer: dict[int, list[int]] = defaultdict(list)
    for place in group:
        of_peer = by_peer[kept[place][0]]
        if len(of_peer) < MAX_LINKS:
            of_peer.append(place)
    if len(by_peer) == 1:
        return
    for place in group:
        found, own = links[place], kept[place][0]
        for origin, others in by_peer.items():
            if origin != own:
                for other in others:
                    if len(found) < MAX_LINKS:
                        found.setdefault(other, how)
