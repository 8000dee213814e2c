"""Writes the answer of a search: matches, what was included, links, and what was left out."""

from __future__ import annotations

from urllib.parse import urlencode

from node.exchange.fhir_paging import PageKey, Pages
from node.exchange.fhir_ports import FoundPage, Grant, HeldResource
from node.exchange.ports import Clock
from node.wire.fhir.bundle_writer import Link, SearchEntry, write_searchset
from node.wire.fhir.outcome import warning, write_outcome
from node.wire.fhir.query import SearchQuery

PAGE = "_page"
"""The parameter of a link to a further page."""

_DOUBTS = "The source of the records says that it left something out or did not understand it all."


class SearchWriter:
    """Writes searchset bundles under one base address."""

    def __init__(self, *, base_url: str, pages: Pages, clock: Clock) -> None:
        """``pages`` seals the links."""
        self._base_url = base_url
        self._pages = pages
        self._clock = clock

    def write(
        self, query: SearchQuery, page: FoundPage, grant: Grant, key: PageKey | None
    ) -> bytes:
        """The bundle of a page; ``key`` is what the page was asked with, after the first."""
        total = page.total if key is None else key.total
        entries = [self._entry(each, "match") for each in page.matches]
        entries += [self._entry(each, "include") for each in page.included]
        if (outcome := _outcome(query, page)) is not None:
            entries.append(SearchEntry(full_url=None, resource=outcome, search={"mode": "outcome"}))
        return write_searchset(
            entries,
            bundle_id=self._clock.new_id(),
            now=self._clock.now(),
            total=total,
            links=self._links(query, page, grant, key, total),
        )

    def _links(
        self,
        query: SearchQuery,
        page: FoundPage,
        grant: Grant,
        key: PageKey | None,
        total: int | None,
    ) -> list[Link]:
        address = f"{self._base_url}/{query.type.name}"
        used = urlencode(query.used)
        links = [Link(relation="self", url=f"{address}?{used}" if used else address)]
        if key is not None:
            links = [Link(relation="self", url=self._page(address, key, grant))]
        if page.following is not None:
            following = PageKey(
                type=query.type.name, pairs=query.used, cursor=page.following, total=total
            )
            links.append(Link(relation="next", url=self._page(address, following, grant)))
        return links

    def _page(self, address: str, key: PageKey, grant: Grant) -> str:
        return f"{address}?{PAGE}={self._pages.sealed(key, grant, self._clock.now())}"

    def _entry(self, held: HeldResource, mode: str) -> SearchEntry:
        return SearchEntry(
            full_url=f"{self._base_url}/{held.type}/{held.id}",
            resource=held.data,
            search={"mode": mode},
        )


def _outcome(query: SearchQuery, page: FoundPage) -> bytes | None:
    """What the client should know besides the matches, or ``None``."""
    issues = [
        warning("not-supported", f"The parameter {name} is not supported here and was ignored.")
        for name in query.ignored
    ]
    if page.is_cut:
        issues.append(warning("incomplete", "More was asked to be included than fits a page."))
    if page.doubts:
        issues.append(warning("incomplete", _DOUBTS))
    return write_outcome(issues) if issues else None
