"""What a view shows of the health system's FHIR server's answers: every resource is looked at.

The server is asked for what may be seen and is not believed to have given that alone. About whom a
resource is, is read out of it as for the node's own records: exactly one patient, several or an
unknown one (seen by nobody who may see one patient alone), or none.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import orjson

from node.errors import WireError
from node.exchange.fhir_ports import HeldResource, View
from node.peers.upstream.client import UpstreamClient
from node.peers.upstream.people import UpstreamPeople
from node.wire.fhir.catalogue import resource_types
from node.wire.fhir.dates import parse_span
from node.wire.fhir.holding import holds_one_of
from node.wire.fhir.problem import FhirProblem
from node.wire.fhir.rebase import rebased
from node.wire.fhir.references import is_id, local_reference, patients_in, references_in
from node.wire.fhir.searchset import FoundResource, read_resource

MAX_LOOKUPS: Final = 20
"""Resources that are fetched for one answer, only to learn about whom another one is."""

_VERSION = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A resource under our address, and whom it is about; ``None`` stands for "not known"."""

    found: FoundResource
    patients: frozenset[str]

    @property
    def patient(self) -> str | None:
        """The one patient that it is about."""
        one = next(iter(self.patients), "")
        return one if len(self.patients) == 1 and is_id(one) else None

    @property
    def is_nobodys(self) -> bool:
        """Whether it is about no patient, and of a type that need not be."""
        return not self.patients and not resource_types()[self.found.type].of_patient

    def held(self) -> HeldResource:
        """The resource as it is shown."""
        meta = self.found.content.get("meta")
        stated = meta if isinstance(meta, dict) else {}
        version, updated = stated.get("versionId", self.found.version), stated.get("lastUpdated")
        span = parse_span(updated) if isinstance(updated, str) else None
        if not isinstance(version, str) or not is_id(version):
            version = hashlib.sha256(self.found.data).hexdigest()[:_VERSION]
        return HeldResource(
            type=self.found.type,
            id=self.found.id,
            data=self.found.data,
            patient=self.patient,
            updated=span.low if span is not None else None,
            version=version,
        )


class Sight:
    """Looks through one answer for one view."""

    def __init__(self, client: UpstreamClient, people: UpstreamPeople, view: View) -> None:
        """``people`` knows by which identifiers patients are."""
        self._client = client
        self._people = people
        self._view = view
        self._lookups = 0
        self.withheld: Counter[str] = Counter()

    @property
    def patient(self) -> str | None:
        """The one patient who may be seen."""
        return self._view.patient

    @property
    def is_partial(self) -> bool:
        """Whether the view leaves out patients: then it matters about whom a resource is."""
        return self._view.patient is not None or bool(self._view.opt_outs.identifiers)

    async def shown(
        self, found: Sequence[FoundResource], is_asked: Callable[[Candidate], bool]
    ) -> list[Candidate]:
        """Those of an answer's resources that were asked for and may be seen, in order."""
        candidates = await self.candidates(found)
        return [each for each in candidates if await self.is_shown(each, is_asked)]

    async def is_shown(
        self, each: Candidate, is_asked: Callable[[Candidate], bool] = lambda _each: True
    ) -> bool:
        """Whether one was asked for and may be seen; what is not is counted."""
        reason = self._fault(each, is_asked)
        if reason is None and await self._opted_out(each):
            reason = "opt-out"
        if reason is not None:
            self.withheld[reason] += 1
        return reason is None

    async def candidates(self, found: Iterable[FoundResource]) -> list[Candidate]:
        """The resources under our address, and about whom they are."""
        local = [self.local(each) for each in found]
        by_name = {f"{each.type}/{each.id}": each for each in local}
        for each in local:
            if each.type == "Patient":
                self._people.learn(each.content)
        return [
            Candidate(found=each, patients=await self._patients(each, by_name)) for each in local
        ]

    def local(self, found: FoundResource) -> FoundResource:
        """A resource without absolute references into the server."""
        data = rebased(found.data, self._client.base_url, resource_types())
        return (
            found if data == found.data else replace(found, data=data, content=orjson.loads(data))
        )

    async def about(self, reference: str) -> frozenset[str]:
        """Whom the resource is about that a reference leads to; ``?`` for what is not known."""
        local = local_reference(reference)
        if local is None:
            return frozenset("?")
        if local[0] == "Patient":
            return frozenset([local[1]])
        found = await self._looked_up(*local)
        return frozenset(patients_in(found.content) or "?") if found is not None else frozenset("?")

    def _fault(self, each: Candidate, is_asked: Callable[[Candidate], bool]) -> str | None:
        type_, view = each.found.type, self._view
        if type_ not in resource_types() or not is_asked(each):
            return "not-asked"
        if type_ not in view.scopes or not holds_one_of(view.scopes[type_], each.found.content):
            return "scope"
        if view.patient is not None and not each.is_nobodys and each.patient != view.patient:
            return "other-patient"
        return None

    async def _opted_out(self, each: Candidate) -> bool:
        opt_outs = self._view.opt_outs
        if not opt_outs.identifiers or each.is_nobodys:
            return False
        if each.patient is None:
            return True  # about several people, or about one who is not known
        found = await self._people.identifiers(each.patient)
        return found is None or opt_outs.any_of(found)  # of an unknown one nothing is shown

    async def _patients(
        self, found: FoundResource, by_name: Mapping[str, FoundResource]
    ) -> frozenset[str]:
        patients = patients_in(found.content)
        if found.type == "Provenance":
            for target in references_in(found.content.get("target")):
                near = by_name.get(target)
                if near is not None:
                    patients |= patients_in(near.content)
                elif self.is_partial:
                    patients |= await self.about(target)
        return frozenset(patients)

    async def _looked_up(self, type_: str, id_: str) -> FoundResource | None:
        self._lookups += 1
        if self._lookups > MAX_LOOKUPS:
            return None
        try:
            answer = await self._client.read(type_, id_)
            found = self.local(read_resource(answer[0])) if answer is not None else None
        except (FhirProblem, WireError):
            return None
        return found if found is not None and (found.type, found.id) == (type_, id_) else None
