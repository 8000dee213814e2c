"""The log over FHIR: AuditEvents for our own users and systems, and nobody else (ITI-81).

A peer's token opens nothing here, whatever its scopes. Of ours, a scope for AuditEvent and a role's
right are both needed; which right opens what is ``data/audit_rights.toml``, the console's table in
other words. Every access is an entry of the log itself.
"""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from importlib import resources

from node.exchange.audit_ports import AuditRecords, AuditView
from node.exchange.fhir_paging import PageKey, Pages
from node.exchange.fhir_ports import FhirRecords, FoundPage, Grant
from node.exchange.fhir_reply import FhirReply, found
from node.exchange.fhir_respond import FhirCall, FhirResponder, SearchRequest
from node.exchange.fhir_search import SearchWriter
from node.exchange.ports import Clock
from node.model import PatientId
from node.policy.scopes import allows
from node.wire.fhir.audit_names import read_names, said_names
from node.wire.fhir.catalogue import audit_type
from node.wire.fhir.conditions import ReferenceCondition
from node.wire.fhir.problem import FhirProblem
from node.wire.fhir.query import SearchLimits, SearchQuery, parse_search
from node.wire.fhir.references import is_id

_READ, _SEARCH = "r", "s"
_PATIENT = "Patient/"


class AuditResponder:
    """Serves AuditEvents. Raises ``OurFault`` when the entry of the access cannot be written."""

    def __init__(
        self,
        *,
        responder: FhirResponder,
        audit: AuditRecords,
        records: FhirRecords,
        clock: Clock,
        pages: Pages,
        base_url: str,
        limits: SearchLimits | None = None,
    ) -> None:
        """``responder`` writes the entries; ``records`` know the identifiers of a Patient."""
        self._responder = responder
        self._audit = audit
        self._records = records
        self._clock = clock
        self._pages = pages
        self._base_url = base_url
        self._limits = limits or SearchLimits()
        self._writer = SearchWriter(base_url=base_url, pages=pages, clock=clock)

    async def answer(
        self, call: FhirCall, search: SearchRequest, id_: str, version: str | None
    ) -> FhirReply:
        """A read where the request has an id, else a search."""
        return await (self.read(call, id_, version) if id_ else self.search(call, search))

    async def read(self, call: FhirCall, id_: str, version: str | None) -> FhirReply:
        """One AuditEvent; it has no versions."""

        async def work(grant: Grant) -> FhirReply:
            view = audit_view(grant, _READ)
            if version is not None:
                raise FhirProblem("fhir-operation-unknown", "AuditEvents have no versions.")
            if not is_id(id_):
                raise FhirProblem("fhir-id-invalid", "The id is not one that FHIR allows.")
            event = await self._audit.read(id_, view)
            if event is None:
                raise FhirProblem("fhir-not-found", "There is no such resource.")
            return FhirReply(body=event.data, ending=found([event]), held=[event])

        return await self._responder.serve(call, work)

    async def search(self, call: FhirCall, request: SearchRequest) -> FhirReply:
        """A search, newest first, or a further page of one."""

        async def work(grant: Grant) -> FhirReply:
            view = audit_view(grant, _SEARCH)
            key = None
            if request.page is not None:
                key = self._opened(request.page, grant)
                query = self._parsed(key.pairs, strict=False)
            else:
                query = self._parsed(request.pairs, strict=request.strict)
            page = await self._audit.search(
                query,
                view,
                patients=await self._patients(query),
                after=key.cursor if key else None,
            )
            said = replace(query, used=said_names(query.used))
            matches = FoundPage(matches=page.events, following=page.following)
            return FhirReply(
                body=self._writer.write(said, matches, grant, key), ending=found(page.events)
            )

        return await self._responder.serve(call, work)

    def _opened(self, token: str, grant: Grant) -> PageKey:
        key = self._pages.opened(token, grant, self._clock.now())
        if key is None or key.type != audit_type().name:
            raise FhirProblem(
                "fhir-page-invalid", "The link to this page has expired or is not yours."
            )
        return key

    def _parsed(self, pairs: Sequence[tuple[str, str]], *, strict: bool) -> SearchQuery:
        query = parse_search(
            audit_type(),
            read_names(pairs),
            strict=strict,
            base_url=self._base_url,
            now=self._clock.now(),
            limits=self._limits,
        )
        sort = query.sort
        if sort is not None and not sort.descending:
            raise _unsupported("AuditEvents come newest first: _sort=-date.")
        if query.only_count:
            raise _unsupported("AuditEvents are not counted.")
        return query

    async def _patients(self, query: SearchQuery) -> frozenset[PatientId] | None:
        """The identifiers of the Patients that are named, ``None`` where none is."""
        named = {
            condition.target.removeprefix(_PATIENT)
            for criterion in query.criteria
            if criterion.parameter.name == "patient"
            for condition in criterion.conditions
            if isinstance(condition, ReferenceCondition)
        }
        return frozenset(await self._records.persons(frozenset(named))) if named else None


def audit_view(grant: Grant, operation: str) -> AuditView:
    """What a token may see of the log.

    Raises:
        FhirProblem: ``fhir-audit-forbidden``, ``fhir-scope-missing``.
    """
    if grant.principal is None:
        raise FhirProblem(
            "fhir-audit-forbidden", "The log is read by this node's own users and systems alone."
        )
    usable = [scope for scope in grant.scopes if scope.context != "patient" and not scope.query]
    if allows(usable, audit_type().name, operation) is None:
        raise FhirProblem("fhir-scope-missing", "The token has no scope for this.")
    kinds, people = _rights()
    seen = frozenset().union(*(kinds[right] for right in grant.rights if right in kinds))
    if not seen:
        raise FhirProblem(
            "fhir-audit-forbidden", "None of the roles behind this token may read the log."
        )
    return AuditView(kinds=seen, people=people in grant.rights)


@lru_cache
def _rights() -> tuple[dict[str, frozenset[str]], str]:
    text = resources.files("node.exchange").joinpath("data/audit_rights.toml").read_text("utf-8")
    table = tomllib.loads(text)
    people = str(table.pop("people"))
    return {right: frozenset(kinds) for right, kinds in table.items()}, people


def _unsupported(sentence: str) -> FhirProblem:
    return FhirProblem("fhir-parameter-unsupported", sentence)
