"""What a search of AuditEvents asks of the log, and of the events that the log gives. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from node.ledger.filter import LedgerFilter
from node.wire.fhir.conditions import TokenCondition

Json = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a search asks for: the filters, one entry alone, and what is tried on events.

    Attributes:
        filters: of the log; none when nothing can fit.
        entry: the id of the one entry that is meant.
        event: the id of the one event that is meant.
        outcomes: codes of AuditEvent.outcome.
        agents, entities: identifiers of which an event must have one.
    """

    filters: tuple[LedgerFilter, ...] = ()
    entry: str | None = None
    event: str | None = None
    outcomes: frozenset[str] | None = None
    agents: tuple[TokenCondition, ...] = ()
    entities: tuple[TokenCondition, ...] = ()

    def fits(self, event: Json, *, people: bool) -> bool:
        """Whether an event is one of those; ``people``: whether its entities are all shown."""
        if self.event is not None and event["id"] != self.event:
            return False
        if self.outcomes is not None and event["outcome"] not in self.outcomes:
            return False
        if self.agents and not _has(event["agent"], "who", self.agents):
            return False
        return not (people and self.entities) or _has(event["entity"], "what", self.entities)


def meets(token: TokenCondition, system: str | None, code: str | None) -> bool:
    """Whether a system and a code are what a token of a search says."""
    if token.system is not None and token.system != (system or ""):
        return False
    return token.code is None or token.code == code


def _has(parts: Iterable[Json], name: str, tokens: Sequence[TokenCondition]) -> bool:
    """Whether a part of an event is named by one of the identifiers, or as ``Type/id``."""
    for part in parts:
        named = part.get(name, {})
        identifier = named.get("identifier", {})
        value = identifier.get("value") or named.get("reference")
        if value and any(meets(token, identifier.get("system"), value) for token in tokens):
            return True
    return False
