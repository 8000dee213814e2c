"""By which identifiers the health system's FHIR server knows its Patients, remembered a while."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final

from node.errors import WireError
from node.model import PatientId
from node.peers.upstream.client import UpstreamClient
from node.wire.document_codes import fhir_system
from node.wire.fhir.searchset import read_resource
from node.wire.fhir_values import identifier, objects

MAX_PATIENTS: Final = 10_000
SECONDS: Final = 300.0


class UpstreamPeople:
    """Asks for each Patient at most every five minutes."""

    def __init__(
        self,
        client: UpstreamClient,
        assigning_authority: str,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """``assigning_authority`` is the OID of our own patient ids."""
        self._client = client
        self._own = assigning_authority
        self._monotonic = monotonic
        self._known: dict[str, tuple[float, tuple[PatientId, ...]]] = {}
        self._here = fhir_system(f"{client.base_url}/Patient")

    def learn(self, patient: dict[str, Any]) -> None:
        """Take the identifiers of a Patient that was just read."""
        found = [identifier(each) for each in objects(patient.get("identifier"))]
        id_ = str(patient.get("id"))
        if len(self._known) >= MAX_PATIENTS:
            self._known.pop(next(iter(self._known)))
        kept = tuple(dict.fromkeys(each for each in found if each is not None))
        self._known[id_] = self._monotonic(), kept

    async def identifiers(self, patient: str) -> tuple[PatientId, ...] | None:
        """All identifiers of a Patient; ``None`` when there is no such Patient, or no answer."""
        known = self._known.get(patient)
        if known is None or known[0] + SECONDS < self._monotonic():
            self._known.pop(patient, None)
            answer = await self._client.read("Patient", patient)
            try:
                found = read_resource(answer[0]) if answer is not None else None
            except WireError:
                found = None
            if found is None or (found.type, found.id) != ("Patient", patient):
                return None
            self.learn(found.content)
            known = self._known[patient]
        return known[1]

    async def persons(self, patient: str) -> tuple[PatientId, ...]:
        """Under which ids the log writes a Patient down: ours, else all, else its address here."""
        found = await self.identifiers(patient) or ()
        own = tuple(each for each in found if each.assigning_authority == self._own)
        return own or found or (PatientId(assigning_authority=self._here, id=patient),)
