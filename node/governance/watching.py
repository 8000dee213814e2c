"""The parts behind detectors, put together once for the console, the commands and the server."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Engine

from directory.store import DirectoryStore
from node.governance.case_routing import Routing
from node.governance.cases import Cases
from node.governance.detectors.care import OwnCare
from node.governance.detectors.looking import Looking
from node.governance.detectors.memory import Memory
from node.governance.detectors.names import FlagNames
from node.governance.detectors.store import Detectors
from node.governance.detectors.sweep import Sweeper
from node.governance.sampling import Sampler
from node.ledger.private import LedgerKey
from node.records.index import RecordIndex


@dataclass(frozen=True, slots=True, kw_only=True)
class Watching:
    """What looks for unusual things, and what is said of them.

    Attributes:
        detectors: writes settings and suppressions.
        names: puts names into the sentences of flags.
        routing: puts flags into cases.
        sweeper: looks at what is new.
        sampler: draws exchanges by lot.
        looking: makes one that looks at what there is, for a back-test.
    """

    detectors: Detectors
    names: FlagNames
    routing: Routing
    sweeper: Sweeper
    sampler: Sampler
    looking: Callable[[], Looking]


def watching(
    engine: Engine, key: LedgerKey, directory: DirectoryStore, index: RecordIndex, *, own: str
) -> Watching:
    """The parts over a node's stores; ``own`` is our HCID."""

    def peer_name(hcid: str) -> str | None:
        found = directory.by_home_community_id(hcid)
        return found[0].name if found else None

    def care() -> OwnCare:
        return OwnCare(engine, key, index)

    def memory() -> Memory:
        return Memory(engine, key, directory)

    names = FlagNames(engine, key, peer_name)
    cases = Cases(engine, key, own=own)
    routing = Routing(engine, cases, names.sentence)
    return Watching(
        detectors=Detectors(engine, key, own=own),
        names=names,
        routing=routing,
        sweeper=Sweeper(engine, key, routing, own=own, care=care, memory=memory),
        sampler=Sampler(engine, key, cases, peer_name, own=own),
        looking=lambda: Looking(engine, key, care(), memory()),
    )
