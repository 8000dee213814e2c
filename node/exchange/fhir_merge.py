"""The searchsets of many peers as one: every resource's bytes as they came, nothing lost. Pure.

A merged answer is in the order of the peers' home community ids, and of each peer in its own order,
whoever answered first. Each entry names its origin by an extension and by its address; what is said
about a resource stands beside it, never in it. The same result of several peers stays as often as
it came, each linked to the others (``link`` with relation ``alternate``). One OperationOutcome says
what became of every peer that gave less than all it was asked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
import orjson

from node.exchange.fhir_alternates import Kept, Links, alternates
from node.exchange.fhir_notes import note
from node.model import HomeCommunityId, Outcome
from node.wire.fhir.peer_results import PeerResult, peer_issues
from node.wire.fhir.searchset_reader import Quarantined, ReadEntry, Remark

HOME: Final = "https://profiles.ihe.net/ITI/MHD/StructureDefinition/ihe-HomeCommunityId"
"""The extension that names the community an entry comes from."""
RECOGNISED: Final = "urn:tefca-node:same-result"
"""The extension of a link that says by what the alternate was recognised."""
_MAX_NOTES: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerAnswer:
    """What became of one peer.

    Attributes:
        home_community_id, name: whose answer it is.
        patient: id of the Patient there, or empty.
        outcome, reason, sentence: how it ended; no PHI.
        entries: of all its pages, in its order.
        quarantined, remarks: of its pages.
        cut: why not all of its pages were taken, or ``None``.
        messages: ``urn:uuid:`` of our requests that brought the entries.
    """

    home_community_id: HomeCommunityId
    name: str
    outcome: Outcome
    patient: str = ""
    reason: str | None = None
    sentence: str | None = None
    entries: tuple[ReadEntry, ...] = ()
    quarantined: tuple[Quarantined, ...] = ()
    remarks: tuple[Remark, ...] = ()
    cut: str | None = None
    messages: tuple[str, ...] = ()

    @property
    def result(self) -> PeerResult:
        """How it ended, as an answer to our own systems says it."""
        return PeerResult(
            home_community_id=self.home_community_id,
            name=self.name,
            outcome=self.outcome,
            reason=self.reason,
            entry=self.messages[-1].removeprefix("urn:uuid:") if self.messages else None,
        )


class MergedEntry(msgspec.Struct, frozen=True, gc=False):
    """An entry as it is written, whose it is, and where it is at its origin."""

    data: bytes
    is_match: bool
    origin: int
    full_url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """The merged answer.

    Attributes:
        answers: of the peers, by home community id.
        entries: in order; ``origin`` counts in ``answers``.
        issues: of the OperationOutcome.
        total: the number of matches where every peer answered wholly, else ``None``.
        linked: how many entries have alternates.
    """

    answers: tuple[PeerAnswer, ...]
    entries: tuple[MergedEntry, ...]
    issues: tuple[dict[str, Any], ...]
    total: int | None
    linked: int

    @property
    def matches(self) -> int:
        """How many entries are matches."""
        return sum(entry.is_match for entry in self.entries)

    @property
    def is_whole(self) -> bool:
        """Whether every peer answered wholly."""
        return all(_is_whole(answer) for answer in self.answers)

    @property
    def nobody_answered(self) -> bool:
        """Whether somebody was asked and nobody gave an answer of their own."""
        return bool(self.answers) and not any(a.outcome.answered for a in self.answers)


def merge(answers: Sequence[PeerAnswer]) -> Merged:
    """Merge what peers gave."""
    ordered = tuple(sorted(answers, key=lambda a: (a.home_community_id, a.patient)))
    merging = _Merging()
    results = [each.result for each in ordered]
    issues: list[dict[str, Any]] = peer_issues(results)
    for origin, answer in enumerate(ordered):
        issues += _notes(answer, merging.take(origin, answer))
    links = alternates(merging.kept)
    if links:
        issues.append(
            note("same", f"{len(links)} entries are held by several peers and linked as alternate.")
        )
    whole = all(_is_whole(answer) for answer in ordered)
    entries = tuple(merging.written(ordered, links))
    return Merged(
        answers=ordered,
        entries=entries,
        issues=tuple(issues),
        total=sum(each.is_match for each in entries) if whole else None,
        linked=len(links),
    )


def _is_whole(answer: PeerAnswer) -> bool:
    is_good = answer.outcome in (Outcome.OK, Outcome.OK_EMPTY)
    return is_good and answer.cut is None and not answer.quarantined


@dataclass(slots=True)
class _Merging:
    """Entries while they are put together."""

    kept: list[Kept] = field(default_factory=list)
    _seen: dict[str, bytes] = field(default_factory=dict)

    def take(self, origin: int, answer: PeerAnswer) -> list[dict[str, Any]]:
        """Keep a peer's entries; an address stands in a Bundle once."""
        same = other = 0
        seen, keep = self._seen, self.kept.append
        for entry in answer.entries:
            before = seen.setdefault(entry.full_url, entry.resource)
            if before is entry.resource:
                keep((origin, entry))
            elif before == entry.resource:
                same += 1
            else:
                other += 1
        found = []
        if same:
            found.append(note("repeated", f"{_named(answer)} gave {same} resources repeatedly."))
        if other:
            sentence = f"gave {other} resources again with another content; the first is kept."
            found.append(note("quarantined", f"{_named(answer)} {sentence}"))
        return found

    def written(self, ordered: Sequence[PeerAnswer], links: Links) -> Iterator[MergedEntry]:
        heads = [_origin(answer) for answer in ordered]
        urls = [orjson.dumps(entry.full_url) for _, entry in self.kept]
        for place, (origin, entry) in enumerate(self.kept):
            others = links.get(place)
            head = heads[origin] if others is None else heads[origin] + _linked(others, urls)
            data = b'%b"fullUrl":%b,"resource":%b,"search":%b}' % (
                head,
                urls[place],
                entry.resource,
                entry.search or _SEARCH[entry.mode],
            )
            yield MergedEntry(data, entry.mode == "match", origin, entry.full_url)


_SEARCH: Final = {"match": b'{"mode":"match"}', "include": b'{"mode":"include"}'}


def _origin(answer: PeerAnswer) -> bytes:
    """The start of each entry of a peer."""
    extension = orjson.dumps({"url": HOME, "valueOid": answer.home_community_id})
    return b'{"extension":[%b],' % extension


def _linked(others: Mapping[int, str], urls: Sequence[bytes]) -> bytes:
    """The links of an entry to its alternates, each with how it was recognised."""
    links = [_LINK % (_HOW[how], urls[other]) for other, how in others.items()]
    return b'"link":[%b],' % b",".join(links)


_HOW: Final = {
    how: orjson.dumps({"url": RECOGNISED, "valueCode": how}) for how in ("identifier", "content")
}
_LINK: Final = b'{"extension":[%b],"relation":"alternate","url":%b}'


def _notes(answer: PeerAnswer, of_entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What is to be said about a peer's entries."""
    named = _named(answer)
    found = [note("cut", f"{named}: {answer.cut}")] if answer.cut is not None else []
    put_aside = answer.quarantined
    found += [
        note("quarantined", f"{named}: entry {each.place}: {each.sentence}")
        for each in put_aside[:_MAX_NOTES]
    ]
    if len(put_aside) > _MAX_NOTES:
        more = len(put_aside) - _MAX_NOTES
        found.append(note("quarantined", f"{named}: and {more} further entries."))
    found += [
        note("remark", f"{named} says: {each.text or each.code}")
        for each in answer.remarks[:_MAX_NOTES]
    ]
    return found + of_entries


def _named(answer: PeerAnswer) -> str:
    return f"{answer.name} ({answer.home_community_id})"
