"""Runs ``tefca-node`` without loading it each time: many tests start many programs.

A process loads the whole program once and is forked for every command. So a command is a process
of its own with its own files, and only the time of loading is saved (``tests/warm_up.py``). What
the real start loads is tried by tests of its own (``tests/cli/test_start.py``, the demo, stopping
and killing, containers).

There are two ways to it. ``WarmProcess`` stands where a test would have a ``Popen``, of the program
or of another module. For shells there is a small program named ``tefca-node``: it hands over its
arguments, folder, environment and open files, passes signals on, and ends with the command's exit
code.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import gc
import json
import os
import random
import runpy
import select
import shutil
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
from collections.abc import Sequence
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import BinaryIO

import pytest

from tests.warm_up import warm_up

_FOLDER = "TEFCA_TESTS_WARM"
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
link.recv(4)
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
    signal.signal(number, lambda given, _: link.sendall(bytes([given])))
ended = link.recv(1)
sys.exit(ended[0] if ended else 137)
"""


@pytest.fixture(scope="session")
def warm_start() -> Path:
    """A folder with a ``tefca-node`` that is loaded already."""
    return _loaded().parent


class WarmProcess:
    """A command in a process of its own: what tests use of ``subprocess.Popen``, without a stdin.

    Attributes:
        pid: of the command itself.
        stdout: what it prints, unless that goes elsewhere.
        returncode: ``None`` while it runs; a command that was killed has minus the signal.
    """

    def __init__(
        self,
        words: Sequence[str | Path],
        *,
        folder: Path,
        stdout: int | None,
        stderr: int,
        module: str | None = None,
    ) -> None:
        """Start ``tefca-node`` with these words, or a ``module`` as ``python -m`` does."""
        self.returncode: int | None = None
        self._link = socket.socket(socket.AF_UNIX)
        self._link.connect(str(_loaded()))
        mask = os.umask(0o077)
        os.umask(mask)
        asked = json.dumps(
            {
                "words": [str(word) for word in words],
                "module": module,
                "folder": str(folder),
                "environment": dict(os.environ),
                "mask": mask,
            }
        ).encode()
        reading, writing = os.pipe() if stdout is None else (None, stdout)
        with open(os.devnull, "rb") as nothing:  # noqa: PTH123
            socket.send_fds(
                self._link, [_LENGTH.pack(len(asked))], [nothing.fileno(), writing, stderr]
            )
        self._link.sendall(asked)
        (self.pid,) = _LENGTH.unpack(self._link.recv(_LENGTH.size))
        self.stdout: BinaryIO | None = None
        if reading is not None:
            os.close(writing)
            self.stdout = open(reading, "rb")  # noqa: SIM115, PTH123  for its whole life

    def poll(self) -> int | None:
        """The exit code, if it has ended."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """The exit code, once it has ended.

        Raises:
            subprocess.TimeoutExpired: it runs still.
        """
        until = None if timeout is None else time.monotonic() + timeout
        while self.returncode is None or self._link.fileno() >= 0:
            left = None if until is None else max(until - time.monotonic(), 0)
            if not select.select([self._link], [], [], left)[0]:
                raise subprocess.TimeoutExpired("tefca-node", timeout or 0)
            said = self._link.recv(1)
            if said:
                self.returncode = said[0]
            else:  # nothing holds the other end any more
                self._link.close()
                self.returncode = -signal.SIGKILL if self.returncode is None else self.returncode
        return self.returncode

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it at once."""
        self.send_signal(signal.SIGKILL)

    def send_signal(self, number: int) -> None:
        """Send it a signal, if it runs still."""
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)


@cache
def _loaded() -> Path:
    """The address of the process that has everything loaded; whoever needs it first starts it."""
    folder = Path(os.environ[_FOLDER])
    address = folder / "socket"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not address.exists():
            program = folder / "tefca-node"
            program.write_text(_PROGRAM.format(python=sys.executable, address=str(address)))
            program.chmod(program.stat().st_mode | stat.S_IXUSR)
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.warm_start", address],
                cwd=Path(__file__).resolve().parents[1], stdin=subprocess.DEVNULL,
            )  # fmt: skip
            _started.append(process)
            (folder / "pid").write_text(str(process.pid))
            _await(address, process)
    return address


_started: list[subprocess.Popen[bytes]] = []
"""Ours, if any: it outlives this process where other workers use it."""


def pytest_configure(config: pytest.Config) -> None:
    """The folder in which all workers of a run find the loaded process, which ends with the run."""
    if hasattr(config, "workerinput"):
        return
    folder = tempfile.mkdtemp(prefix="warm-")  # short: a socket's name is bounded
    os.environ[_FOLDER] = folder
    config.add_cleanup(lambda: _end(Path(folder)))


def _end(folder: Path) -> None:
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        os.kill(int((folder / "pid").read_text()), signal.SIGKILL)
    for process in _started:
        process.wait()
    shutil.rmtree(folder, ignore_errors=True)


def _await(address: Path, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + _LOADING_SECONDS
    while not address.exists():
        if process.poll() is not None or time.monotonic() > until:
            pytest.fail("the program could not be loaded")
        time.sleep(0.05)


# --- the process that is loaded ------------------------------------------------------------------


def serve(address: str) -> None:
    """Load all there is; then a fork for each who connects, until killed."""
    warm_up(Path(address).parent)
    # the nodes of a sample network are no less commands; the first of tests/e2e/test_demo.py
    # starts them as a user's demo does
    processes = import_module("node.demo.processes")
    processes.PROGRAM = (str(Path(address).parent / "tefca-node"),)
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
        # whoever runs the suite in the background has it ignored, and a command would inherit that
        signal.signal(signal.SIGINT, signal.default_int_handler)
        module = _become(link)
        threading.Thread(target=_obey, args=(link,), daemon=True).start()
        random.seed()
        code = _code_of(module)
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
    except BaseException:  # noqa: BLE001  nobody is above us
        traceback.print_exc()
    finally:
        link.sendall(bytes([code & 0xFF]))
        os._exit(code)


def _become(link: socket.socket) -> str:
    """Take over what a program is given at its start; the module that it is."""
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
    link.sendall(_LENGTH.pack(os.getpid()))
    sys.argv = ["tefca-node", *asked["words"]]
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115  for the whole life
    sys.stdout, sys.stderr = (
        open(file, "w", encoding="utf-8", buffering=1, closefd=False)  # noqa: SIM115
        for file in (1, 2)
    )
    return asked.get("module") or "node"


def _code_of(module: str) -> int:
    try:
        if module == "node":
            import_module("node.__main__").main()
        else:
            runpy.run_module(module, run_name="__main__")
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
