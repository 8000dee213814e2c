"""Questions to the health system's FHIR server, their answers taken apart."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from node.errors import WireError
from node.peers.upstream.client import UpstreamClient, invalid
from node.wire.fhir.problem import FhirProblem
from node.wire.fhir.query import Pair
from node.wire.fhir.searchset import FoundResource, Searchset, read_resource, read_searchset

_MAX_ENTRIES: Final = 2000
_AT_ONCE: Final = 4
_ETAG: Final = re.compile(r'W/"([A-Za-z0-9\-.]{1,64})"', re.ASCII)


class Asking:
    """Asks; all its methods raise ``FhirProblem`` (``fhir-upstream-...``)."""

    def __init__(self, client: UpstreamClient) -> None:
        """``client`` calls the server."""
        self.client = client

    async def read(self, type_: str, id_: str) -> FoundResource | None:
        """One resource, or ``None``."""
        answer = await self.client.read(type_, id_)
        return None if answer is None else self.resource(answer[0], type_, id_, answer[1])

    def resource(self, body: bytes, type_: str, id_: str, etag: str | None = None) -> FoundResource:
        """An answer that has to be one certain resource."""
        try:
            found = read_resource(body)
        except WireError as error:
            raise invalid("Its answer is not JSON of a resource.", error.code) from None
        if (found.type, found.id) != (type_, id_):
            raise invalid("It answers with another resource than it was asked for.")
        version = _ETAG.fullmatch(etag or "")
        return replace(found, version=version[1]) if version else found

    async def search(self, type_: str, pairs: Sequence[Pair]) -> Searchset:
        """The first page of a search."""
        return _page(await self.client.search(type_, pairs))

    async def searches(self, type_: str, all_pairs: Sequence[Sequence[Pair]]) -> list[Searchset]:
        """The first pages of several searches, a few at a time; the server may refuse some."""
        gate = asyncio.Semaphore(_AT_ONCE)
        refused: list[FhirProblem] = []

        async def one(pairs: Sequence[Pair]) -> Searchset | None:
            async with gate:
                try:
                    return await self.search(type_, pairs)
                except FhirProblem as problem:
                    if problem.code != "fhir-upstream-search":
                        raise
                    refused.append(problem)
                    return None

        pages = await asyncio.gather(*map(one, all_pairs))
        if refused and len(refused) == len(pages):
            raise refused[0]
        return [page for page in pages if page is not None]

    async def page(self, tail: str | None) -> Searchset:
        """A further page, by what ``UpstreamClient.tail_of`` gave."""
        if tail is None:
            raise FhirProblem("fhir-page-invalid", "The link is to a page of other records.")
        return _page(await self.client.page(tail))


def _page(body: bytes) -> Searchset:
    try:
        return read_searchset(body, most=_MAX_ENTRIES)
    except WireError as error:
        raise invalid("Its answer is no page of a search.", error.code) from None
