"""``UpstreamFhir``: the health system's FHIR server as ``exchange.fhir_ports.FhirRecords``.

The server is asked only what was understood (``node.wire.fhir.restate``), narrowed to what the view
shows, and every resource that it gives is looked at before it is shown (``sight``). Resources go
through as their own bytes, but for absolute references into the server (``node.wire.fhir.rebase``).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from node.exchange.fhir_ports import Cursor, FoundPage, HeldResource, MatchedPatient, View
from node.model import Demographics, PatientId
from node.peers.upstream.asking import Asking
from node.peers.upstream.binaries import Binaries
from node.peers.upstream.client import UpstreamClient, invalid
from node.peers.upstream.matching import candidate_searches, graded
from node.peers.upstream.offer import LiveOffer
from node.peers.upstream.people import UpstreamPeople
from node.peers.upstream.question import Question
from node.peers.upstream.sight import Candidate, Sight
from node.peers.upstream.spool import Spooled
from node.wire.fhir.catalogue import ResourceType
from node.wire.fhir.problem import FhirProblem
from node.wire.fhir.query import SearchQuery
from node.wire.fhir.searchset import Searchset

_ROUNDS: Final = 5
"""How many pages are followed for one answer, where nothing of the ones before may be shown."""
_COUNT_PAGES: Final = 10
_MAX_PAGE: Final = 200
_MAX_PERSONS: Final = 200

Counted = Callable[[str, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamParts:
    """What ``UpstreamFhir`` stands on.

    Attributes:
        client: calls the server.
        people: knows by which identifiers its Patients are.
        offer: what the server offers.
        spool: a folder for documents on their way, which only we can read.
        counted: is told how many resources were withheld, and why.
        seconds: for one answer as a whole; ``document_seconds`` for one with a document.
    """

    client: UpstreamClient
    people: UpstreamPeople
    offer: LiveOffer
    spool: Path
    counted: Counted = lambda _reason, _count: None
    seconds: float = 25.0
    document_seconds: float = 50.0


class UpstreamFhir:
    """Asks the health system's FHIR server."""

    def __init__(self, parts: UpstreamParts) -> None:
        """Nothing is asked yet."""
        self._parts = parts
        self._client = parts.client
        self._asking = Asking(parts.client)

    async def offer(self) -> Mapping[str, ResourceType]:
        """What both the server and the catalogue have."""
        return await self._parts.offer.types()

    async def read(self, type_: str, id_: str, view: View) -> HeldResource | None:
        """One resource, or ``None`` when there is none or it may not be seen."""
        if type_ not in view.scopes:
            return None
        async with self._answering(view) as sight:
            found = await self._asking.read(type_, id_)
            shown = await sight.shown([found], lambda _each: True) if found is not None else []
            return shown[0].held() if shown else None

    async def binary(self, id_: str, view: View, *, as_resource: bool) -> HeldResource | None:
        """A Binary: its resource as it came, or what it holds, taken in whole."""
        if "Binary" not in view.scopes:
            return None
        async with self._answering(view, self._parts.document_seconds) as sight:
            binaries = Binaries(self._asking, await self.offer(), sight, self._parts.spool)
            return await (binaries.as_resource if as_resource else binaries.as_document)(id_)

    async def search(self, query: SearchQuery, view: View, after: Cursor | None) -> FoundPage:
        """One page of a search. A page from which something was withheld is shorter."""
        question = Question(query, view)
        async with self._answering(view) as sight:
            if after is None:
                page = await self._asking.search(query.type.name, question.pairs())
            else:
                page = await self._asking.page(after.further)
            matches: dict[str, Candidate] = {}
            included: dict[str, Candidate] = {}
            seen: set[str] = set()
            following = None
            for left in reversed(range(_ROUNDS)):
                shown = await sight.shown(page.found, question.is_asked)
                for each in question.related(shown, sight.withheld):
                    into = matches if question.is_match(each) else included
                    into[f"{each.found.type}/{each.found.id}"] = each
                following = self._following(page, seen)
                if matches or following is None or not left:
                    break
                page = await self._asking.page(following)
            kept = [each.held() for each in matches.values()]
            extra = [each.held() for name, each in included.items() if name not in matches]
            is_all = after is None and following is None
            is_exact = after is None and question.can_count and not sight.withheld
            return FoundPage(
                matches=tuple(kept),
                included=tuple(extra),
                following=Cursor(further=following) if following is not None else None,
                total=len(kept) if is_all else page.total if is_exact else None,
                doubts=page.doubts,
            )

    async def count(self, query: SearchQuery, view: View) -> int:
        """How many match: counted here, over its pages, each resource looked at.

        Raises:
            FhirProblem: ``fhir-search-limit`` where there are more than are counted.
        """
        asked = replace(query, count=_MAX_PAGE, include=(), revinclude=(), sort=None)
        found, after = 0, None
        for _ in range(_COUNT_PAGES):
            page = await self.search(asked, view, after)
            found, after = found + len(page.matches), page.following
            if after is None:
                return found
        raise FhirProblem(
            "fhir-search-limit", f"There are more than {_COUNT_PAGES * _MAX_PAGE} to be counted."
        )

    async def match(
        self, demographics: Demographics, view: View, *, only_certain: bool, limit: int
    ) -> Sequence[MatchedPatient]:
        """Patients with these demographics: its candidates, our judgement."""
        async with self._answering(view) as sight:
            patient = (await self.offer())["Patient"]
            searches = candidate_searches(demographics, patient)
            pages = await self._asking.searches("Patient", searches)
            candidates = {
                each.found.id: each
                for page in pages
                for each in await sight.candidates(page.found)
                if each.found.type == "Patient"
            }
            is_whole = all(page.following is None for page in pages)
            found: list[MatchedPatient] = []
            for each, score, grade in graded(demographics, candidates, is_whole=is_whole):
                if only_certain and grade != "certain":
                    continue
                # after the judgement: who may not be seen can still be the one who was meant
                if await sight.is_shown(each):
                    found.append(MatchedPatient(patient=each.held(), score=score, grade=grade))
            return found[:limit]

    async def persons(self, patients: frozenset[str]) -> Sequence[PatientId]:
        """The identifiers of Patients, as the server's records have them."""
        return await self._parts.people.persons(sorted(patients)[:_MAX_PERSONS])

    def document(self, held: HeldResource) -> AsyncIterator[bytes]:
        """A document that was taken in."""
        spooled = held.spool
        if not isinstance(spooled, Spooled):
            raise TypeError("a Binary of another source")
        return spooled.chunks()

    # --- the parts of an answer ---------------------------------------------------------------

    @asynccontextmanager
    async def _answering(self, view: View, seconds: float | None = None) -> AsyncIterator[Sight]:
        sight = Sight(self._client, self._parts.people, view)
        try:
            async with asyncio.timeout(seconds or self._parts.seconds):
                yield sight
        except TimeoutError:
            raise FhirProblem(
                "fhir-upstream-slow", "The health system's FHIR server did not answer in time."
            ) from None
        finally:
            for reason, count in sight.withheld.items():
                self._parts.counted(reason, count)

    def _following(self, page: Searchset, seen: set[str]) -> str | None:
        if page.following is None:
            return None
        tail = self._client.tail_of(page.following)
        if tail in seen:
            raise invalid("Its pages lead in a circle.")
        seen.add(tail)
        return tail
