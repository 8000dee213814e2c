"""What a running node checks of itself whenever somebody asks ``/readyz``."""

from __future__ import annotations

import asyncio

from node.audit_feed.feed import AuditFeed
from node.auditing import audit_check
from node.live_trust import LiveTrust
from node.log_health import log_finding
from node.mailing import mail_check
from node.opened import OpenedHome
from node.ops.health import Check, Finding, Status


def running_checks(
    opened: OpenedHome, trust: LiveTrust, feed: AuditFeed | None = None
) -> dict[str, Check]:
    """The checks by their names; none of them takes longer than reading one row."""

    async def database() -> Finding:
        version = await asyncio.to_thread(opened.directory.version)
        return Finding(status=Status.OK, sentence=f"The database answers (directory {version}).")

    async def own_entry() -> Finding:
        if await asyncio.to_thread(opened.view.by_id, opened.settings.node.organization_id):
            return Finding(status=Status.OK, sentence="The directory has our own entry.")
        return Finding(
            status=Status.WARN,
            sentence="The directory does not have our own entry, so nothing can be asked.",
            advice="Import it: `directory export --self --out own.json`, `directory import`.",
        )

    async def whom_we_trust() -> Finding:
        return trust_finding(trust.faults())

    async def log() -> Finding:
        now = opened.clock.now()
        return served_anyway(
            await asyncio.to_thread(log_finding, opened.home, opened.settings, opened.engine, now)
        )

    found: dict[str, Check] = {
        "database": database, "own-entry": own_entry, "trust": whom_we_trust,
        "log": log, "mail": mail_check(opened),
    }  # fmt: skip
    return found if feed is None else found | {"audit": audit_check(feed)}


def served_anyway(found: Finding) -> Finding:
    """A warning at most: entries are durable all the same, and ending it makes nothing safer."""
    if found.status is not Status.FAIL:
        return found
    return Finding(status=Status.WARN, sentence=found.sentence, advice=found.advice)


def trust_finding(faults: frozenset[str]) -> Finding:
    """Whether the running node trusts whom its files say (``LiveTrust.faults``)."""
    if not faults:
        return Finding(status=Status.OK, sentence="Whom the files say is trusted.")
    # A warning: a node that is taken out of service for it would be no safer and exchange nothing.
    return Finding(
        status=Status.WARN,
        sentence="A change in whom we trust cannot be taken over, so a former one is in force: "
        f"{', '.join(sorted(faults))}.",
        advice="`anchor list` and `network status` name the file; it is tried again every few "
        "seconds. To stop trusting somebody at once, stop the node.",
    )
