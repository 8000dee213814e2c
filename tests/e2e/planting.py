"""Exchanges of yesterday, written into ledgers as each side's writer would have written them."""

from __future__ import annotations

import asyncio
import hashlib
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from node_network import Site, now

from node.ledger.ledger import ExchangeLedger
from node.ledger.private import load_key
from node.model import (
    Direction,
    ExchangeId,
    HomeCommunityId,
    Leg,
    LegId,
    LegRecord,
    Outcome,
    Peer,
    Transaction,
)
from node.opened import opened_home

YESTERDAY = (now() - timedelta(days=1)).date()
NOON = datetime(YESTERDAY.year, YESTERDAY.month, YESTERDAY.day, 12, tzinfo=UTC)


@dataclass
class Planted:
    """Exchanges of yesterday, by the site that logs them."""

    records: dict[str, list[LegRecord]] = field(default_factory=dict)
    messages: int = 0

    def exchange(
        self,
        asker: Site,
        server: Site,
        *,
        asked: bool = True,
        served: bool = True,
        outcome: Outcome = Outcome.OK,
        served_outcome: Outcome | None = None,
        skew: float = 0,
        request: bytes = b"request",
        served_request: bytes = b"request",
        at: datetime = NOON,
        reason: str | None = None,
    ) -> str:
        self.messages += 1
        message = f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_OID, f'{id(self)} {self.messages}')}"
        answered = outcome not in (Outcome.TIMED_OUT, Outcome.CANCELLED)
        if asked:
            rel = f"urn:uuid:{uuid.uuid4()}" if answered else None
            leg = _leg(Direction.INITIATING, server, message, outcome, at, relates_to=rel)
            self._add(asker, _record(asker, leg, request, b"answer" if answered else None))
        if served:
            when = at + timedelta(seconds=skew)
            other = served_outcome or outcome
            leg = _leg(Direction.RESPONDING, asker, message, other, when, reason=reason)
            self._add(server, _record(server, leg, served_request, b"answer"))
        return message

    def _add(self, site: Site, record: LegRecord) -> None:
        self.records.setdefault(site.name, []).append(record)

    async def write(self, *sites: Site) -> None:
        for site in sites:
            with opened_home(site.home, site.settings) as opened:
                ledger = ExchangeLedger(opened.engine, load_key(site.home.path))
                await asyncio.gather(*map(ledger.append, self.records.get(site.name, ())))
                ledger.close()


def _leg(direction, other: Site, message: str, outcome: Outcome, at: datetime, **more) -> Leg:
    peer = Peer(
        organization_id=other.oid, home_community_id=HomeCommunityId(other.hcid), name=other.name
    )
    return Leg(
        leg_id=LegId(str(uuid.uuid4())), exchange_id=ExchangeId(str(uuid.uuid4())),
        direction=direction, transaction=Transaction.ITI_55, peer=peer, outcome=outcome,
        started=at, duration_ms=5, message_id=message, **more,
    )  # fmt: skip


def _record(site: Site, leg: Leg, request: bytes, answer: bytes | None) -> LegRecord:
    return LegRecord(
        leg=leg,
        own=HomeCommunityId(site.hcid),
        purpose="T-TRTMNT",
        request_digest=hashlib.sha256(request).digest(),
        response_digest=hashlib.sha256(answer).digest() if answer else None,
    )
