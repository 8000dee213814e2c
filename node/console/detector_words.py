"""What several pages say of detectors: the last sweep, flags behind a case, numbers of a score."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from sqlalchemy import Engine

from node.console.parts import Visit
from node.console.wording import counted
from node.governance.detectors.catalogue import State
from node.governance.detectors.flags import Flag, flags, last_sweep
from node.ledger.private import LedgerKey
from node.ledger.show import show

STATES: Final = {State.ON: "on", State.SHADOW: "shadow", State.OFF: "off"}
MARKS: Final = {State.ON: "ok", State.SHADOW: "partial", State.OFF: "cancelled"}
"""The shape beside a state's word."""

_OF_A_CASE: Final = 20
_HOURS: Final = 24


def sweep_words(visit: Visit) -> str:
    """Such as ``Last sweep 13:20: 412 exchanges examined, 0 flags; detectors ok``."""
    last = last_sweep(visit.console.engine)
    if last is None:
        return "The detectors have not looked yet."
    shown, now = visit.shown(last.t), visit.shown(visit.now)
    when = f"{shown:%H:%M}" if shown.date() == now.date() else f"{shown:%-d %b %H:%M}"
    ok = f"failed: {', '.join(last.failed)}" if last.failed else "detectors ok"
    in_shadow = f", {last.shadow:,} in shadow" if last.shadow else ""
    return (
        f"Last sweep {when}: {counted(last.exchanges, 'exchange')} examined,"
        f" {counted(last.flags, 'flag')}{in_shadow}; {ok}."
    )


def flag_lines(visit: Visit, case: str) -> list[tuple[Flag, str]]:
    """The flags that went into a case, each with its sentence."""
    console = visit.console
    found = flags(console.engine, reader=visit.mark, case=case, limit=_OF_A_CASE)
    return [(each, console.watching.names.sentence(each)) for each in found]


def limits_words(limits: Mapping[str, float]) -> str:
    """Such as ``asked 20, share 0.8``."""
    return ", ".join(f"{name} {value:g}" for name, value in limits.items()) or "none"


def hours_words(hours: float | None) -> str:
    """A time between flag and decision."""
    if hours is None:
        return "none yet"
    return f"{hours:g} h" if hours < 2 * _HOURS else f"{hours / _HOURS:.1f} d"


def written(engine: Engine, key: LedgerKey, entry: int) -> Mapping[str, object]:
    """What stands in the private part of an entry; empty where it is gone."""
    shown = show(engine, entry, key)
    group = shown.groups.get("wire") if shown is not None else None
    return group.value if group is not None and isinstance(group.value, dict) else {}


def day_words(visit: Visit, instant: datetime) -> str:
    """A day as people read it."""
    return f"{visit.shown(instant):%-d %b %Y}"
