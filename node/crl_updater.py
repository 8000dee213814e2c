"""Keeps the CRLs of a node home current: out of band, never while a peer waits.

Asked are the distribution points of chains that were accepted, those that base CRLs name for their
deltas, and the addresses in the settings; nothing else can make the node fetch anything. Each is
asked conditionally, again well before its CRL runs out, and less and less often while it fails.
What comes is believed by its signature and never replaces a newer CRL (``trust.crl_store``).
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import aiohttp
import structlog

from node.crls import CrlEvent, accepted_event, report_crl
from node.errors import CodedError, TrustError
from node.ops.metrics import Metrics
from node.outbound_fetch import Fetched, FetchRules, fetch, open_fetching
from node.settings import NodeHome, RevocationSection
from trust.crl import MAX_CRL_BYTES, Crl
from trust.crl_intake import TakenCrl, known_authorities, read_crl, take_crl
from trust.crl_sources import (
    MAX_SOURCES,
    CrlSource,
    freshest_points,
    load_sources,
    save_sources,
)
from trust.live_revocation import LiveRevocations

_log = structlog.get_logger(__name__)
_SIDE_BY_SIDE = 4
_LOOK_SECONDS = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """What became of one source.

    Attributes:
        url: of the source.
        outcome: ``new``, ``same`` or the code of what went wrong.
        crl: the CRL that came, when one was accepted.
        due: when it is asked again.
    """

    url: str
    outcome: str
    crl: Crl | None = None
    due: datetime | None = None

    @property
    def ok(self) -> bool:
        """Whether the source gave what it should."""
        return self.outcome in ("new", "same")


class CrlUpdater:
    """Asks the sources that are due; one instance per process."""

    def __init__(
        self,
        home: NodeHome,
        settings: RevocationSection,
        revocations: LiveRevocations,
        now: Callable[[], datetime],
        *,
        metrics: Metrics | None = None,
        tell: Callable[[CrlEvent], None] = report_crl,
    ) -> None:
        """Reads the remembered sources.

        Args:
            home: the node home.
            settings: what may be fetched, and how often.
            revocations: what is known; it is told of every new CRL.
            now: the current time.
            metrics: counts what becomes of the sources.
            tell: hears of every CRL that was accepted, and of one that was refused at first.
        """
        self._tell = tell
        self._folder = home.crls
        self._settings = settings
        self._revocations = revocations
        self._now = now
        self._metrics = metrics or Metrics()
        self._rules = FetchRules(
            hosts=settings.hosts,
            allow_private=settings.allow_private_addresses,
            seconds=settings.fetch_seconds,
        )
        self._interval = timedelta(minutes=settings.fetch_minutes)
        self._sources = load_sources(self._folder, revocations.anchors)
        for url in settings.crl_urls:
            self._sources.setdefault(url, CrlSource(url=url))

    @property
    def sources(self) -> tuple[CrlSource, ...]:
        """What is known of the sources."""
        return tuple(self._sources.values())

    async def update(self, *, everything: bool = False) -> list[Update]:
        """Ask the sources that are due, or every one; what changed is in use when this returns.

        Raises:
            TrustError: when the folder of CRLs cannot be written.
        """
        self._see()
        now = self._now()
        due = [s for s in self._sources.values() if everything or s.is_due(now)]
        if not due:
            return []
        room = asyncio.Semaphore(_SIDE_BY_SIDE)
        async with open_fetching(self._rules, self._revocations.anchors) as session:

            async def one(source: CrlSource) -> Update:
                async with room:
                    return await self._ask(session, source)

            updates = await asyncio.gather(*(one(source) for source in due))
        await asyncio.to_thread(save_sources, self._folder, self.sources)
        return updates

    def _see(self) -> None:
        for url, source in self._revocations.sources().items():
            if url not in self._sources and len(self._sources) < MAX_SOURCES:
                self._sources[url] = source

    async def _ask(self, session: aiohttp.ClientSession, source: CrlSource) -> Update:
        headers = {"If-None-Match": source.etag, "If-Modified-Since": source.modified}
        crl: Crl | None = None
        try:
            fetched = await fetch(
                session,
                source.url,
                self._rules,
                max_bytes=MAX_CRL_BYTES,
                headers={name: value for name, value in headers.items() if value},
            )
            if fetched.body is None:
                return self._noted(source, "same", None, fetched)
            crl = await asyncio.to_thread(read_crl, fetched.body)
            taken = await asyncio.to_thread(self._take, source, crl)
        except CodedError as error:
            return self._failed(source, error, crl)
        for url in freshest_points(taken.crl):
            if len(self._sources) < MAX_SOURCES:
                self._sources.setdefault(url, CrlSource(url=url, authority=taken.signer))
        if taken.is_new:
            self._tell(accepted_event(source.url, taken))
            await asyncio.to_thread(self._revocations.refresh, now=self._now())
        return self._noted(source, "new" if taken.is_new else "same", taken.crl, fetched)

    def _take(self, source: CrlSource, crl: Crl) -> TakenCrl:
        known = known_authorities(
            self._revocations.anchors, self._revocations.shelf, now=self._now()
        )
        first = (source.authority,) if source.authority else ()
        others = tuple(dict.fromkeys(c for path in (*first, *known) for c in path[:-1]))
        return take_crl(self._folder, crl, (*first, *known), others, now=self._now())

    def _noted(self, source: CrlSource, outcome: str, crl: Crl | None, fetched: Fetched) -> Update:
        unmodified = fetched.body is None
        after = source.succeeded(
            self._now(),
            crl or self._in_use(source),
            interval=self._interval,
            spread=_spread(),
            etag=source.etag if unmodified else fetched.headers.get("ETag"),
            modified=source.modified if unmodified else fetched.headers.get("Last-Modified"),
        )
        return self._done(after, outcome, crl)

    def _in_use(self, source: CrlSource) -> Crl | None:
        """The CRL in use of a source's CA, the first of them to end."""
        if not source.authority:
            return None
        found = [
            accepted.crl
            for accepted in self._revocations.shelf
            if accepted.signer[0] == source.authority[0]
        ]
        return min(found, key=lambda crl: crl.next_update, default=None)

    def _failed(self, source: CrlSource, error: CodedError, crl: Crl | None) -> Update:
        if isinstance(error, TrustError) and error.code != source.outcome:
            self._tell(
                CrlEvent(
                    source=source.url,
                    code=error.code,
                    number=crl.number if crl is not None else None,
                    digest=crl.digest if crl is not None else None,
                )
            )
        else:
            _log.warning("crl.fetch", code=error.code, address=source.url, detail=error.detail)
        after = source.failed(self._now(), error.code, interval=self._interval, spread=_spread())
        return self._done(after, error.code, None)

    def _done(self, source: CrlSource, outcome: str, crl: Crl | None) -> Update:
        self._sources[source.url] = source
        self._metrics.crl_fetched(outcome)
        return Update(url=source.url, outcome=outcome, crl=crl, due=source.due)


async def keep_updated(updater: CrlUpdater) -> None:
    """Ask whatever is due, again and again, until cancelled."""
    while True:
        try:
            await updater.update()
        except CodedError as error:
            _log.error("crl.update", code=error.code, sentence=error.sentence)
        await asyncio.sleep(_LOOK_SECONDS)


def _spread() -> float:
    return secrets.SystemRandom().random()
