"""What runs out in the signed network list in use: its roles, and the keys of its members.

A key of a member that another one takes over in time is no event and is left out. Only the
soonest ends are listed one by one; the others are counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from itertools import islice
from operator import attrgetter
from pathlib import Path
from typing import Final

from node.settings import NodeHome
from trust.expiry import Expiring, Kind, Owner
from trust.network_list.entry import Entry, ListedKey
from trust.network_list.live import ListMark, list_mark
from trust.network_list.member import Membership
from trust.network_list.metadata import role_lifetime
from trust.network_list.names import DELEGATED

MOST: Final = 200
"""Keys of members that are listed one by one; a calendar and the metrics must stay readable."""

_SHOWN_DIGITS: Final = 8
_NEVER: Final = datetime.max.replace(tzinfo=UTC)
_ALWAYS: Final = datetime.min.replace(tzinfo=UTC)


def network_ends(home: NodeHome, *, now: datetime) -> list[Expiring]:
    """The ends of the list in use at a moment; nothing where no network was joined.

    Raises:
        TrustError: when the kept list cannot be read.
    """
    ends = _list_ends(home.network, list_mark(home.network))
    roles = [
        Expiring(
            kind=Kind.NETWORK_ROLE,
            name=role,
            not_after=expires,
            lifetime=role_lifetime(role.partition(" ")[0]),
            owner=Owner.NETWORK,
        )
        for role, expires in ends.roles
    ]
    return [*roles, *_bounded(end.item for end in ends.keys if end.counts_at(now))]


def listed_ends(
    home: NodeHome, organization_ids: frozenset[str], *, now: datetime
) -> Iterator[tuple[str, Expiring]]:
    """The ends of the listed keys of some organisations, each with the organisation's id.

    Raises:
        TrustError: as ``network_ends``.
    """
    for end in _list_ends(home.network, list_mark(home.network)).keys:
        if end.organization_id in organization_ids and end.counts_at(now):
            yield end.organization_id, end.item


@dataclass(frozen=True, slots=True, kw_only=True)
class _KeyEnd:
    """The end of a key, and when the entry counts in which it stands."""

    organization_id: str
    item: Expiring
    begins: datetime
    ends: datetime

    def counts_at(self, now: datetime) -> bool:
        return self.begins <= now <= self.ends


@dataclass(frozen=True, slots=True, kw_only=True)
class _ListEnds:
    roles: tuple[tuple[str, datetime], ...] = ()
    keys: tuple[_KeyEnd, ...] = ()


@lru_cache(maxsize=4)
def _list_ends(folder: Path, _mark: ListMark) -> _ListEnds:
    """The ends in the list in use; to check a large list takes seconds, so once for each."""
    membership = Membership(folder)
    listed = membership.applied() if membership.joined() else None
    if listed is None:
        return _ListEnds()
    parts = ((f"{DELEGATED} {part.qhin}", part.expires) for part in listed.qhins)
    keys = (end for _, entry in listed.entries() for end in _of_entry(entry))
    return _ListEnds(
        roles=(*listed.expires.items(), *parts),
        keys=tuple(sorted(keys, key=lambda end: (end.item.not_after, end.item.name))),
    )


def _of_entry(entry: Entry) -> Iterator[_KeyEnd]:
    if entry.status != "active":
        return
    uses: list[tuple[str, list[ListedKey]]] = [
        (f"TLS {role}", [key for key in entry.tls_pins if key.role in (role, "both")])
        for role in ("server", "client")
    ]
    uses.append(("SAML", list(entry.saml_signers)))
    found: dict[tuple[str, datetime], list[str]] = {}
    for use, keys in uses:
        for key in keys:
            if key.not_after is not None and not _taken_over(key, keys):
                found.setdefault((key.spki_sha256, key.not_after), []).append(use)
    for (spki, not_after), named in found.items():
        item = Expiring(
            kind=Kind.LISTED_KEY,
            name=f"{entry.name} ({entry.id}) {', '.join(named)} {spki[:_SHOWN_DIGITS]}",
            not_after=not_after,
            owner=Owner.PEER,
        )
        yield _KeyEnd(
            organization_id=entry.id,
            item=item,
            begins=entry.valid_from or _ALWAYS,
            ends=entry.valid_to or _NEVER,
        )


def _taken_over(key: ListedKey, keys: Iterable[ListedKey]) -> bool:
    """Whether another key of the same use counts when this one ends, and longer."""
    end = key.not_after or _NEVER
    return any((other.not_before or _ALWAYS) <= end < (other.not_after or _NEVER) for other in keys)


def _bounded(items: Iterator[Expiring]) -> Iterator[Expiring]:
    yield from islice(items, MOST)
    rest = sorted(items, key=attrgetter("not_after"))
    if rest:
        yield Expiring(
            kind=Kind.LISTED_KEY,
            name="other keys of the network list",
            not_after=rest[0].not_after,
            owner=Owner.PEER,
            others=len(rest) - 1,
        )
