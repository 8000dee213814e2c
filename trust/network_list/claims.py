"""One id, one home community, one key: one QHIN. Pure.

TUF keeps a QHIN to its own files; it does not look into them. So a QHIN could still list another's
organisation, or its keys, in its own index. What two QHINs claim stays with the one that held it in
the list in use; where neither did, neither has it (facts pki A11, identity state).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from trust.network_list.entry import Entry
from trust.network_list.listing import Contest, NetworkList, QhinPart


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """The parts without the entries that lost, why they lost, and who holds what was disputed."""

    parts: tuple[QhinPart, ...]
    contests: tuple[Contest, ...] = ()
    held: Mapping[str, str] = field(default_factory=dict)


def settle(parts: Sequence[QhinPart], holders: Mapping[str, str]) -> Settlement:
    """Leaves out every entry that claims what another QHIN holds; says which and why."""
    claimants: defaultdict[str, set[str]] = defaultdict(set)
    for part in parts:
        for entry in part.entries:
            for claim in _claims(entry):
                claimants[claim].add(part.qhin)
    disputed = {claim: qhins for claim, qhins in claimants.items() if len(qhins) > 1}
    if not disputed:
        return Settlement(parts=tuple(parts))
    held = {c: holders[c] for c, qhins in disputed.items() if holders.get(c) in qhins}
    contests: list[Contest] = []
    settled: list[QhinPart] = []
    for part in parts:
        kept: list[Entry] = []
        for entry in part.entries:
            lost = [
                Contest(qhin=part.qhin, entry_id=entry.id, claim=claim, held_by=held.get(claim))
                for claim in _claims(entry)
                if claim in disputed and held.get(claim) != part.qhin
            ]
            contests.extend(lost[:1])
            if not lost:
                kept.append(entry)
        settled.append(replace(part, entries=tuple(kept)))
    return Settlement(parts=tuple(settled), contests=tuple(contests), held=held)


def holders_of(listed: NetworkList) -> dict[str, str]:
    """Which QHIN holds each claim of a list."""
    return {claim: part.qhin for part, entry in listed.entries() for claim in _claims(entry)}


def _claims(entry: Entry) -> Iterator[str]:
    yield f"the id {entry.id}"
    if entry.home_community_id:
        yield f"the home community id {entry.home_community_id}"
    for key in (*entry.tls_pins, *entry.saml_signers):
        yield f"the key {key.spki_sha256}"
