"""Documents when a person opens them: fetched from the organization, kept sealed for a short time.

The existing use cases fetch (ITI-39, or the link of a FHIR server; the leg is durable in the log
before the document is ours), into an inbox that keeps every document under a key of its own in
memory. A document that is kept is
not asked for again. What is held back is never fetched and never given: this is the one place that
every page goes through.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from threading import Lock
from typing import Final, Protocol

from node.console.clinic.document_list import Key, Known, key_of
from node.console.clinic.keeping import ClinicStore
from node.console.clinic.kept import Kept
from node.console.clinic.linked import from_link, from_resource
from node.console.clinic.listed import attachment_of
from node.console.clinic.not_opened import ABSENT, HELD, NOBODY_ASKS, NOWHERE, NotOpened, why
from node.console.clinic.request import ClinicRequest, FoundDocument, Held
from node.exchange.call_inbox import CallInbox
from node.exchange.fhir_broker import FhirBroker
from node.exchange.initiate import Initiator, LegEnded
from node.exchange.ports import Clock, Inbox
from node.model import DocumentRef, Leg, LegId, RetrieveAnswer, RetrievedDocument

MOST_AT_A_TIME: Final = 40
"""Documents that one look at all of them fetches."""

_LINKS_AT_A_TIME: Final = 5  # each a request of its own
_MOST_SEEN: Final = 100_000
_MOST_TERMS: Final = 5_000
_MOST_BROUGHT: Final = 20_000
_SWEEP_SECONDS: Final = 15


class Sealed(Inbox, Protocol):
    """Where documents lie (implemented by ``peers.sealed_inbox``)."""

    def read(self, token: str) -> bytes:
        """All bytes of a document."""
        ...

    def drop(self, token: str) -> None:
        """Forget a document."""
        ...

    def drop_all(self) -> None:
        """Forget everything."""
        ...


class Documents:
    """The documents of all requests of one process. Safe to use from any thread."""

    def __init__(
        self,
        *,
        initiator: Initiator | None,
        broker: FhirBroker | None,
        inbox: Sealed,
        clock: Clock,
        keep: timedelta,
        store: ClinicStore | None = None,
        seen_for: timedelta = timedelta(days=30),
    ) -> None:
        """``keep``: how long a document stays after it came.

        ``store`` remembers for ``seen_for`` who opened what, also over a restart.
        """
        self._store = store
        self._seen_for = seen_for
        self._loaded: set[str] = set()
        self._initiator = initiator
        self._broker = broker
        self._inbox = inbox
        self._clock = clock
        self._keep = keep
        self._kept: dict[tuple[str, int], Kept] = {}
        self._seen: OrderedDict[tuple[str, Key], None] = OrderedDict()
        self._terms: OrderedDict[tuple[str, str], str] = OrderedDict()
        self._brought: OrderedDict[tuple[str, int], LegId] = OrderedDict()
        self._lock = Lock()

    # --- what is here -------------------------------------------------------------------------

    def kept(self, asked: ClinicRequest, number: int) -> Kept | None:
        """A document that is here and may be opened."""
        document = asked.document(number)
        if document is None or document.held is not Held.OPEN:
            return None
        self.sweep()
        with self._lock:
            return self._kept.get((asked.token, number))

    def known(self, asked: ClinicRequest) -> Mapping[int, Known]:
        """What became known of a request's documents, by number."""
        self.sweep()
        with self._lock:
            return {
                number: Known(sha256=k.sha256, size=k.size, content_hash=k.content_hash)
                for (token, number), k in self._kept.items()
                if token == asked.token
            }

    def data(self, kept: Kept) -> bytes:
        """The bytes. Raises ``OurFault`` ``inbox-token-unknown`` when it went just now."""
        return self._inbox.read(kept.token)

    def read(self, asked: ClinicRequest, number: int, content_hash: str | None) -> None:
        """What a document says is known now."""
        with self._lock:
            found = self._kept.get((asked.token, number))
            if found is not None:
                self._kept[asked.token, number] = replace(found, content_hash=content_hash)

    def brought_by(self, asked: ClinicRequest, number: int) -> LegId | None:
        """The leg that brought a document last, also when the document is gone since."""
        with self._lock:
            return self._brought.get((asked.token, number))

    def tell_once(self, asked: ClinicRequest, number: int) -> LegId | None:
        """The leg that brought a document that cannot be shown; ``None`` the next time."""
        with self._lock:
            found = self._kept.get((asked.token, number))
            if found is None or found.told:
                return None
            self._kept[asked.token, number] = replace(found, told=True)
            return found.leg

    def opened(self, login: str, document: FoundDocument) -> None:
        """A person has it before them."""
        if self._store is not None:
            until = self._clock.now() + self._seen_for
            self._store.opened(login, key_of(document), until=until)
        with self._lock:
            self._seen[login, key_of(document)] = None
            self._seen.move_to_end((login, key_of(document)))
            while len(self._seen) > _MOST_SEEN:
                self._seen.popitem(last=False)

    def seen(self, login: str) -> frozenset[Key]:
        """What a person opened."""
        if self._store is not None and login not in self._loaded:
            before = self._store.seen(login, self._clock.now())
            with self._lock:
                self._loaded.add(login)
                self._seen |= dict.fromkeys((login, key) for key in before)
        with self._lock:
            return frozenset(key for who, key in self._seen if who == login)

    def look_for(self, login: str, token: str, term: str) -> None:
        """Keep what a person looks for in a request: it may stand in no address."""
        with self._lock:
            self._terms[login, token] = term
            self._terms.move_to_end((login, token))
            while len(self._terms) > _MOST_TERMS:
                self._terms.popitem(last=False)

    def looked_for(self, login: str, token: str) -> str:
        """What a person looked for last in a request; empty where there is nothing."""
        with self._lock:
            return self._terms.get((login, token), "")

    def forget(self, requests: Collection[str]) -> None:
        """Forget all of requests: the keys, then the files; and what was looked for in them."""
        with self._lock:
            gone = [place for place in self._kept if place[0] in requests]
            tokens = [self._kept.pop(place).token for place in gone]
            for place in [place for place in self._brought if place[0] in requests]:
                del self._brought[place]
            for term in [term for term in self._terms if term[1] in requests]:
                del self._terms[term]
        for token in tokens:
            self._inbox.drop(token)

    def sweep(self) -> None:
        """Forget what has been here long enough: its key, then its file."""
        now = self._clock.now()
        with self._lock:
            gone = [place for place, kept in self._kept.items() if now >= kept.until]
            tokens = [self._kept.pop(place).token for place in gone]
        for token in tokens:
            self._inbox.drop(token)

    @asynccontextmanager
    async def swept(self) -> AsyncIterator[None]:
        """Sweep while the block lasts; at its end forget everything."""

        async def sweeping() -> None:
            while True:
                await asyncio.sleep(_SWEEP_SECONDS)
                await asyncio.to_thread(self.sweep)

        task = asyncio.create_task(sweeping())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])
            with self._lock:
                self._kept.clear()
            self._inbox.drop_all()

    # --- fetching -----------------------------------------------------------------------------

    async def fetch(self, asked: ClinicRequest, numbers: Iterable[int]) -> Mapping[int, NotOpened]:
        """Have documents here; why those are not that did not come, by number.

        At most ``MOST_AT_A_TIME``; one that is here already is not asked for.
        """
        failed: dict[int, NotOpened] = {}
        wanted: dict[DocumentRef, FoundDocument] = {}
        of_fhir: list[FoundDocument] = []
        for number in list(dict.fromkeys(numbers))[:MOST_AT_A_TIME]:
            document = asked.document(number)
            if document is None:
                failed[number] = ABSENT
            elif document.held is not Held.OPEN:
                failed[number] = HELD[document.held]
            elif self.kept(asked, number) is not None:
                continue
            elif document.ref is None:
                of_fhir.append(document)
            else:
                wanted[document.ref] = document
        # at once: a slow organization holds nobody up
        both = await asyncio.gather(
            self._from_peers(asked, wanted), self._from_servers(asked, of_fhir)
        )
        return failed | both[0] | both[1]

    async def _from_peers(
        self, asked: ClinicRequest, wanted: Mapping[DocumentRef, FoundDocument]
    ) -> dict[int, NotOpened]:
        if self._initiator is None:
            return {d.number: NOBODY_ASKS for d in wanted.values()}
        initiator, left, failed = self._initiator, dict(wanted), dict[int, NotOpened]()
        by_patient: dict[object, list[FoundDocument]] = {}
        for document in wanted.values():
            by_patient.setdefault((document.home, document.patient_id), []).append(document)
        jobs = [self._retrieve(asked, initiator, each) for each in by_patient.values()]
        results = await asyncio.gather(*jobs, return_exceptions=True)
        legs = [leg for each in results if not isinstance(each, BaseException) for leg in each[0]]
        for each in results:
            for leg_id, retrieved in () if isinstance(each, BaseException) else each[1]:
                asked_for = left.pop(retrieved.ref, None)
                if asked_for is None:  # nobody asked for it
                    await self._inbox.discard(retrieved.token)
                    continue
                self._keep_it(asked, asked_for.number, retrieved, leg_id)
        broken = next((each for each in results if isinstance(each, BaseException)), None)
        if broken is not None:  # our own side: what came is kept
            raise broken
        for document in left.values():
            there = [leg for leg in legs if leg.peer.home_community_id == document.home]
            failed[document.number] = why(document, there)
        return failed

    async def _retrieve(
        self, asked: ClinicRequest, initiator: Initiator, documents: Sequence[FoundDocument]
    ) -> tuple[list[Leg], list[tuple[LegId, RetrievedDocument]]]:
        legs: list[Leg] = []
        came: list[tuple[LegId, RetrievedDocument]] = []
        inbox = CallInbox(self._inbox)
        events = initiator.retrieve(
            asked.principal,
            [d.ref for d in documents if d.ref is not None],
            inbox,
            patient_id=documents[0].patient_id,
            exchange_id=asked.exchange_id,
        )
        try:
            async with aclosing(events):
                async for event in events:
                    if isinstance(event, LegEnded):
                        leg, answer = event.result.leg, event.result.answer
                        legs.append(leg)
                        if isinstance(answer, RetrieveAnswer):
                            came.extend((leg.leg_id, each) for each in answer.documents)
        except BaseException:
            await inbox.discard_all()
            raise
        return legs, came

    async def _from_servers(
        self, asked: ClinicRequest, documents: Sequence[FoundDocument]
    ) -> dict[int, NotOpened]:
        places, failed = asyncio.Semaphore(_LINKS_AT_A_TIME), dict[int, NotOpened]()

        async def have(document: FoundDocument) -> None:
            async with places:
                problem = await self._from_server(asked, document)
            if problem is not None:
                failed[document.number] = problem

        results = await asyncio.gather(*map(have, documents), return_exceptions=True)
        broken = next((each for each in results if isinstance(each, BaseException)), None)
        if broken is not None:  # our own side: what came is kept
            raise broken
        return failed

    async def _from_server(self, asked: ClinicRequest, document: FoundDocument) -> NotOpened | None:
        """A document of a FHIR server: in its DocumentReference, or behind the link there."""
        attachment, leg = attachment_of(document.resource, document.entry.unique_id), None
        if attachment is None or (attachment.data is None and attachment.url is None):
            return NOWHERE
        if attachment.data is not None:  # its leg was the search's
            came = await from_resource(attachment, document, self._inbox)
        elif self._broker is None:
            return NOBODY_ASKS
        else:
            came, leg = await from_link(attachment, document, asked, self._broker, self._inbox)
        if isinstance(came, NotOpened):
            return came
        self._keep_it(asked, document.number, came, leg)
        return None

    def _keep_it(
        self, asked: ClinicRequest, number: int, came: RetrievedDocument, leg: LegId | None = None
    ) -> None:
        now = self._clock.now()
        kept = Kept(
            token=came.token,
            size=came.size,
            sha256=came.sha256,
            mime_type=came.mime_type,
            fetched=now,
            until=now + self._keep,
            leg=leg,
        )
        with self._lock:
            former = self._kept.get((asked.token, number))
            self._kept[asked.token, number] = kept
            if leg is not None:
                self._brought[asked.token, number] = leg
                self._brought.move_to_end((asked.token, number))
                while len(self._brought) > _MOST_BROUGHT:
                    self._brought.popitem(last=False)
        if former is not None:  # two people's windows asked at the same time
            self._inbox.drop(former.token)
