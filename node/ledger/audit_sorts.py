"""Sorts of entries, with the codes that ``wire.balp`` gives their AuditEvents. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

from node.ledger.leaf import Kind
from node.ledger.trust_change import acts
from node.model import Authorization, Direction, Interaction, Transaction
from node.wire.audit_codes import audit_codes


@dataclass(frozen=True, slots=True, kw_only=True)
class Sort:
    """Some entries (``name`` is a field of the filter) and the codes that their events have.

    ``direction`` where the two directions of a step have other codes.
    """

    kind: str
    name: str
    value: str
    types: frozenset[tuple[str, str]]
    subtypes: frozenset[tuple[str, str]]
    direction: str | None = None


@lru_cache
def sorts() -> tuple[Sort, ...]:
    """Every sort of entry with the type and the subtypes of its AuditEvents (``wire.balp``)."""
    steps = (*Transaction, *Interaction, *Authorization)
    found: list[Sort] = []
    for step in steps:
        made = {
            direction: _sort(Kind.EXCHANGE, "transaction", step, f"{step}/{direction}")
            for direction in Direction
            if f"{step}/{direction}" in audit_codes().occasion
        }
        if len(set(made.values())) == 1:
            found.extend(made.values())
        else:
            found.extend(replace(row, direction=each.value) for each, row in made.items())
    named = {act.kind for act in acts().values()}
    for act, row in acts().items():
        occasion = act if act in audit_codes().occasion else row.kind
        found.append(_sort(row.kind, "act", act, occasion))
    found.extend(
        _sort(kind, "kind", kind, kind)
        for kind in Kind
        if kind is not Kind.EXCHANGE and kind.value not in named
    )
    return tuple(dict.fromkeys(found))


def _sort(kind: str, name: str, value: str, occasion: str) -> Sort:
    codes = audit_codes()
    row, systems = codes.of(occasion), codes.fhir_system
    if row.pattern:
        types = {(systems["event"], "rest")}
        subtypes = {(systems["interaction"], codes.pattern[row.pattern].interaction)}
        subtypes.add((systems["transaction"], value))
    else:
        types = {(systems["dcm"], row.event)}
        subtypes = {(systems["dcm"], row.kind)} if row.kind else set()
        subtypes.add((systems["transaction" if row.ihe else "own"], value))
    return Sort(
        kind=str(kind), name=name, value=str(value),
        types=frozenset(types), subtypes=frozenset(subtypes),
    )  # fmt: skip
