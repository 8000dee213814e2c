"""A ledger that counts what it writes: the one place where every leg of either side passes."""

from __future__ import annotations

from node.exchange.ports import Ledger, Receipt
from node.model import LegRecord
from node.ops.metrics import Metrics


class CountedLedger:
    """Implements ``exchange.ports.Ledger`` over another; counts what became durable."""

    def __init__(self, ledger: Ledger, metrics: Metrics) -> None:
        """``ledger`` does the writing."""
        self._ledger = ledger
        self._metrics = metrics

    async def append(self, record: LegRecord) -> Receipt:
        """Write, then count (DESIGN law 4: deviations per peer); tests of ours are no traffic."""
        receipt = await self._ledger.append(record)
        if not record.synthetic:
            self._metrics.leg(record.leg)
        if record.trust is not None and record.trust.warnings:
            self._metrics.trust_warnings(record.trust.warnings)
        if record.deviations and record.leg.peer.organization_id:
            self._metrics.deviations(record.leg.peer.home_community_id, record.deviations)
        return receipt
