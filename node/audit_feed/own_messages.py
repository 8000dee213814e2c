"""Messages of the feed itself: what was left out, and a test. Pure."""

from __future__ import annotations

from datetime import datetime
from typing import Final
from uuid import UUID, uuid5

from node.audit_feed.position import Gap
from node.ledger import leaf
from node.ledger.audit import Site
from node.model import Outcome
from node.wire.audit_event import AuditEvent, Part

_GAPS: Final = UUID("7d4ad7f1-0b83-5f0e-8b87-5a3c2a3a6f0c")


def gap_event(gap: Gap, site: Site, *, limit: int, now: datetime) -> AuditEvent:
    """Tells the repository which entries it will not get; the id is the gap's, however often."""
    numbers = f"{gap.first}-{gap.last}"
    return _event(
        "audit-gap",
        site,
        entry_id=str(uuid5(_GAPS, f"{site.home_community_id} {numbers}")),
        now=now,
        outcome=Outcome.FAILED,
        explanation=f"Entries {gap.first} to {gap.last} of the log, {gap.entries} in all, were not "
        f"sent: more than {limit} were waiting. `log export --format atna` has them.",
        details={
            "first-seq": str(gap.first),
            "last-seq": str(gap.last),
            "entries": str(gap.entries),
        },
    )


def test_event(site: Site, *, entry_id: str, now: datetime) -> AuditEvent:
    """A test of the connection, marked as one."""
    return _event(
        "audit-test",
        site,
        entry_id=entry_id,
        now=now,
        outcome=Outcome.OK,
        explanation="TEST. This message is about nobody; it tries the way to this repository.",
        details={},
    )


def _event(
    occasion: str,
    site: Site,
    *,
    entry_id: str,
    now: datetime,
    outcome: Outcome,
    explanation: str,
    details: dict[str, str],
) -> AuditEvent:
    return AuditEvent(
        occasion=occasion,
        type=occasion,
        type_name=occasion.replace("-", " "),
        recorded=leaf.from_time(now),
        outcome=outcome.value,
        explanation=explanation,
        own=site.machine(),
        parts=(Part(outcome=outcome.value),),
        entry_id=entry_id,
        details=details,
    )
