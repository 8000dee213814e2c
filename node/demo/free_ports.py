"""Ports for servers that are started later, or never."""

from __future__ import annotations

import os
import random
import socket
from collections.abc import Iterator

HOST = "127.0.0.1"
# Below what systems give to those who ask for any port (Linux 32768, IANA 49152): a port that is
# looked for and let go again up there may be somebody else's before its server starts.
_FIRST, _LAST = 20_000, 32_000


def _candidates() -> Iterator[int]:
    """Every port of the range, from another place in each process."""
    start = random.Random(os.getpid()).randrange(_LAST - _FIRST)
    while True:
        for number in range(_LAST - _FIRST):
            yield _FIRST + (start + number) % (_LAST - _FIRST)


_next = _candidates()


def free_ports(count: int) -> list[int]:
    """Ports on the loopback that nobody uses now and this process has not been given before."""
    found: list[int] = []
    while len(found) < count:
        port = next(_next)
        with socket.socket() as probe:
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
        found.append(port)
    return found
