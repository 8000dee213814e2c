"""The ``tefca-node`` command: loads of the program what a command asks for, and no more.

``node.app`` with the servers, the peers' clients and gRPC is loaded by the commands that serve or
ask; ``log find`` needs the database only, ``cert show`` nothing but files.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from node.cli.home import Stores
    from node.exchange.initiate import Initiator
    from node.fhir_asking import FhirAsking
    from node.fhir_brokering import NetworkAsking
    from node.probing import Probing
    from node.promise_check import PromiseCheck
    from node.reconciling import Reconciler
    from node.settings import NodeHome, Settings


class OnDemand:
    """Implements ``node.cli.home.Wiring`` by the composition root, loaded when it is needed."""

    def stores(self, home: NodeHome, settings: Settings) -> AbstractContextManager[Stores]:
        """The database of a node home."""
        from node.stores import opened_stores

        return opened_stores(home, settings)

    def initiator(
        self, home: NodeHome, settings: Settings
    ) -> AbstractAsyncContextManager[Initiator]:
        """The initiating side in this process."""
        from node.app import Composition

        return Composition().initiator(home, settings)

    def probing(self, home: NodeHome, settings: Settings) -> AbstractAsyncContextManager[Probing]:
        """The connectivity tests in this process."""
        from node.app import Composition

        return Composition().probing(home, settings)

    def reconciling(
        self, home: NodeHome, settings: Settings
    ) -> AbstractAsyncContextManager[Reconciler]:
        """What compares the log with those of peers."""
        from node.app import Composition

        return Composition().reconciling(home, settings)

    def promises(
        self, home: NodeHome, settings: Settings
    ) -> AbstractAsyncContextManager[PromiseCheck]:
        """What looks into log promises."""
        from node.app import Composition

        return Composition().promises(home, settings)

    def fhir(self, home: NodeHome, settings: Settings) -> AbstractAsyncContextManager[FhirAsking]:
        """Our side as a FHIR client in this process."""
        from node.app import Composition

        return Composition().fhir(home, settings)

    def network(
        self, home: NodeHome, settings: Settings
    ) -> AbstractAsyncContextManager[NetworkAsking]:
        """As ``Composition.network``."""
        from node.app import Composition

        return Composition().network(home, settings)

    def serve(
        self, home: NodeHome, settings: Settings, ready: Callable[[dict[str, str]], None]
    ) -> Awaitable[None]:
        """Run the node until it is told to stop."""
        from node.app import Composition

        return Composition().serve(home, settings, ready)


def main() -> None:
    """Run the command line."""
    try:
        from node.cli.main import run
    except KeyboardInterrupt:  # while the program is read, nothing has begun
        sys.exit(130)
    run(OnDemand())


if __name__ == "__main__":
    main()
