"""Documents of the network for our own systems: ITI-67 and ``$docref``, answered by ITI-38."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode

import msgspec

from node.exchange.fhir_paging import PageKey, Pages
from node.exchange.fhir_ports import Cursor
from node.exchange.fhir_reply import FhirReply
from node.exchange.fhir_respond import FhirCall
from node.exchange.fhir_search import PAGE
from node.exchange.initiate import Initiator, KnownPatient, LegEnded
from node.exchange.network_answer import AnswerWriter
from node.exchange.network_discovery import Discovery
from node.exchange.network_documents import (
    MOST_DOCUMENTS,
    DocumentAnswer,
    FoundDocument,
    ShownDocument,
    Snapshots,
    distinct,
    newest_first,
    shown,
)
from node.exchange.network_fhir_peers import FhirPeersAlone, with_links
from node.exchange.network_handles import DocumentHandle, DocumentHandles
from node.exchange.network_ports import NetworkPatient
from node.exchange.network_serve import NetworkQuestion, NetworkServer, peer_results
from node.exchange.questions import DocumentSearch
from node.model import Demographics, DocumentEntry, HomeCommunityId, QueryAnswer
from node.wire.fhir.bundle_writer import Link, SearchEntry
from node.wire.fhir.mhd_filter import keeps
from node.wire.fhir.mhd_search import DocumentQuestion
from node.wire.fhir.outcome import warning
from node.wire.fhir.peer_results import PeerResult
from node.wire.fhir.problem import FhirProblem
from node.wire.fhir.query import shown as shown_name

_SEARCH = "s"
_TYPE = "DocumentReference"
_PAGE_TYPE = f"network/{_TYPE}"
_SNAPSHOT = "snapshot"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Whose:
    """The person, and what was heard on the way to them."""

    patient: NetworkPatient | None
    results: tuple[PeerResult, ...] = ()
    warnings: tuple[dict[str, Any], ...] = ()


class NetworkDocuments:
    """The use cases about lists of documents."""

    def __init__(
        self,
        *,
        server: NetworkServer,
        initiator: Initiator,
        discovery: Discovery,
        writer: AnswerWriter,
        handles: DocumentHandles,
        snapshots: Snapshots,
        pages: Pages,
        others: FhirPeersAlone | None = None,
    ) -> None:
        """The parts; ``others`` asks the communities that XCA does not reach."""
        self._server = server
        self._initiator = initiator
        self._discovery = discovery
        self._writer = writer
        self._handles = handles
        self._snapshots = snapshots
        self._pages = pages
        self._others = others

    async def search(self, call: FhirCall, wanted: DocumentQuestion) -> FhirReply:
        """ITI-67: the first page."""

        async def work(question: NetworkQuestion) -> FhirReply:
            answer = await self._answer(question, wanted)
            snapshot = None
            if len(answer.documents) > answer.count:
                content = msgspec.json.encode(answer)
                snapshot = await self._snapshots.keep(question.principal, content)
            return self._page(question, answer, snapshot, 0)

        return await self._server.serve(call, _TYPE, _SEARCH, work)

    async def page(self, call: FhirCall, token: str) -> FhirReply:
        """A further page: with the checks of the first, from what was found then."""

        async def work(question: NetworkQuestion) -> FhirReply:
            now = self._writer.clock.now()
            key = self._pages.opened(token, question.grant, now)
            named = dict(key.pairs).get(_SNAPSHOT) if key and key.type == _PAGE_TYPE else None
            content = await self._snapshots.get(question.principal, named) if named else None
            if key is None or named is None or content is None:
                raise FhirProblem(
                    "fhir-page-invalid", "The link to this page has expired or is not yours."
                )
            answer = msgspec.json.decode(content, type=DocumentAnswer)
            return self._page(question, answer, named, key.cursor.key)

        return await self._server.serve(call, _TYPE, _SEARCH, work)

    # --- the whole answer ---------------------------------------------------------------------

    async def _answer(self, question: NetworkQuestion, wanted: DocumentQuestion) -> DocumentAnswer:
        whose = await self._whose(question, wanted)
        address, used = self._writer.address(_TYPE), urlencode(wanted.used)
        answer = DocumentAnswer(
            results=whose.results,
            warnings=(*whose.warnings, *_ignored(wanted)),
            link=f"{address}?{used}" if used else address,
            count=wanted.count,
            provenance=wanted.provenance,
        )
        patient = whose.patient
        if patient is None:
            return answer
        known = _known(patient, wanted.targets)
        found, ended = await self._ask(question, known, wanted)
        fitting = [each for each in found if keeps(wanted, each.entry)]
        now = self._writer.clock.now()

        def link(handle: DocumentHandle) -> str:
            sealed = self._handles.sealed(handle, question.grant, now)
            return self._writer.address(f"document/{sealed}")

        def link_of(entry: DocumentEntry) -> str:
            return link(
                DocumentHandle(
                    ref=entry.ref, patient_id=entry.patient_id, mime_type=entry.mime_type
                )
            )

        there, results, warnings = await self._ask_alone(question, patient, wanted, link)

        documents = newest_first([*shown(fitting, patient.id, link_of), *there])
        if len(documents) > MOST_DOCUMENTS:
            sentence = f"Only the newest {MOST_DOCUMENTS} documents are shown; narrow the search."
            warnings = [*warnings, warning("incomplete", sentence)]
        return replace(
            answer,
            documents=tuple(documents[:MOST_DOCUMENTS]),
            results=(*whose.results, *peer_results([each.result for each in ended]), *results),
            warnings=(*answer.warnings, *warnings),
            messages={
                each.result.entry.home_community_id: each.result.leg.message_id
                for each in ended
                if each.result.leg.message_id
            },
            patients=tuple(each.patient_id for each in known),
        )

    async def _whose(self, question: NetworkQuestion, wanted: DocumentQuestion) -> _Whose:
        if wanted.patient is not None:
            person = await self._discovery.person(question, wanted.patient)
            if person is None:
                raise FhirProblem(
                    "fhir-not-found", "No such patient is remembered here; search for them again."
                )
            return _Whose(patient=person.patient)
        identifiers = (wanted.identifier,) if wanted.identifier else ()
        found = await self._discovery.find(question, Demographics(identifiers=identifiers))
        warnings: tuple[dict[str, Any], ...] = ()
        if found.certain is None and found.people:
            sentence = "Several persons may be meant; ask with one of them as patient."
            warnings = (warning("multiple-matches", sentence),)
        return _Whose(patient=found.certain, results=found.results, warnings=warnings)

    async def _ask(
        self, question: NetworkQuestion, known: Sequence[KnownPatient], wanted: DocumentQuestion
    ) -> tuple[list[FoundDocument], list[LegEnded]]:
        since, until = wanted.care
        events = self._initiator.find_documents(
            question.principal,
            known,
            DocumentSearch(
                since=since,
                until=until,
                deprecated="superseded" in wanted.statuses,
                codes=wanted.slots,
            ),
            exchange_id=question.exchange_id,
        )
        found: list[FoundDocument] = []
        ended: list[LegEnded] = []
        async with aclosing(events):
            async for event in events:
                if not isinstance(event, LegEnded):
                    continue
                ended.append(event)
                answer, home = event.result.answer, event.result.entry.home_community_id
                if isinstance(answer, QueryAnswer):
                    found += [FoundDocument(home=home, entry=entry) for entry in answer.documents]
        return distinct(found), ended

    async def _ask_alone(
        self,
        question: NetworkQuestion,
        patient: NetworkPatient,
        wanted: DocumentQuestion,
        link: Callable[[DocumentHandle], str],
    ) -> tuple[list[ShownDocument], list[PeerResult], list[dict[str, Any]]]:
        """The same of the communities that have a FHIR server alone."""
        known = [
            each
            for each in patient.known
            if each.patient_id is None
            and each.fhir_id is not None
            and (not wanted.targets or each.home_community_id in wanted.targets)
        ]
        if self._others is None or not known:
            return [], [], []
        found, results, beyond = await self._others.find_documents(
            question, known, wanted, now=self._writer.clock.now()
        )
        person = {
            each.home_community_id: each.demographics.identifiers if each.demographics else ()
            for each in known
        }
        documents = [
            ShownDocument(
                id=each.id,
                home=each.home,
                date=each.date,
                resource=with_links(each, person.get(each.home, ()), link).decode(),
                full_url=each.full_url,
            )
            for each in found
        ]
        sentence = (
            "Communities that have a FHIR server alone were not asked: they do not take "
            f"{', '.join(map(shown_name, beyond))}."
        )
        return documents, results, [warning("not-supported", sentence)] if beyond else []

    # --- a page of it -------------------------------------------------------------------------

    def _page(
        self, question: NetworkQuestion, answer: DocumentAnswer, snapshot: str | None, start: int
    ) -> FhirReply:
        documents = answer.documents[start : start + answer.count]
        entries = [self._entry(each) for each in documents]
        if answer.provenance:
            entries += self._provenances(answer, documents)
        reply = self._writer.bundle(
            entries,
            results=answer.results,
            total=len(answer.documents),
            links=self._links(question, answer, snapshot, start),
            warnings=answer.warnings,
        )
        return replace(
            reply,
            patients=answer.patients,
            docs=[{"id": f"{_TYPE}/{each.id}"} for each in documents],
            ending=replace(reply.ending, documents=len(documents)),
        )

    def _links(
        self, question: NetworkQuestion, answer: DocumentAnswer, snapshot: str | None, start: int
    ) -> list[Link]:
        if snapshot is None:
            return [Link(relation="self", url=answer.link)]

        def page(offset: int) -> str:
            key = PageKey(
                type=_PAGE_TYPE,
                pairs=[(_SNAPSHOT, snapshot)],
                cursor=Cursor(value=None, key=offset),
                total=len(answer.documents),
            )
            sealed = self._pages.sealed(key, question.grant, self._writer.clock.now())
            return f"{self._writer.address(_TYPE)}?{PAGE}={sealed}"

        links = [
            Link(relation="self", url=page(start) if start else answer.link),
            Link(relation="first", url=page(0)),
        ]
        if start:
            before = max(0, start - answer.count)
            links.append(Link(relation="previous", url=page(before)))
        following = start + answer.count
        if following < len(answer.documents):
            links.append(Link(relation="next", url=page(following)))
        return links

    def _entry(self, document: ShownDocument) -> SearchEntry:
        return SearchEntry(
            full_url=document.full_url or self._writer.address(f"{_TYPE}/{document.id}"),
            resource=document.resource.encode(),
        )

    def _provenances(
        self, answer: DocumentAnswer, documents: Sequence[ShownDocument]
    ) -> list[SearchEntry]:
        targets: dict[HomeCommunityId, list[str]] = {}
        for each in documents:
            targets.setdefault(each.home, []).append(each.full_url or f"{_TYPE}/{each.id}")
        names = {each.home_community_id: each.name for each in answer.results}
        messages = {HomeCommunityId(home): said for home, said in answer.messages.items()}
        return self._writer.provenances(targets, names, messages)


def _known(patient: NetworkPatient, targets: Sequence[HomeCommunityId]) -> list[KnownPatient]:
    return [
        KnownPatient(home_community_id=each.home_community_id, patient_id=each.patient_id)
        for each in patient.known
        if each.patient_id is not None and (not targets or each.home_community_id in targets)
    ]


def _ignored(wanted: DocumentQuestion) -> list[dict[str, Any]]:
    return [
        warning("not-supported", f"The parameter {name} is not supported here and was ignored.")
        for name in wanted.ignored
    ]
