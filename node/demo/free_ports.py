"""Ports for servers that are started later, or never."""

from __future__ import annotations

import fcntl
import os
import random
import socket
import tempfile
from collections.abc import Iterator
from functools import cache
from itertools import islice
from pathlib import Path
from typing import BinaryIO

HOST = "127.0.0.1"
# Below what systems give to those who ask for any port (Linux 32768, IANA 49152): a port that is
# looked for and let go again up there may be somebody else's before its server starts.
_FIRST, _LAST = 20_000, 32_000


@cache
def _claims(_process: int) -> BinaryIO:
    """One file of this user for all processes, a byte for each port; opened once by each process.

    Locks end with their process, however it ends, so no claim is left behind.
    """
    file = Path(tempfile.gettempdir()) / f"tefca-node-ports-{os.getuid()}"
    return os.fdopen(os.open(file, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600), "r+b")


def _claimed(port: int) -> bool:
    """Whether ``port`` is this process's from now on: no other was given it and still lives."""
    try:
        fcntl.lockf(_claims(os.getpid()), fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
    except OSError:
        return False
    return True


def _candidates() -> Iterator[int]:
    """Every port of the range once, from another place in each process."""
    start = random.Random(os.getpid()).randrange(_LAST - _FIRST)
    for number in range(_LAST - _FIRST):
        yield _FIRST + (start + number) % (_LAST - _FIRST)


_next = _candidates()


def free_ports(count: int) -> list[int]:
    """Ports on the loopback that nobody uses now and no living process has been given.

    A process can be given each port once. Raises ``OSError`` when the range is used up.
    """
    found = list(islice((port for port in _next if _claimed(port) and _unused(port)), count))
    if len(found) < count:
        raise OSError(f"no {count} free ports between {_FIRST} and {_LAST}")
    return found


def _unused(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True
