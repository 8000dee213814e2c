"""Whether we dealt with a peer: what the quarterly connectivity test asks of the log."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from sqlalchemy import Engine

from node.ledger.filter import LedgerFilter
from node.ledger.find import PAGE_LIMIT, find
from node.model import HomeCommunityId, Outcome

_ANSWERED: Final = (Outcome.OK, Outcome.OK_EMPTY, Outcome.PARTIAL)


def dealt_with(engine: Engine, peer: HomeCommunityId, *, since: datetime) -> bool:
    """Whether a question of either side was answered since then; our own tests do not count.

    Raises:
        OurFault: as ``find``.
    """
    chosen = LedgerFilter(peer=peer, outcome=_ANSWERED, since=since)
    page = find(engine, chosen, limit=PAGE_LIMIT)
    while True:
        if any("test" not in entry.fields for entry in page.entries):
            return True
        if page.following is None:
            return False
        page = find(engine, chosen, limit=PAGE_LIMIT, after=page.following)
