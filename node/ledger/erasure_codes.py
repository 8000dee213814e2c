"""Who may order an erasure and why (``data/erasures.toml``), and what people read of its entry."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources

from node.ledger.leaf import Kind, Leaf


@dataclass(frozen=True, slots=True, kw_only=True)
class ErasureCodes:
    """The codes with their meanings; ``asked_by_patient``: purposes whose user is the patient."""

    authorities: Mapping[str, str]
    reasons: Mapping[str, str]
    asked_by_patient: frozenset[str]


@lru_cache
def erasure_codes() -> ErasureCodes:
    """All codes of the table."""
    text = resources.files("node.ledger").joinpath("data/erasures.toml").read_text("utf-8")
    table = tomllib.loads(text)
    return ErasureCodes(
        authorities={code: row["meaning"] for code, row in table["authority"].items()},
        reasons={code: row["meaning"] for code, row in table["reason"].items()},
        asked_by_patient=frozenset(table["asked_by_patient"]),
    )


def erasure_sentence(fields: Leaf) -> str | None:
    """What a person reads of an entry; ``None`` when it is no erasure."""
    if fields["kind"] != Kind.ERASURE:
        return None
    return (
        f"The private group {fields['part']} of entry {fields['target']} was erased "
        f"(ordered by {fields['authority']}: {fields['reason']})."
    )
