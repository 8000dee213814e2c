"""That a detector was tried before it is switched on: each back-test is an entry of the log."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from sqlalchemy import Engine

from node.errors import OurFault
from node.governance.detectors.catalogue import Detector, tried_within
from node.ledger.find import LedgerFilter, find
from node.ledger.private import LedgerKey
from node.ledger.show import show
from node.ledger.trust_change import TrustChange

_ACT: Final = "detector-backtest"
_MOST: Final = 200
"""Back-tests of all detectors that are looked through, the newest ones."""


def of_try(
    detector: Detector, limits: Mapping[str, float], *, subjects: int, flags: int
) -> TrustChange:
    """A back-test as its entry."""
    return TrustChange(
        act=_ACT,
        role=f"detector-{detector.id}",
        version=detector.version,
        counts={"entries": subjects, "added": flags},
        private={"limits": dict(limits)},
    )


def require_try(
    engine: Engine,
    key: LedgerKey,
    detector: Detector,
    limits: Mapping[str, float],
    *,
    now: datetime,
) -> None:
    """Look for a back-test of this version of a detector with these limits that is not too old.

    Raises:
        OurFault: ``detector-untried``.
    """
    if not detector.can_try:
        return
    chosen = LedgerFilter(act=(_ACT,), since=tried_within()).at(now)
    for entry in find(engine, chosen, key=key, limit=_MOST).entries:
        if entry.fields.get("role") != f"detector-{detector.id}":
            continue
        shown = show(engine, entry.seq, key)
        wire = shown.groups["wire"].value if shown and "wire" in shown.groups else None
        same = isinstance(wire, dict) and wire.get("limits") == dict(limits)
        if same and entry.fields.get("ver") == detector.version:
            return
    hours = int(tried_within().total_seconds() // 3600)
    raise OurFault(
        "detector-untried",
        f"{detector.id} was not tried on past days with these limits in the last {hours} hours;"
        " it is not switched on.",
    )
