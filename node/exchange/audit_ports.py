"""The log as the FHIR side needs it: AuditEvents that are found and read, never written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from node.exchange.fhir_ports import Cursor, HeldResource
from node.model import PatientId
from node.wire.fhir.query import SearchQuery


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditView:
    """What somebody may see of the log.

    Attributes:
        kinds: of entries that may be seen.
        people: whether patients, questions and documents are shown; else they stay closed.
    """

    kinds: frozenset[str]
    people: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditPage:
    """AuditEvents newest first; ``following``: where the next page begins, if there is one.

    A page may have fewer events than were asked for, and another one still follow it.
    """

    events: tuple[HeldResource, ...]
    following: Cursor | None = None


class AuditRecords(Protocol):
    """The log's entries as AuditEvents; an entry may be several."""

    async def read(self, id_: str, view: AuditView) -> HeldResource | None:
        """One AuditEvent, or ``None``."""
        ...

    async def search(
        self,
        query: SearchQuery,
        view: AuditView,
        *,
        patients: frozenset[PatientId] | None,
        after: Cursor | None,
    ) -> AuditPage:
        """A page of a search.

        Args:
            query: of the type ``AuditEvent``.
            view: what may be seen.
            patients: the identifiers that the query's ``patient`` stands for, where it has one.
            after: where the page begins.

        Raises:
            FhirProblem: ``fhir-value-invalid``, ``fhir-parameter-unsupported``.
        """
        ...
