"""The node home a command works on, and how it reaches what needs more than files."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import typer

from node.settings import NodeHome, Settings, load_settings

if TYPE_CHECKING:  # every command imports this file, few need the database
    from sqlalchemy import Engine

    from directory.store import DirectoryStore
    from node.exchange.initiate import Initiator
    from node.fhir_asking import FhirAsking
    from node.fhir_brokering import NetworkAsking
    from node.ledger.trust_change import Made, Recorder, TrustChange
    from node.probing import Probing
    from node.promise_check import PromiseCheck
    from node.reconciling import Reconciler
    from node.records.fhir.loader import FhirLoader
    from node.records.index import RecordIndex
    from node.records.source import LocalRecords
    from node.records.store import ContentStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Stores:
    """What a command may read and write without a running node.

    ``trust`` is where each change of trust is written down: make it inside ``trust.change``.
    """

    engine: Engine
    directory: DirectoryStore
    index: RecordIndex
    content: ContentStore
    fhir: FhirLoader
    records: LocalRecords
    trust: Recorder


class Wiring(Protocol):
    """What the composition root gives to the commands."""

    def stores(self, home: NodeHome, settings: Settings) -> AbstractContextManager[Stores]:
        """Open the database of a node home, migrated to this version."""
        ...

    def initiator(
        self, home: NodeHome, settings: Settings
    ) -> AbstractAsyncContextManager[Initiator]:
        """Open what asks peers: keys, directory, ledger, connections."""
        ...

    def probing(self, home: NodeHome, settings: Settings) -> AbstractAsyncContextManager[Probing]:
        """Open what tests the way to peers: keys, directory, ledger, connections."""
        ...

    def reconciling(
        self, home: NodeHome, settings: Settings
    ) -> AbstractAsyncContextManager[Reconciler]:
        """Open what compares the log with those of peers: keys, directory, log, connections."""
        ...

    def promises(
        self, home: NodeHome, settings: Settings
    ) -> AbstractAsyncContextManager[PromiseCheck]:
        """Open what looks into log promises: keys, directory, log, connections."""
        ...

    def fhir(self, home: NodeHome, settings: Settings) -> AbstractAsyncContextManager[FhirAsking]:
        """Open what asks peers' FHIR servers: keys, directory, ledger, connections."""
        ...

    def network(
        self, home: NodeHome, settings: Settings
    ) -> AbstractAsyncContextManager[NetworkAsking]:
        """Open what asks peers by IHE and by FHIR: keys, directory, ledger, connections."""
        ...

    def serve(
        self, home: NodeHome, settings: Settings, ready: Callable[[dict[str, str]], None]
    ) -> Awaitable[None]:
        """Run the node until it is told to stop; ``ready`` gets the bound addresses."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandContext:
    """What every command finds in its Typer context."""

    wiring: Wiring
    home: NodeHome


def context_of(context: typer.Context) -> CommandContext:
    """The command's context."""
    found = context.find_object(CommandContext)
    if found is None:  # pragma: no cover  # the root callback always sets it
        raise RuntimeError
    return found


def opened(context: typer.Context) -> tuple[NodeHome, Settings, Wiring]:
    """The node home with its settings. Raises ``SettingsError``."""
    command = context_of(context)
    return command.home, load_settings(command.home), command.wiring


@contextmanager
def recorded(
    context: typer.Context, change: TrustChange, *, dry_run: bool = False
) -> Iterator[Made]:
    """Make a change of trust inside this block, and it has its entries in the log.

    With ``dry_run`` the block changes nothing, and nothing is written.

    Raises:
        OurFault: ``trust-change-unrecorded``, as ``Recorder.change``.
    """
    if dry_run:
        from node.ledger.trust_log import Change  # noqa: PLC0415 - with the database's library

        yield Change(change)
        return
    home, settings, wiring = opened(context)
    with wiring.stores(home, settings) as stores, stores.trust.change(change) as made:
        yield made


def record(context: typer.Context, changes: Iterable[TrustChange]) -> None:
    """Write down what is so already. Raises ``OurFault`` as ``Recorder.fact``."""
    home, settings, wiring = opened(context)
    with wiring.stores(home, settings) as stores:
        for change in changes:
            stores.trust.fact(change)


def home_at(path: Path) -> NodeHome:
    """The node home in a folder."""
    return NodeHome(path)
