"""The signed network list in use in a few numbers, as a page shows it.

To check a large list takes seconds, so each is read once.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path

from node.settings import NodeHome
from trust.network_list.live import ListMark, list_mark
from trust.network_list.member import Membership


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedFacts:
    """What was joined, the list in use, and the one that waits for a person.

    Attributes:
        version: of the list in use; ``None`` before the first one was fetched.
        ends: when the first of its roles ends.
        waiting: version of the list that waits for ``network approve``.
    """

    url: str
    root_fingerprint: str
    version: int | None = None
    digest: str = ""
    signed_at: datetime | None = None
    ends: datetime | None = None
    qhins: int = 0
    entries: int = 0
    contested: int = 0
    waiting: int | None = None


def listed_facts(home: NodeHome) -> ListedFacts | None:
    """The facts; ``None`` where no network was joined.

    Raises:
        TrustError: when the kept list cannot be read.
    """
    return _facts(home.network, list_mark(home.network))


@lru_cache(maxsize=4)
def _facts(folder: Path, _mark: ListMark) -> ListedFacts | None:
    membership = Membership(folder)
    joined = membership.joined()
    if joined is None:
        return None
    listed, waiting = membership.applied(), membership.waiting()
    known = ListedFacts(
        url=joined.url,
        root_fingerprint=joined.root_fingerprint,
        waiting=waiting.version if waiting else None,
    )
    if listed is None:
        return known
    return ListedFacts(
        url=known.url,
        root_fingerprint=known.root_fingerprint,
        waiting=known.waiting,
        version=listed.version,
        digest=listed.digest,
        signed_at=listed.signed_at,
        ends=min(listed.expires.values(), default=None),
        qhins=len(listed.qhins),
        entries=sum(len(part.entries) for part in listed.qhins),
        contested=len(listed.contested),
    )
