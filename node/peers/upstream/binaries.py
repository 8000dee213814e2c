"""Binaries of the health system's FHIR server: about whom one is, and its document taken in.

A server says about whom a Binary is in ``securityContext``, or in ``X-Security-Context`` where it
sends what the Binary holds (FHIR R4 2.42.2). Where it says nothing, somebody who may see one
patient alone gets a Binary that one of that patient's documents or reports refers to, and nobody
else gets it while anybody opted out.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import orjson

from node.errors import OurFault
from node.exchange.fhir_ports import HeldResource
from node.peers.upstream.asking import Asking
from node.peers.upstream.client import JSON
from node.peers.upstream.sight import Candidate, Sight
from node.peers.upstream.spool import Spooled
from node.wire.fhir.catalogue import ResourceType
from node.wire.fhir.references import references_in
from node.wire.fhir.searchset import FoundResource

_REFERRING: Final = ("DocumentReference", "DiagnosticReport")
_MAX_PAGES: Final = 10
_PER_PAGE: Final = "200"
_UNKNOWN: Final = frozenset("?")
_LONGEST_TYPE: Final = 128


class Binaries:
    """Fetches Binaries for one view."""

    def __init__(
        self, asking: Asking, offer: Mapping[str, ResourceType], sight: Sight, spool: Path
    ) -> None:
        """``spool`` is a folder for documents, which only we can read."""
        self._asking = asking
        self._offer = offer
        self._sight = sight
        self._spool = spool

    async def as_resource(self, id_: str) -> HeldResource | None:
        """The resource as it came."""
        found = await self._asking.read("Binary", id_)
        return None if found is None else await self._resource(found)

    async def as_document(self, id_: str) -> HeldResource | None:
        """What it holds, taken in whole.

        Raises:
            OurFault: ``inbox-unwritable`` when there is no room for it.
        """
        client = self._asking.client
        async with client.binary(id_) as (headers, pieces):
            if headers is None:
                return None
            media_type = headers.get("content-type", "")[:_LONGEST_TYPE]
            if media_type.partition(";")[0].strip().lower() in JSON:
                # it sends nothing but resources: what this one holds is taken out of it later
                body = bytearray()
                async for piece in pieces:
                    body += piece
                    client.check_size(len(body))
                return await self._resource(self._asking.resource(bytes(body), "Binary", id_))
            content = {"resourceType": "Binary", "id": id_, "contentType": media_type}
            head = FoundResource(type="Binary", id=id_, data=orjson.dumps(content), content=content)
            shown = await self._shown(head, headers.get("x-security-context"))
            return None if shown is None else await self._taken(shown.held(), pieces)

    async def _resource(self, found: FoundResource) -> HeldResource | None:
        context = found.content.get("securityContext")
        reference = context.get("reference") if isinstance(context, dict) else None
        shown = await self._shown(found, reference)
        return None if shown is None else shown.held()

    async def _shown(self, found: FoundResource, context: object) -> Candidate | None:
        patients = await self._patients(found.id, context)
        each = Candidate(found=self._sight.local(found), patients=patients)
        return each if await self._sight.is_shown(each) else None

    async def _taken(self, held: HeldResource, pieces: AsyncIterator[bytes]) -> HeldResource:
        try:
            spooled = Spooled(self._spool)
            await spooled.take(pieces)
        except OSError as error:
            raise OurFault(
                "inbox-unwritable", "A received document cannot be written to disk.",
                detail=error.strerror,
            ) from error  # fmt: skip
        return replace(held, document=spooled.sha256, size=spooled.size, spool=spooled)

    async def _patients(self, id_: str, context: object) -> frozenset[str]:
        if not self._sight.is_partial:
            return _UNKNOWN  # it does not matter
        if isinstance(context, str) and context:
            base_url = self._asking.client.base_url
            return await self._sight.about(context.removeprefix(f"{base_url}/"))
        patient = self._sight.patient
        if patient is not None:
            for type_ in _REFERRING:
                found = self._offer.get(type_)
                can_ask = found is not None and "patient" in found.parameters
                if can_ask and await self._refers(f"Binary/{id_}", type_, patient):
                    return frozenset([patient])
        return _UNKNOWN

    async def _refers(self, name: str, type_: str, patient: str) -> bool:
        pairs: list[tuple[str, Any]] = [("patient", f"Patient/{patient}"), ("_count", _PER_PAGE)]
        page = await self._asking.search(type_, pairs)
        for _ in range(_MAX_PAGES):
            for each in await self._sight.candidates(page.found):
                is_theirs = each.found.type == type_ and each.patient == patient
                if is_theirs and name in references_in(each.found.content):
                    return True
            if page.following is None:
                return False
            page = await self._asking.page(self._asking.client.tail_of(page.following))
        return False
