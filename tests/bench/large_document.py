"""ITI-39 with a large document: CPU and extra memory of the process that sends and the one that
receives it, both real: a serving node, and the SOAP client with its inbox.

Extra memory is the high-water mark while the document passes, less what the process had before it,
after one small document has warmed it up.
"""

from __future__ import annotations

from collections.abc import Iterator

from tests.bench.homes import Pair, pin_asker
from tests.bench.process import working
from tests.bench.responder import SMALL
from tests.bench.row import Row, Sizes

_MEMORY_TARGET = 40.0
_MEGABYTE = 1e6
_TIMES = 2


def large_document_rows(pair: Pair, sizes: Sizes) -> Iterator[Row]:
    """CPU and memory of both sides."""
    pin_asker(pair, pinned=True)
    size, folder = sizes.large_bytes, pair.answering.home.path
    with working("node", folder) as node, working("fetch", folder.parent) as client:
        for _ in range(_TIMES):
            client.fetch(pair.documents[SMALL])
        processes = {"responder": node, "client": client}
        worst = dict.fromkeys(processes, 0.0)
        cpu = dict.fromkeys(processes, float("inf"))
        for _ in range(_TIMES):
            for worker in processes.values():
                worker.settle()
            before = {name: worker.usage() for name, worker in processes.items()}
            received = client.fetch(pair.documents[size])
            if received != size:
                raise RuntimeError(f"{received} of {size} bytes were received")
            for name, worker in processes.items():
                after = worker.usage()
                worst[name] = max(worst[name], (after.peak - before[name].rss) / _MEGABYTE)
                cpu[name] = min(cpu[name], after.cpu - before[name].cpu)
    megabytes = f"{size / _MEGABYTE:.0f} MB"
    for name in processes:
        yield Row(name=f"ITI-39 {name}, {megabytes}", value=cpu[name] * 1e3, unit="ms CPU")
        yield Row(
            name=f"ITI-39 {name}, {megabytes}, extra memory",
            value=worst[name],
            unit="MB",
            target=_MEMORY_TARGET,
        )
