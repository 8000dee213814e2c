"""Searches of our own systems over the whole network: one question, many FHIR servers, one answer.

``{type}?patient=<network patient>&…``: the network patient says where the person is known; the
broker asks there, and what comes is merged. The answer is a snapshot: it is kept for an hour, in
this process and within limits, and its pages are cut from it, so that a further page asks nobody
again and agrees with the first.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlencode

from node.exchange.fhir_broker import FhirBroker, is_ended
from node.exchange.fhir_merge import Merged, PeerAnswer, merge
from node.exchange.fhir_merged_writer import Page, on_page, write_merged
from node.exchange.fhir_paging import LIFETIME, PageKey, Pages
from node.exchange.fhir_ports import Cursor
from node.exchange.fhir_question import FhirQuestion, question_of
from node.exchange.fhir_reply import FhirReply
from node.exchange.fhir_respond import FhirCall
from node.exchange.fhir_search import PAGE
from node.exchange.network_answer import AnswerWriter
from node.exchange.network_ports import NetworkPatient, NetworkPatients
from node.exchange.network_serve import NetworkQuestion, NetworkServer
from node.exchange.outcomes import Ending
from node.exchange.ports import Clock
from node.model import Outcome, PatientId
from node.wire.fhir.bundle_writer import Link
from node.wire.fhir.problem import FhirProblem
from node.wire.fhir.query import Pair
from node.wire.fhir.references import local_reference

_SEARCH = "s"


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """A merged answer that has further pages, and the user whom it was given."""

    user: str
    type: str
    merged: Merged
    used: tuple[Pair, ...]
    count: int
    patients: tuple[PatientId, ...]
    until: datetime

    @property
    def octets(self) -> int:
        """What its entries take in memory."""
        return sum(len(entry.data) for entry in self.merged.entries)


class Snapshots:
    """The snapshots of one process; the oldest are forgotten when there are too many bytes."""

    def __init__(self, *, octets: int = 128 * 1024 * 1024) -> None:
        """``octets``: of all snapshots together."""
        self._most = octets
        self._sum = 0
        self._kept: OrderedDict[str, Snapshot] = OrderedDict()

    def keep(self, id_: str, snapshot: Snapshot) -> None:
        """Remember one; what is larger than all may be is not kept."""
        self._kept[id_] = snapshot
        self._sum += snapshot.octets
        while self._sum > self._most:
            _, dropped = self._kept.popitem(last=False)
            self._sum -= dropped.octets

    def get(self, id_: str, now: datetime) -> Snapshot | None:
        """One that is remembered still."""
        found = self._kept.get(id_)
        return found if found is not None and now < found.until else None


class NetworkSearch:
    """The use case of searches that no other use case takes."""

    def __init__(
        self,
        *,
        server: NetworkServer,
        broker: FhirBroker,
        patients: NetworkPatients,
        writer: AnswerWriter,
        pages: Pages,
        clock: Clock,
        snapshots: Snapshots | None = None,
    ) -> None:
        """``pages`` seals the links."""
        self._server = server
        self._broker = broker
        self._patients = patients
        self._writer = writer
        self._pages = pages
        self._clock = clock
        self._snapshots = snapshots or Snapshots()

    async def search(
        self, call: FhirCall, type_: str, pairs: Sequence[Pair], page: str | None
    ) -> FhirReply:
        """The first page of a search, or the one that ``page`` is the token of."""

        async def work(question: NetworkQuestion) -> FhirReply:
            if page is not None:
                return self._further(question, type_, page)
            asked, patient = await self._read(question, type_, pairs)
            return await self._first(question, asked, patient, tuple(pairs))

        return await self._server.serve(call, type_, _SEARCH, work)

    async def _read(
        self, question: NetworkQuestion, type_: str, pairs: Sequence[Pair]
    ) -> tuple[FhirQuestion, NetworkPatient]:
        named = [value for name, value in pairs if name in _PATIENT]
        if len(named) != 1:
            raise FhirProblem(
                "fhir-search-too-broad", "A search of the network needs one patient=<id>."
            )
        rest = [pair for pair in pairs if pair[0] not in _PATIENT]
        asked = question_of(type_, rest, now=self._clock.now())
        text = named[0].removeprefix(f"{self._writer.base_url}/")
        local = local_reference(text)
        if local is not None and local[0] != "Patient":
            raise FhirProblem("fhir-value-invalid", "The value of patient is no Patient.")
        id_ = local[1] if local is not None else text
        patient = await self._patients.get(question.principal, id_)
        if patient is None:
            raise FhirProblem("fhir-not-found", "No such patient is remembered; search again.")
        return asked, patient

    async def _first(
        self,
        question: NetworkQuestion,
        asked: FhirQuestion,
        patient: NetworkPatient,
        used: tuple[Pair, ...],
    ) -> FhirReply:
        answers: list[PeerAnswer] = []
        events = self._broker.search(
            question.principal,
            patient.known,
            asked,
            demographics=patient.asked,
            exchange_id=question.exchange_id,
        )
        async with aclosing(events):
            async for event in events:
                if is_ended(event):
                    answers.append(event.answer)
        merged = merge(answers)
        if merged.nobody_answered:
            return self._writer.nobody([each.result for each in merged.answers])
        snapshot = Snapshot(
            user=question.principal.user_id,
            type=asked.type.name,
            merged=merged,
            used=used,
            count=asked.count,
            patients=tuple(k.patient_id for k in patient.known if k.patient_id),
            until=self._clock.now() + LIFETIME,
        )
        id_ = self._clock.new_id()
        if merged.matches > asked.count:
            self._snapshots.keep(id_, snapshot)
        return self._page(question, id_, snapshot, 0)

    def _further(self, question: NetworkQuestion, type_: str, token: str) -> FhirReply:
        now = self._clock.now()
        key = self._pages.opened(token, question.grant, now)
        id_ = dict(key.pairs).get(_SNAPSHOT, "") if key is not None else ""
        snapshot = self._snapshots.get(id_, now)
        asked = question.principal.user_id, type_
        if key is None or snapshot is None or asked != (snapshot.user, snapshot.type):
            raise FhirProblem("fhir-page-invalid", "The page is not there any more; search again.")
        return self._page(question, id_, snapshot, key.cursor.key)

    # --- the parts of an answer ---------------------------------------------------------------

    def _page(
        self, question: NetworkQuestion, id_: str, snapshot: Snapshot, start: int
    ) -> FhirReply:
        merged, now = snapshot.merged, self._clock.now()
        page = Page(start=start, count=snapshot.count)
        shown = on_page(merged, page)

        def link(relation: str, place: int) -> Link:
            key = PageKey(
                type=snapshot.type,
                pairs=[(_SNAPSHOT, id_)],
                cursor=Cursor(value=None, key=place),
                total=merged.total,
            )
            token = self._pages.sealed(key, question.grant, now)
            address = self._writer.address(snapshot.type)
            return Link(relation=relation, url=f"{address}?{PAGE}={token}")

        address = self._writer.address(snapshot.type)
        links = [Link(relation="self", url=f"{address}?{urlencode(snapshot.used)}")]
        if start:
            links = [link("self", start), link("previous", max(start - snapshot.count, 0))]
        if start + snapshot.count < merged.matches:
            links.append(link("next", start + snapshot.count))
        body = write_merged(
            merged,
            own=self._writer.party,
            now=now,
            new_id=self._clock.new_id,
            links=links,
            page=page,
        )
        outcome = Outcome.OK if merged.entries else Outcome.OK_EMPTY
        return FhirReply(
            body=body,
            ending=Ending(
                outcome=outcome if merged.is_whole else Outcome.PARTIAL, documents=len(shown)
            ),
            decision=question.decision,
            patients=snapshot.patients,
            docs=[
                {"id": each.full_url, "sha256": hashlib.sha256(each.data).hexdigest()}
                for each in shown
            ],
        )


_PATIENT = frozenset({"patient", "subject"})
_SNAPSHOT = "snapshot"
