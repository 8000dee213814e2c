"""The marks of a leg: what its leaf says that no column of the log's index has. Pure.

By its marks a leg is counted for its peer (``tallying``) and found by the log's filter
(``mark:tls-problem``). Names and codes are rows of ``data/marks.toml``; a tolerated deviation is a
mark by its own name. What a document is (``document-duplicate``, ``document-unreadable``) is not in
the leaf: ``tallying`` learns it.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Final

from node.model import Direction, Outcome
from node.policy.reasons import reasons
from trust.errors import Party, error_table

NOT_SENT: Final = "not-sent"
NOT_REACHED: Final = "not-reached"
TLS: Final = "tls-problem"
SIGNATURE: Final = "signature-problem"
NO_REASON: Final = "no-reason"
RETRIED: Final = "retried"
DEVIATION: Final = "deviation"
DUPLICATE: Final = "document-duplicate"
UNREADABLE: Final = "document-unreadable"
FAULTS: Final = {
    Party.OURS: "fault-ours",
    Party.THEIRS: "fault-theirs",
    Party.NETWORK: "fault-between",
}

ANSWERED: Final = frozenset({Outcome.OK, Outcome.PARTIAL, Outcome.OK_EMPTY, Outcome.DECLINED})
_BROKEN: Final = frozenset({Outcome.FAILED, Outcome.TIMED_OUT})
_TROUBLED: Final = _BROKEN | {Outcome.DECLINED}


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """One row of the table."""

    words: str
    codes: frozenset[str]
    prefixes: tuple[str, ...]

    def has(self, code: str) -> bool:
        """Whether a reason's code is one of the row's."""
        return code in self.codes or (bool(self.prefixes) and code.startswith(self.prefixes))


@cache
def marks() -> Mapping[str, Mark]:
    """All marks but those of deviations, by name."""
    text = resources.files("node.governance").joinpath("data/marks.toml").read_text("utf-8")
    return {
        name: Mark(
            words=row["words"],
            codes=frozenset(row.get("codes", ())),
            prefixes=tuple(row.get("prefixes", ())),
        )
        for name, row in tomllib.loads(text).items()
    }


def marks_of(fields: Mapping[str, str | int]) -> tuple[str, ...]:
    """The marks of an exchange entry by the fields of its leaf, in no order that matters."""
    outcome, code = Outcome(str(fields["outcome"])), str(fields.get("reason", ""))
    initiating = fields["dir"] == Direction.INITIATING.value
    found = [str(name) for name in str(fields.get("dev", "")).split(",") if name]
    if found:
        found.append(DEVIATION)
    if int(fields.get("try", 1)) > 1:
        found.append(RETRIED)
    if initiating and _not_sent(fields, outcome, code):
        return (*found, NOT_SENT)
    table = marks()
    if outcome in _TROUBLED:
        found += [name for name in (TLS, SIGNATURE) if table[name].has(code)]
    if initiating and outcome in _BROKEN:
        found.append(FAULTS[party_of(code, outcome)])
        if table[NOT_REACHED].has(code):
            found.append(NOT_REACHED)
    if initiating and outcome is Outcome.DECLINED and (not code or table[NO_REASON].has(code)):
        found.append(NO_REASON)
    return tuple(dict.fromkeys(found))


def _not_sent(fields: Mapping[str, str | int], outcome: Outcome, code: str) -> bool:
    """A code of ours, and no answer: a peer may send the same words as its own."""
    if "c_res" in fields or outcome in (Outcome.OK, Outcome.PARTIAL, Outcome.OK_EMPTY):
        return False
    return marks()[NOT_SENT].has(code) or (outcome is Outcome.DECLINED and code in reasons())


@cache
def _parties() -> Mapping[str, Party]:
    found: dict[str, Party] = {}
    for package in ("directory", "trust", "node"):  # the node's own row comes first
        found |= {code: Party(str(row["party"])) for code, row in error_table(package).items()}
    return found


def party_of(code: str, outcome: Outcome) -> Party:
    """At whose side a leg broke; a code that is none of ours was sent by the peer."""
    if outcome is Outcome.TIMED_OUT:
        return Party.NETWORK
    return _parties().get(code, Party.THEIRS)
