"""Runs ``tefca-node`` without loading it each time: many tests start many programs.

A process loads the whole program once and is forked for every command. A small program named
``tefca-node`` stands in its place: it hands over its arguments, folder, environment
and open files, passes signals on, and ends with the command's exit code. So a command is a process
of its own with its own files, and only the time of loading is saved. What the real start loads is
tried by tests of its own (``tests/cli/test_start.py``, the demo, the containers).
"""

from __future__ import annotations

import atexit
import gc
import json
import os
import signal
import socket
import stat
import struct
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

import pytest

_LENGTH = struct.Struct("!I")
_STANDARD = 3
_BROKEN = 70
_LOADING_SECONDS = 120

_PROGRAM = """#!{python} -ISu
import json, os, signal, socket, struct, sys
link = socket.socket(socket.AF_UNIX)
link.connect({address!r})
mask = os.umask(0o077)
asked = json.dumps(
    dict(words=sys.argv[1:], folder=os.getcwd(), environment=dict(os.environ), mask=mask)
).encode()
socket.send_fds(link, [struct.pack("!I", len(asked))], [0, 1, 2])
link.sendall(asked)
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
    signal.signal(number, lambda given, _: link.sendall(bytes([given])))
ended = link.recv(1)
sys.exit(ended[0] if ended else 137)
"""


@pytest.fixture(scope="session")
def warm_start() -> Iterator[Path]:
    """A folder with a ``tefca-node`` that is loaded already."""
    with tempfile.TemporaryDirectory(prefix="warm-") as name:  # short: a socket's name is bounded
        folder = Path(name)
        address = folder / "socket"
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.warm_start", address],
            cwd=Path(__file__).resolve().parents[1], stdin=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            _await(address, process)
            program = folder / "tefca-node"
            program.write_text(_PROGRAM.format(python=sys.executable, address=str(address)))
            program.chmod(program.stat().st_mode | stat.S_IXUSR)
            yield folder
        finally:
            process.kill()
            process.wait()


def _await(address: Path, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + _LOADING_SECONDS
    while not address.exists():
        if process.poll() is not None or time.monotonic() > until:
            pytest.fail("the program could not be loaded")
        time.sleep(0.05)


# --- the process that is loaded ------------------------------------------------------------------


def serve(address: str) -> None:
    """Load everything; then a fork for each who connects, until killed."""
    import_module("node.app")
    for module in iter_modules(import_module("node.cli").__path__):
        import_module(f"node.cli.{module.name}")
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody asks how they ended
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(f"{address}.new")
        listening.listen(64)
        Path(f"{address}.new").rename(address)  # there when it is ready
        while True:
            link, _ = listening.accept()
            if os.fork() == 0:
                listening.close()
                _command(link)
            link.close()


def _command(link: socket.socket) -> None:
    """One command; does not return."""
    code = _BROKEN
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        _become(link)
        threading.Thread(target=_obey, args=(link,), daemon=True).start()
        code = _code_of(import_module("node.__main__").main)
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
    except BaseException:  # noqa: BLE001  nobody is above us
        traceback.print_exc()
    finally:
        link.sendall(bytes([code & 0xFF]))
        os._exit(code)


def _become(link: socket.socket) -> None:
    """Take over what a program is given at its start."""
    head, files, _, _ = socket.recv_fds(link, _LENGTH.size, _STANDARD)
    (left,) = _LENGTH.unpack(head)
    data = b""
    while len(data) < left:
        data += link.recv(left - len(data))
    asked = json.loads(data)
    for place, file in enumerate(files):
        os.dup2(file, place)
        os.close(file)
    os.chdir(asked["folder"])
    os.umask(asked["mask"])
    os.environ.clear()
    os.environ.update(asked["environment"])
    time.tzset()
    sys.argv = ["tefca-node", *asked["words"]]
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115  for the whole life
    sys.stdout, sys.stderr = (
        open(file, "w", encoding="utf-8", buffering=1, closefd=False)  # noqa: SIM115
        for file in (1, 2)
    )


def _code_of(main: Callable[[], None]) -> int:
    try:
        main()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(bool(end.code))
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    return 0


def _obey(link: socket.socket) -> None:
    """Send ourselves the signals that the small program was sent; end when it has ended."""
    while numbers := link.recv(1):
        os.kill(os.getpid(), numbers[0])
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    serve(sys.argv[1])
