"""The names of AuditEvent's search parameters in the spellings of ITI-81 and of FHIR R4. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from node.wire.fhir.query import Pair

PATIENT_IDENTIFIER: Final = "patient-identifier"
"""How ``patient.identifier`` is named inside: a dot stands for a chain, and this is none."""

BY_IDENTIFIER: Final = frozenset({"agent", "entity", "source"})

_SPELT: Final = {
    **{f"{name}{sign}identifier": name for name in sorted(BY_IDENTIFIER) for sign in ".:"},
    "patient.identifier": PATIENT_IDENTIFIER,
    "patient:identifier": PATIENT_IDENTIFIER,
}
_SAID: Final = {PATIENT_IDENTIFIER: "patient.identifier"}


def read_names(pairs: Sequence[Pair]) -> list[Pair]:
    """Parameters under the names of ``data/audit_search.toml``."""
    return [(_SPELT.get(name, name), value) for name, value in pairs]


def said_names(pairs: Sequence[Pair]) -> tuple[Pair, ...]:
    """The same as a client can send them again."""
    return tuple((_SAID.get(name, name), value) for name, value in pairs)
