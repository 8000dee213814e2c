"""Which Patient resources are which person of the patient index."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from itertools import islice

from sqlalchemy import Engine, bindparam, func, or_, select

from node.records.fhir.tables import PERSON, RESOURCE
from node.records.tables import PATIENT

_IN_ONE_QUERY = 400
# made once: it is asked for every answer, and to make it takes longer than to run it
_PERSONS = (
    select(PERSON.c.patient, func.coalesce(PATIENT.c.merged_into, PATIENT.c.id))
    .join(PATIENT, PATIENT.c.id == PERSON.c.local_id)
    .where(PERSON.c.patient.in_(bindparam("patients", expanding=True)))
)


class FhirPeople:
    """Reads the link between Patients and persons. Persons that were joined are one."""

    def __init__(self, engine: Engine) -> None:
        """``engine`` is the node's."""
        self._engine = engine

    def given(self, local_id: str) -> str | None:
        """The first Patient that a FHIR system gave for a person, or ``None``."""
        return next((i for i, origin in self._patients([local_id]) if origin != "made"), None)

    def patients(self, local_ids: Collection[str]) -> list[str]:
        """The Patients of persons, those given first; the oldest first."""
        found = self._patients(local_ids)
        return [i for i, _ in sorted(found, key=lambda each: each[1] == "made")]

    def persons(self, patients: Iterable[str]) -> dict[str, str]:
        """The persons of Patients, by the Patient's id."""
        found: dict[str, str] = {}
        waiting = iter(patients)
        with self._engine.connect() as connection:
            while some := list(islice(waiting, _IN_ONE_QUERY)):
                rows = connection.execute(_PERSONS, {"patients": some})
                found |= {str(patient): str(local_id) for patient, local_id in rows}
        return found

    def _patients(self, local_ids: Collection[str]) -> list[tuple[str, str]]:
        found: list[tuple[int, str, str]] = []
        waiting = iter(local_ids)
        query = (
            select(RESOURCE.c.key, RESOURCE.c.id, RESOURCE.c.origin)
            .join(PERSON, PERSON.c.patient == RESOURCE.c.id)
            .join(PATIENT, PATIENT.c.id == PERSON.c.local_id)
            .where(RESOURCE.c.type == "Patient")
        )
        with self._engine.connect() as connection:
            while some := list(islice(waiting, _IN_ONE_QUERY)):
                condition = or_(PERSON.c.local_id.in_(some), PATIENT.c.merged_into.in_(some))
                rows = connection.execute(query.where(condition))
                found += [(int(key), str(i), str(origin)) for key, i, origin in rows]
        return [(i, origin) for _, i, origin in sorted(found)]
