"""By which identifiers the health system's FHIR server knows its Patients, remembered a while."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any, Final

from node.errors import WireError
from node.model import PatientId
from node.peers.upstream.client import UpstreamClient
from node.wire.document_codes import fhir_system
from node.wire.fhir.problem import FhirProblem
from node.wire.fhir.searchset import read_resource
from node.wire.fhir_values import identifier, objects

MAX_PATIENTS: Final = 10_000
SECONDS: Final = 300.0
MAX_LOOKUPS: Final = 20
"""Patients that are asked for, only to write one answer down."""


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
        if not self._is_known(patient):
            self._known.pop(patient, None)
            answer = await self._client.read("Patient", patient)
            try:
                found = read_resource(answer[0]) if answer is not None else None
            except WireError:
                found = None
            if found is None or (found.type, found.id) != ("Patient", patient):
                return None
            self.learn(found.content)
        return self._known[patient][1]

    async def persons(self, patients: Iterable[str]) -> list[PatientId]:
        """Under which ids the log writes Patients down: ours, else all, else the address here.

        Never raises, asks for few and begins no question late: an answer must not fail because of
        its entry.
        """
        found: dict[PatientId, None] = {}
        left, until = MAX_LOOKUPS, self._monotonic() + self._client.limits.seconds
        for patient in patients:
            left -= not self._is_known(patient)
            can = self._is_known(patient) or (left >= 0 and self._monotonic() < until)
            known = await self._known_or_none(patient) if can else None
            own = tuple(each for each in known or () if each.assigning_authority == self._own)
            here = (PatientId(assigning_authority=self._here, id=patient),)
            found |= dict.fromkeys(own or known or here)
        return list(found)

    async def _known_or_none(self, patient: str) -> tuple[PatientId, ...] | None:
        try:
            return await self.identifiers(patient)
        except FhirProblem:
            return None

    def _is_known(self, patient: str) -> bool:
        known = self._known.get(patient)
        return known is not None and known[0] + SECONDS >= self._monotonic()
