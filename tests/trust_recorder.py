"""A recorder of changes of trust in memory, and one that cannot record."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from node.errors import OurFault
from node.exchange.ports import Receipt
from node.ledger.trust_change import Step, TrustChange
from node.ledger.trust_log import Change


class Recorded:
    """Implements ``trust_change.Recorder``; keeps what was written, in order."""

    def __init__(self, *, works: bool = True) -> None:
        self.works = works
        self.entries: list[tuple[Step, TrustChange]] = []

    def steps(self) -> list[tuple[str, str]]:
        """What was written: act and step."""
        return [(change.act, step.value) for step, change in self.entries]

    @contextmanager
    def change(self, change: TrustChange) -> Iterator[Change]:
        """As ``TrustLog.change``."""
        self._write(Step.BEGUN, change)
        made = Change(change)
        try:
            yield made
        except BaseException:
            self._write(Step.FAILED, made.change)
            raise
        self._write(Step.FAILED if made.refused else Step.DONE, made.change)

    def fact(self, change: TrustChange) -> Receipt:
        """As ``TrustLog.fact``."""
        self._write(Step.DONE, change)
        return Receipt(entry_id="", seq=len(self.entries))

    def _write(self, step: Step, change: TrustChange) -> None:
        if not self.works:
            raise OurFault("trust-change-unrecorded", "The log cannot be written.")
        self.entries.append((step, change))
