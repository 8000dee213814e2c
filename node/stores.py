"""The stores of a node home as the commands see them: the composition root's lighter half.

A module of its own, because most commands need no more than this, and the rest of the composition
root (``node.app``: servers, connections, gRPC) takes most of the time of a start.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from node.cli.home import Stores
from node.ledger.trust_log import operator
from node.opened import fhir_loader, local_records, opened_home, trust_log
from node.settings import NodeHome, Settings


@contextmanager
def opened_stores(home: NodeHome, settings: Settings) -> Iterator[Stores]:
    """The database of a node home, open for the block.

    Raises:
        OurFault: as ``opened_home``.
    """
    with opened_home(home, settings) as opened:
        yield Stores(
            engine=opened.engine,
            directory=opened.directory,
            index=opened.index,
            content=opened.content,
            fhir=fhir_loader(opened),
            records=local_records(opened),
            trust=trust_log(opened, operator()),
        )
