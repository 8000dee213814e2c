"""The composition root: the only place that knows everything, and that nothing imports.

``Composition`` gives the commands what they need of a node home: its stores, the initiating side in
this process, or the whole running node.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress

from node.auditing import auditing
from node.capturing import capturing
from node.cli.home import Stores
from node.cli.main import run
from node.crl_updater import CrlUpdater, keep_updated
from node.crls import follow_crls
from node.encounter_feed import feeding
from node.exchange.initiate import Initiator
from node.exchange.ports import Ledger
from node.expiry_calendar import seconds_left
from node.fhir_asking import FhirAsking, asking_fhir
from node.fhir_brokering import NetworkAsking, asking_network, brokering
from node.fhir_serving import serving_fhir
from node.identity import (
    Role,
)
from node.initiating import initiating
from node.ledger.counted import CountedLedger
from node.ledger.ledger import ExchangeLedger
from node.ledger.private import load_key as load_ledger_key
from node.ledger.trust_known import known
from node.ledger.trust_log import NODE
from node.listeners import (
    console_listener,
    gateway_listener,
    grpc_listener,
    ops_listener,
)
from node.live_identities import LiveIdentities
from node.live_trust import LiveTrust
from node.log_rounds import going_round
from node.log_watch import keeping_log
from node.mailing import mailing
from node.network_list import keep_synced, membership_of
from node.noticed import Noticed
from node.ocsp_asker import OcspAsker, keep_asking
from node.opened import OpenedHome, opened_home, trust_log
from node.ops.logging import configure_logging
from node.ops.metrics import Metrics
from node.probing import Probing, probing
from node.promise_check import PromiseCheck
from node.promises import Promises, keep_current
from node.reconciling import Reconciler, reconciling
from node.responding import responding_app
from node.served_certificate import fingerprint_in_use, local_address, served_fingerprint
from node.settings import NodeHome, Settings
from node.settled import settled
from node.shown_certificates import keep_written, showing
from node.stores import opened_stores
from node.sweeping import sweeping, tallying
from node.throttled import writing_throttles
from node.witnessing import witnesses

_REFRESH_SECONDS = 3.0
_SERVED_SECONDS = 60.0


class Composition:
    """Implements ``node.cli.home.Wiring``."""

    @contextmanager
    def stores(self, home: NodeHome, settings: Settings) -> Iterator[Stores]:
        """The database of a node home."""
        with opened_stores(home, settings) as stores:
            yield stores

    @asynccontextmanager
    async def initiator(self, home: NodeHome, settings: Settings) -> AsyncIterator[Initiator]:
        """The initiating side in this process, with the ledger of the node home."""
        with (
            opened_home(home, settings) as opened,
            _ledger(opened, Metrics()) as ledger,
            showing(home) as shown,
        ):
            trust = LiveTrust(home, opened.clock.now)
            async with initiating(opened, ledger, trust, seen=shown.saw) as initiator:
                yield initiator

    @asynccontextmanager
    async def probing(self, home: NodeHome, settings: Settings) -> AsyncIterator[Probing]:
        """The connectivity tests in this process, with the ledger of the node home."""
        with opened_home(home, settings) as opened, _ledger(opened, Metrics()) as ledger:
            async with probing(opened, ledger, LiveTrust(home, opened.clock.now)) as made:
                yield made

    @asynccontextmanager
    async def reconciling(self, home: NodeHome, settings: Settings) -> AsyncIterator[Reconciler]:
        """What compares the log with those of peers, in this process."""
        with opened_home(home, settings) as opened:
            async with reconciling(opened, LiveTrust(home, opened.clock.now)) as made:
                yield made

    @asynccontextmanager
    async def promises(self, home: NodeHome, settings: Settings) -> AsyncIterator[PromiseCheck]:
        """What looks into log promises, in this process."""
        with opened_home(home, settings) as opened:
            async with reconciling(opened, LiveTrust(home, opened.clock.now)) as made:
                yield PromiseCheck(opened, made)

    @asynccontextmanager
    async def fhir(self, home: NodeHome, settings: Settings) -> AsyncIterator[FhirAsking]:
        """Our side as a FHIR client in this process, with the ledger of the node home."""
        with opened_home(home, settings) as opened, _ledger(opened, Metrics()) as ledger:
            async with asking_fhir(opened, ledger, LiveTrust(home, opened.clock.now)) as asking:
                yield asking

    @asynccontextmanager
    async def network(self, home: NodeHome, settings: Settings) -> AsyncIterator[NetworkAsking]:
        """Both ways to ask the network in this process, with the ledger of the node home."""
        with (
            opened_home(home, settings) as opened,
            _ledger(opened, Metrics()) as ledger,
            showing(home) as shown,
        ):
            trust = LiveTrust(home, opened.clock.now)
            async with asking_network(opened, ledger, trust, seen=shown.saw) as asking:
                yield asking

    async def serve(
        self, home: NodeHome, settings: Settings, ready: Callable[[dict[str, str]], None]
    ) -> None:
        """Run everything until SIGTERM or SIGINT; running requests are answered first.

        Identities that were switched and anchors that were changed are taken within seconds, at
        once after SIGHUP.
        """
        stop, asked = asyncio.Event(), asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGHUP, asked.set)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        configure_logging()
        for chatty in ("alembic", "uvicorn"):
            logging.getLogger(chatty).setLevel(logging.WARNING)
        metrics = Metrics()
        async with AsyncExitStack() as stack:
            opened = stack.enter_context(opened_home(home, settings))
            ledger = stack.enter_context(_ledger(opened, metrics))
            feed = await stack.enter_async_context(auditing(opened, metrics))
            noticed = Noticed(home, trust_log(opened, NODE), opened.clock.now)
            identities = LiveIdentities(home)
            trust = LiveTrust(home, opened.clock.now, changed=noticed.anchors)
            await noticed.begin(await asyncio.to_thread(known, opened.engine), trust)
            asking = witnesses(opened, trust, identities, metrics)
            witnessing = await stack.enter_async_context(asking)
            await stack.enter_async_context(
                keeping_log(opened, trust_log(opened, NODE), metrics, witnessing)
            )
            shown = stack.enter_context(showing(home))
            initiator = await stack.enter_async_context(
                initiating(opened, ledger, trust, identities, seen=shown.saw)
            )
            promises = Promises(opened)
            app = responding_app(opened, ledger, metrics, trust, shown.saw, promise=promises)
            gateway = gateway_listener(opened, app, metrics, identities, trust)
            bound = {"soap": await stack.enter_async_context(gateway)}
            broker = await stack.enter_async_context(
                brokering(opened, ledger, trust, initiator, identities, seen=shown.saw)
            )
            asking_peers = NetworkAsking(initiator=initiator, broker=broker, clock=opened.clock)
            if settings.grpc.enabled:
                grpc = grpc_listener(opened, asking_peers, identities, trust)
                bound["grpc"] = await stack.enter_async_context(grpc)
            if settings.fhir.enabled:
                fhir = serving_fhir(opened, ledger, metrics, identities, trust, asking=asking_peers)
                bound["fhir"] = await stack.enter_async_context(fhir)
            if settings.ops.enabled:
                bound["ops"] = await stack.enter_async_context(
                    ops_listener(opened, metrics, trust, feed)
                )
            if settings.console.enabled:
                console = console_listener(opened, asking_peers, identities)
                bound["console"] = await stack.enter_async_context(console)
            if address := await stack.enter_async_context(feeding(opened, identities, trust)):
                bound["mllp"] = address
            metrics.watch_trust(lambda: len(trust.faults()))
            metrics.watch_expiry(lambda: seconds_left(home, opened.clock.now()))
            own_port = int(bound["soap"].rpartition(":")[2])
            for task in (
                _refresh(opened),
                keep_written(shown, seconds=_REFRESH_SECONDS),
                follow_crls(trust.revocations, opened.clock.now, seconds=_REFRESH_SECONDS),
                *_fetching(opened, trust, metrics, noticed),
                _follow_files(identities, trust, noticed, asked),
                _watch_served(opened, identities, metrics, own_port),
                keep_current(promises, seconds=_REFRESH_SECONDS),
            ):
                stack.callback(asyncio.create_task(task).cancel)
            for watch in (
                going_round(opened, trust, identities),
                sweeping(opened),
                tallying(opened),
                writing_throttles(opened),
                mailing(opened),
            ):
                await stack.enter_async_context(watch)
            syncer = asyncio.create_task(_sync_network(opened))
            stack.callback(syncer.cancel)
            stack.enter_context(settled())
            ready(bound)
            await stop.wait()


@contextmanager
def _ledger(opened: OpenedHome, metrics: Metrics) -> Iterator[Ledger]:
    ledger = ExchangeLedger(
        opened.engine,
        load_ledger_key(opened.home.path),
        capacity=opened.settings.storage.queue_limit,
    )
    try:
        with capturing(opened, CountedLedger(ledger, metrics), metrics) as kept:
            yield kept
    finally:
        ledger.close()


async def _refresh(opened: OpenedHome) -> None:
    """See what other processes write into the directory: imports, pins, suspensions."""
    while True:
        await asyncio.sleep(_REFRESH_SECONDS)
        await asyncio.to_thread(opened.view.refresh)


def _fetching(
    opened: OpenedHome, trust: LiveTrust, metrics: Metrics, noticed: Noticed
) -> Iterator[Coroutine[object, object, None]]:
    """Keep CRLs and OCSP answers current, unless the settings say that others do."""
    settings, now = opened.settings.revocation, opened.clock.now
    if settings.fetch:
        updater = CrlUpdater(
            opened.home, settings, trust.revocations, now, metrics=metrics, tell=noticed.crl
        )
        yield keep_updated(updater)
        yield keep_asking(OcspAsker(settings, trust.revocations, now, metrics))


async def _sync_network(opened: OpenedHome) -> None:
    """Fetch the signed network list again and again, where the node has joined a network."""
    await keep_synced(
        membership_of(opened.home, opened.settings),
        opened.directory,
        trust_log(opened, NODE),
        minutes=opened.settings.directory.network_sync_minutes,
        now=opened.clock.now,
    )


async def _follow_files(
    identities: LiveIdentities, trust: LiveTrust, noticed: Noticed, asked: asyncio.Event
) -> None:
    """Take over what was switched or trusted otherwise: within seconds, at once when asked to."""
    while True:
        with suppress(TimeoutError):
            await asyncio.wait_for(asked.wait(), _REFRESH_SECONDS)
        asked.clear()
        await noticed.follow(identities, trust)


async def _watch_served(
    opened: OpenedHome, identities: LiveIdentities, metrics: Metrics, port: int
) -> None:
    """Look from outside whether the gateway serves the certificate that is in use."""
    host = local_address(opened.settings.listen.host)
    while True:
        served = await served_fingerprint(opened.home, opened.settings, host, port)
        in_use = await asyncio.to_thread(fingerprint_in_use, opened.home, Role.SERVER)
        metrics.served(Role.SERVER, is_current=served is not None and served == in_use)
        for role in identities.roles():
            metrics.identity_refused(role, is_refused=role in identities.refused())
        await asyncio.sleep(_SERVED_SECONDS)


def main() -> None:
    """The ``tefca-node`` command."""
    run(Composition())


if __name__ == "__main__":
    main()
