"""Runs the feed of the audit repository while the node serves."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Final
from urllib.parse import urlsplit

import structlog

from node.audit_feed.connection import Repository
from node.audit_feed.feed import AuditFeed, Rules
from node.audit_site import audit_site
from node.errors import CodedError, SettingsError
from node.identity import Role, tls_identity
from node.ledger.private import load_key
from node.opened import OpenedHome
from node.ops.health import Check, Finding, Status
from node.ops.metrics import Metrics
from node.settings import NodeHome, Settings
from node.wire.syslog import Sender
from trust.certificates import load_certificates
from trust.tls import client_context

_log = structlog.get_logger(__name__)

_PAUSE: Final = 1.0
_LONGEST_PAUSE: Final = 60.0
_LAST_ENTRIES: Final = 512
"""With more waiting, the end of the process does not wait for them; the next start sends them."""


def repository(home: NodeHome, settings: Settings) -> Repository:
    """The audit repository of the settings, with our certificate in use.

    Raises:
        SettingsError: ``audit-not-configured``.
        TrustError: when the CA's file or our identity cannot be read.
    """
    audit = settings.audit
    if not audit.host or not audit.ca_file:
        raise SettingsError(
            "audit-not-configured", "audit.host and audit.ca_file name no audit repository."
        )
    context = client_context(
        tls_identity(home, settings, Role(audit.identity)),
        load_certificates(home.resolve(audit.ca_file)),
    )
    context.set_alpn_protocols([])  # RFC 5425 has none, and this is not HTTP
    return Repository(host=audit.host, port=audit.port, context=context, seconds=audit.seconds)


def syslog_sender(settings: Settings) -> Sender:
    """How we name ourselves in syslog headers."""
    host = urlsplit(settings.listen.public_url).hostname or "localhost"
    return Sender(host=host, app="tefca-node", process=str(os.getpid()))


@asynccontextmanager
async def auditing(opened: OpenedHome, metrics: Metrics) -> AsyncIterator[AuditFeed | None]:
    """Feed the audit repository while the block runs; nothing where the settings name none.

    Raises:
        SettingsError: ``audit-not-configured`` when the section is half filled in.
        TrustError: as ``repository``.
    """
    settings = opened.settings
    if not settings.audit.host:
        yield None
        return
    repository(opened.home, settings)  # a wrong setting is told at once, not in an hour
    feed = AuditFeed(
        opened.home.path / "audit",
        opened.engine,
        load_key(opened.home.path),
        site=audit_site(settings),
        repository=lambda: repository(opened.home, settings),
        rules=Rules(
            private=settings.audit.private,
            lag_entries=settings.audit.lag_entries,
            message_bytes=settings.audit.message_bytes,
        ),
        counts=metrics,
        now=opened.clock.now,
        sender=syslog_sender(settings),
    )
    await asyncio.to_thread(feed.begin)  # before anything is served, so that nothing is missed
    task = asyncio.create_task(_keep(feed, metrics))
    try:
        yield feed
    finally:
        feed.stopping.set()
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await asyncio.to_thread(_end, feed)


async def _keep(feed: AuditFeed, metrics: Metrics) -> None:
    pause = _PAUSE
    while True:
        try:
            more = await _whole(feed.run)
            pause = _PAUSE
            if more:
                continue
        except Exception as error:  # noqa: BLE001 - whatever it is, the feed must not end in silence
            if isinstance(error, CodedError):
                told = {"code": error.code, "sentence": error.sentence, "advice": error.advice}
            else:  # another's own text may quote a value: only its type goes on
                told = {"code": type(error).__name__}
            _log.warning("audit.not-sent", **told, seconds=pause)
            metrics.audit_failed(told["code"])
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
            continue
        await asyncio.sleep(pause)


async def _whole(work: Callable[[], bool]) -> bool:
    """Wait to the end even when cancelled: the thread would run on beside what comes after."""
    task = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        with suppress(Exception):
            await task
        raise


def _end(feed: AuditFeed) -> None:
    """The entries of the last requests, where the repository is there; then let go."""
    with suppress(Exception):
        feed.stopping.clear()
        if feed.state.problem is None and feed.state.lag <= _LAST_ENTRIES:
            feed.run()
    with suppress(Exception):
        feed.end()


def audit_check(feed: AuditFeed) -> Check:
    """Whether the audit repository has what it should."""

    async def check() -> Finding:
        state = feed.state
        gap = state.last_gap
        left_out = (
            f" {state.skipped} entries were left out since the start, last {gap.first} to "
            f"{gap.last}: `log export --format atna` has them."
            if gap
            else ""
        )
        if state.problem is not None:
            return Finding(
                status=Status.WARN,
                sentence=f"{state.problem.sentence} {state.lag} entries wait.{left_out}",
                advice=state.problem.advice,
            )
        return Finding(
            status=Status.WARN if gap else Status.OK,
            sentence=f"The audit repository is fed; {state.lag} entries wait.{left_out}",
            advice="Raise audit.lag_entries, or see why the repository was away." if gap else None,
        )

    return check
