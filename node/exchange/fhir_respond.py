"""The FHIR server's use cases: a token's request in, scope, policy, resources, ledger, answer out.

Every request is one ledger entry that is durable before its answer leaves (law 1), also when it is
refused. What may not be seen is answered like what does not exist.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from node.errors import CodedError
from node.exchange import private
from node.exchange.fhir_admission import Admission, DeniedByPolicy
from node.exchange.fhir_binary import BinaryForm, binary_reply
from node.exchange.fhir_match import MAX_CANDIDATES, MatchRequest, write_matches
from node.exchange.fhir_paging import PageKey, Pages
from node.exchange.fhir_ports import FhirRecords, FoundPage, Grant, HeldResource, View
from node.exchange.fhir_reply import (
    FhirReply,
    found,
    of_grant,
    of_held,
    refused,
    version_headers,
)
from node.exchange.fhir_search import SearchWriter
from node.exchange.ports import Asker, Clock, DirectoryView, Inbound, Ledger, Refusal
from node.exchange.respond import OwnNode
from node.exchange.served import Answered, ServedRecorder
from node.model import Code, Interaction, Principal, PrivateFacts
from node.policy.opt_out import OptOuts
from node.policy.purposes import PurposeRegister
from node.wire.document_codes import assumed, system
from node.wire.fhir.catalogue import ResourceType
from node.wire.fhir.problem import FhirProblem, issues
from node.wire.fhir.query import Pair, SearchLimits, SearchQuery, parse_search
from node.wire.fhir.references import is_id

_READ, _SEARCH = "r", "s"


@dataclass(frozen=True, slots=True, kw_only=True)
class FhirCall:
    """One request with the outcome of authentication.

    Attributes:
        interaction: what is asked.
        grant: what its token allows, or why it has none.
        digest: SHA-256 of the request: method, path, parameters and body.
        message_id: ``X-Request-Id`` as ``urn:uuid:``, where the client sent one.
        asked: what was asked, for the private record.
    """

    interaction: Interaction
    grant: Grant | FhirProblem
    digest: bytes
    message_id: str | None = None
    asked: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchRequest:
    """A search as it came: its parameters, or the token of a page."""

    type: str
    pairs: Sequence[Pair] = ()
    page: str | None = None
    strict: bool = False


class FhirResponder:
    """Serves what tokens allow. Raises ``OurFault`` when an entry cannot be written."""

    def __init__(
        self,
        *,
        own: OwnNode,
        records: FhirRecords,
        ledger: Ledger,
        directory: DirectoryView,
        clock: Clock,
        purposes: PurposeRegister,
        opt_outs: Callable[[], OptOuts],
        pages: Pages,
        base_url: str,
        limits: SearchLimits | None = None,
    ) -> None:
        """``base_url`` is the FHIR base address without a slash at its end."""
        self._records = records
        self._recorder = ServedRecorder(
            own=own.home_community_id, ledger=ledger, directory=directory, clock=clock
        )
        self._clock = clock
        self._admission = Admission(own=own, purposes=purposes, opt_outs=opt_outs)
        self._base_url = base_url
        self._limits = limits or SearchLimits()
        self._writer = SearchWriter(base_url=base_url, pages=pages, clock=clock)
        self._pages = pages

    async def read(self, call: FhirCall, type_: str, id_: str, version: str | None) -> FhirReply:
        """Read, and vread of the version that is held."""

        async def work(grant: Grant) -> FhirReply:
            decision, view = self._admission.admit(call.interaction, grant, type_, _READ)
            held = await self._held(type_, id_, version, view)
            return FhirReply(
                body=held.data,
                headers=version_headers(held),
                ending=found([held]),
                decision=decision,
                held=[held],
            )

        return await self.serve(call, work)

    async def search(self, call: FhirCall, request: SearchRequest) -> FhirReply:
        """A search, or a further page of one."""

        async def work(grant: Grant) -> FhirReply:
            decision, view = self._admission.admit(call.interaction, grant, request.type, _SEARCH)
            type_ = await self._offered(request.type)
            if not type_.search:
                raise FhirProblem("fhir-type-unknown", "This type is read and not searched.")
            key = None
            if request.page is not None:
                key = self._opened(request, grant)
                query = self._parsed(type_, key.pairs, strict=False)
            else:
                query = self._parsed(type_, request.pairs, strict=request.strict)
            return replace(await self._found(query, view, grant, key), decision=decision)

        return await self.serve(call, work)

    async def read_binary(
        self,
        call: FhirCall,
        id_: str,
        version: str | None,
        wanted: BinaryForm,
    ) -> FhirReply:
        """Read a Binary: the resource, or what it holds as it is."""

        async def work(grant: Grant) -> FhirReply:
            decision, view = self._admission.admit(call.interaction, grant, "Binary", _READ)
            held = await self._held("Binary", id_, version, view, as_resource=wanted.is_resource)
            reply = await binary_reply(held, wanted, self._records)
            return replace(reply, decision=decision)

        return await self.serve(call, work)

    async def docref(self, call: FhirCall, read: Callable[[], Sequence[Pair]]) -> FhirReply:
        """``DocumentReference/$docref`` (US Core): the documents of a patient, by type and time."""

        async def work(grant: Grant) -> FhirReply:
            decision, view = self._admission.admit(
                call.interaction, grant, "DocumentReference", _SEARCH
            )
            type_ = await self._offered("DocumentReference", is_searched=True)
            query = self._parsed(type_, docref_search(read()), strict=True)
            return replace(await self._found(query, view, grant, None), decision=decision)

        return await self.serve(call, work)

    async def match(self, call: FhirCall, read: Callable[[], MatchRequest]) -> FhirReply:
        """``Patient/$match``."""

        async def work(grant: Grant) -> FhirReply:
            decision, view = self._admission.admit(call.interaction, grant, "Patient", _SEARCH)
            request = read()
            await self._offered("Patient", is_searched=True)
            matched = await self._records.match(
                request.demographics,
                view,
                only_certain=request.only_certain,
                limit=min(request.count, MAX_CANDIDATES),
            )
            body = write_matches(
                matched, base_url=self._base_url, bundle_id=self._clock.new_id(),
                now=self._clock.now(),
            )  # fmt: skip
            held = [each.patient for each in matched]
            return FhirReply(body=body, ending=found(held), decision=decision, held=held)

        return await self.serve(call, work)

    async def refuse(self, call: FhirCall, problem: CodedError) -> FhirReply:
        """A request that no use case takes: no token, an unknown path, another format."""

        async def work(_grant: Grant) -> FhirReply:
            raise problem

        return await self.serve(call, work)

    # --- the parts of an answer ---------------------------------------------------------------

    async def offer(self) -> Mapping[str, ResourceType]:
        """What the source of the records offers. Raises as ``FhirRecords``."""
        return await self._records.offer()

    async def _offered(self, type_: str, *, is_searched: bool = False) -> ResourceType:
        found = (await self._records.offer()).get(type_)
        if found is None or (is_searched and not found.search):
            raise FhirProblem("fhir-type-unknown", "This type of resource is not served here.")
        return found

    async def _held(
        self,
        type_: str,
        id_: str,
        version: str | None,
        view: View,
        *,
        as_resource: bool = True,
    ) -> HeldResource:
        if not is_id(id_):
            raise FhirProblem("fhir-id-invalid", "The id is not one that FHIR allows.")
        await self._offered(type_)
        if type_ == "Binary":
            held = await self._records.binary(id_, view, as_resource=as_resource)
        else:
            held = await self._records.read(type_, id_, view)
        if held is None or version not in (None, held.version):
            raise FhirProblem("fhir-not-found", "There is no such resource.")
        return held

    async def _found(
        self, query: SearchQuery, view: View, grant: Grant, key: PageKey | None
    ) -> FhirReply:
        if grant.patient is None and not query.is_narrow:
            asked_by = ", ".join(query.type.asked_by)
            raise FhirProblem(
                "fhir-search-too-broad",
                f"A search of {query.type.name} must name one of: {asked_by}.",
            )
        if query.only_count:
            total = await self._records.count(query, view)
            page = FoundPage(total=total)
            return FhirReply(body=self._writer.write(query, page, grant, None), ending=found(()))
        page = await self._records.search(query, view, key.cursor if key else None)
        held = [*page.matches, *page.included]
        body = self._writer.write(query, page, grant, key)
        return FhirReply(body=body, ending=found(held), held=held)

    def _opened(self, request: SearchRequest, grant: Grant) -> PageKey:
        key = self._pages.opened(request.page or "", grant, self._clock.now())
        if key is None or key.type != request.type:
            raise FhirProblem(
                "fhir-page-invalid", "The link to this page has expired or is not yours."
            )
        return key

    def _parsed(self, type_: ResourceType, pairs: Sequence[Pair], *, strict: bool) -> SearchQuery:
        return parse_search(
            type_,
            pairs,
            strict=strict,
            base_url=self._base_url,
            now=self._clock.now(),
            limits=self._limits,
        )

    # --- the ledger ---------------------------------------------------------------------------

    async def serve(
        self, call: FhirCall, work: Callable[[Grant], Awaitable[FhirReply]]
    ) -> FhirReply:
        """Answer with what ``work`` makes, its entry durable before; a problem is an answer too."""
        made: list[FhirReply] = []

        async def answer() -> Answered:
            reply = await reply_to(call, work)
            made.append(reply)
            return Answered(
                wire=reply.body,
                digest=reply.digest,
                decision=reply.decision,
                ending=reply.ending,
                private=await self._private(call, reply),
            )

        await self._recorder.serve(inbound_of(call), answer())
        return made[0]

    async def _private(self, call: FhirCall, reply: FhirReply) -> PrivateFacts:
        if not isinstance(call.grant, Grant):
            return PrivateFacts()
        patients = {each.patient for each in reply.held if each.patient is not None}
        return PrivateFacts(
            who=of_grant(call.grant),
            query=dict(call.asked),
            patient=private.of_patients(await self._records.persons(frozenset(patients))),
            docs=of_held(reply.held),
        )


def docref_search(pairs: Sequence[Pair]) -> list[Pair]:
    """The search that a ``$docref`` asks for: a CCD where no type is named (US Core 6.1).

    Raises:
        FhirProblem: ``fhir-value-invalid``, ``fhir-parameter-unknown``.
    """
    asked = dict(pairs)
    if len(asked) != len(pairs) or not asked.get("patient"):
        raise FhirProblem("fhir-value-invalid", "$docref needs one patient, and nothing twice.")
    search = [("patient", asked.pop("patient"))]
    search.append(("type", asked.pop("type", "http://loinc.org|34133-9")))
    start, end = asked.pop("start", ""), asked.pop("end", "")
    search += [("period", f"{prefix}{d}") for prefix, d in (("ge", start), ("le", end)) if d]
    if asked.pop("on-demand", "false") != "false":
        raise FhirProblem("fhir-parameter-unsupported", "No document is made on demand here.")
    search.append(("_sort", "-date"))
    if not start and not end:
        search.append(("_count", "1"))  # the current one
    if asked.keys() - {"_format"}:
        raise FhirProblem("fhir-parameter-unknown", "$docref has no such parameter here.")
    return search


async def reply_to(call: FhirCall, work: Callable[[Grant], Awaitable[FhirReply]]) -> FhirReply:
    """The answer that the work gives, or the one that says why there is none."""
    grant = call.grant
    if isinstance(grant, FhirProblem):
        return refused(grant)
    try:
        return await work(grant)
    except DeniedByPolicy as denied:
        return refused(denied, decision=denied.decision)
    except CodedError as error:
        if error.code in issues():
            return refused(error)
        fault = FhirProblem("fhir-unavailable", "The node could not answer; see its log.")
        return replace(
            refused(fault),
            ending=replace(refused(fault).ending, reason=error.code, sentence=error.sentence),
        )


def inbound_of(call: FhirCall) -> Inbound:
    """The request as the ledger takes it."""
    grant = call.grant
    asker: Asker | Refusal
    if isinstance(grant, FhirProblem):
        asker = Refusal(code=grant.code, sentence=grant.sentence)
    else:
        asker = Asker(
            principal=grant.principal
            or Principal(
                subject_id=grant.client_id,
                user_id=grant.client_id,
                organization=grant.entry.name,
                organization_id=grant.entry.organization_id,
                home_community_id=grant.entry.home_community_id,
                role=Code(code=assumed("setting"), scheme=system("null_flavor")),
                purpose=grant.purpose,
            ),
            entry=grant.entry,
            binding="token",
            assertion_id=hashlib.sha256(grant.token).hexdigest(),
        )
    return Inbound(
        transaction=call.interaction,
        message_id=call.message_id,
        asker=asker,
        peer_key=None,
        request_digest=call.digest,
    )
