"""The searches of one process: each a task in the node's loop, owned by who asked, with an end.

A search asks every organization by the existing use cases: discovery and the list of documents by
IHE, ``$match`` and DocumentReferences where an organization has a FHIR server alone. It goes on
when the page is closed. Stopping it cancels its task, which ends the requests to the peers and
enters each as cancelled before anybody is told that it is over.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from typing import Final

import structlog

from node.console.clinic.request import ClinicRequest, Progress
from node.console.clinic.requests import Requests
from node.console.clinic.taking import FhirTaking, take
from node.errors import CodedError
from node.exchange.fhir_broker import FhirBroker, is_located
from node.exchange.fhir_question import question_of
from node.exchange.initiate import Initiator
from node.exchange.network_ports import KnownAt
from node.exchange.ports import Clock, PeerEntry
from node.exchange.questions import DocumentSearch
from node.model import PatientQuery

_MARGIN: Final = 15.0
"""Seconds beyond the deadline in which the last entries are written."""

_FHIR_LISTS: Final = 20
"""FHIR servers whose documents one search asks for at a time."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """How the node asks: documents by IHE, resources by FHIR; ``seconds`` for a whole search."""

    initiator: Initiator
    broker: FhirBroker
    clock: Clock
    seconds: float

    def asked(self) -> Sequence[PeerEntry]:
        """Every organization that a search asks."""
        found = (*self.initiator.asked(), *self.broker.alone())
        return list({entry.home_community_id: entry for entry in found}.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchLimits:
    """Searches that run at a time: in all, and of one person."""

    in_all: int = 20
    of_one: int = 3


class Searches:
    """Begins, stops and ends them. To be called in the node's loop."""

    def __init__(self, network: Network, requests: Requests, limits: SearchLimits) -> None:
        """``requests`` keeps what comes."""
        self._network = network
        self._requests = requests
        self._limits = limits
        self._running: dict[str, tuple[str, asyncio.Task[None]]] = {}
        self._stopped: set[str] = set()
        self._closing = False

    def may_begin(self, login: str) -> bool:
        """Whether a person may begin one more now."""
        mine = sum(owner == login for owner, _ in self._running.values())
        is_free = len(self._running) < self._limits.in_all and mine < self._limits.of_one
        return is_free and not self._closing

    def begin(self, request: ClinicRequest) -> bool:
        """Begin the search of a request that is kept; not when too many run."""
        if not self.may_begin(request.login):
            return False
        task = asyncio.create_task(self._run(request))
        self._running[request.token] = request.login, task
        return True

    async def stop(self, token: str) -> bool:
        """Stop one and wait until each of its requests is entered; whether it ran."""
        found = self._running.get(token)
        if found is None:
            return False
        self._stopped.add(token)
        found[1].cancel()
        await asyncio.wait([found[1]])
        return True

    async def close(self) -> None:
        """End all; none begins any more."""
        self._closing = True
        tasks = [task for _, task in self._running.values()]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    # --- one search ---------------------------------------------------------------------------

    async def _run(self, request: ClinicRequest) -> None:
        token, progress = request.token, Progress.BROKEN
        try:
            async with asyncio.timeout(self._network.seconds + _MARGIN):
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._by_ihe(request))
                    group.create_task(self._by_fhir(request))
            progress = Progress.ENDED
        except asyncio.CancelledError:
            interrupted = Progress.INTERRUPTED if self._closing else Progress.BROKEN
            progress = Progress.STOPPED if token in self._stopped else interrupted
        except Exception as error:  # noqa: BLE001 - the page says that our side could not go on
            _log.warning("console.search-broken", detail=_told(error))
        finally:
            now = self._network.clock.now()
            self._requests.change(token, lambda record: record.close(progress, now))
            self._running.pop(token, None)
            self._stopped.discard(token)

    async def _by_ihe(self, request: ClinicRequest) -> None:
        events = self._network.initiator.find_chart(
            request.principal,
            PatientQuery(demographics=request.demographics),
            DocumentSearch(),
            None,
            seconds=self._network.seconds,
            exchange_id=request.exchange_id,
        )
        async with aclosing(events):
            async for event in events:
                now = self._network.clock.now()
                self._requests.change(request.token, partial(take, event=event, now=now))

    async def _by_fhir(self, request: ClinicRequest) -> None:
        network, places = self._network, asyncio.Semaphore(_FHIR_LISTS)
        events = network.broker.locate(
            request.principal,
            request.demographics,
            seconds=network.seconds,
            exchange_id=request.exchange_id,
        )

        async def ask(entry: PeerEntry, known: KnownAt) -> None:
            async with places:
                await self._documents(request, entry, known)

        async with asyncio.TaskGroup() as group:
            taking = FhirTaking(network.broker.alone(), None)
            async with aclosing(events):
                async for event in events:
                    change = taking.change(event, network.clock.now())
                    self._requests.change(request.token, change)
                    if is_located(event):
                        group.create_task(ask(event.entry, event.known))

    async def _documents(self, request: ClinicRequest, entry: PeerEntry, known: KnownAt) -> None:
        network = self._network
        now = network.clock.now()
        left = network.seconds - (now - request.began).total_seconds()
        events = network.broker.search(
            request.principal,
            [known],
            question_of("DocumentReference", [], now=now),
            seconds=max(left, 1.0),
            exchange_id=request.exchange_id,
        )
        taking = FhirTaking([entry], known)
        async with aclosing(events):
            async for event in events:
                change = taking.change(event, network.clock.now())
                self._requests.change(request.token, change)


def _told(error: BaseException) -> str:
    """What the log says of an error: its code or its kind, never its text (law 6)."""
    inner: BaseException = error
    while isinstance(inner, BaseExceptionGroup):
        inner = inner.exceptions[0]
    return inner.code if isinstance(inner, CodedError) else type(inner).__name__
