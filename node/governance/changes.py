"""Changes of trust as people read them: what, when, who, and why, from the log's own entries."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Engine

from node.ledger.find import LedgerFilter, find
from node.ledger.leaf import Kind
from node.ledger.private import LedgerKey
from node.ledger.show import Shown, show_all
from node.ledger.trust_change import Step, acts, sentence

ROUTINE: Final = frozenset({"crl-accept", "list-follow"})
"""What the node does by itself many times a day, and no person decides."""

_KINDS: Final = (Kind.CERT.value, Kind.DIRECTORY.value)
DECIDED: Final = tuple(
    code for code, act in acts().items() if act.kind in _KINDS and code not in ROUTINE
)
_AT_ONCE: Final = 18
"""Acts in one condition; a qualifier has 20 values at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One change that was made, refused, or failed.

    Attributes:
        who: the person's id; the node's own word where it acted by itself.
        why: what the person wrote, or the label of the thing.
        thing: SHA-256 (base64) of what it is about.
    """

    seq: int
    time: datetime
    act: str
    sentence: str
    who: str
    why: str
    thing: str | None


def changes(
    engine: Engine, key: LedgerKey, *, limit: int, peer: str | None = None, acts: tuple[str, ...]
) -> tuple[Change, ...]:
    """The newest changes by these acts, of one peer or of all; beginnings are left out.

    Raises:
        OurFault: as ``ledger.find.find``.
    """
    entries = [
        entry
        for place in range(0, len(acts), _AT_ONCE)
        for entry in find(
            engine,
            LedgerFilter(peer=peer, act=acts[place : place + _AT_ONCE]),
            key=key,
            limit=2 * limit,
        ).entries
        if entry.fields["step"] != Step.BEGUN
    ]
    newest = sorted((entry.seq for entry in entries), reverse=True)[:limit]
    return tuple(_change(shown) for shown in reversed(show_all(engine, newest, key)))


def _change(shown: Shown) -> Change:
    groups = {name: group.value for name, group in shown.groups.items()}
    who, wire = (g if isinstance(g := groups.get(n), dict) else {} for n in ("who", "wire"))
    fields = shown.entry.fields
    return Change(
        seq=shown.entry.seq,
        time=shown.entry.time,
        act=str(fields["act"]),
        sentence=sentence(fields) or "",
        who=str(who.get("name") or who.get("user_id") or fields["by"]),
        why=str(wire.get("reason") or wire.get("label") or ""),
        thing=str(fields["thing"]) if "thing" in fields else None,
    )
