"""An audit repository for tests: rsyslog, of the packages ``rsyslog`` and ``rsyslog-gnutls``.

It listens for syslog over TLS, takes clients of one CA alone, and writes each message as it came.
Without the packages the tests fail in CI (``.ci/run`` installs them); elsewhere they skip loudly.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from node.demo.free_ports import free_ports
from node.setup import load_ca, make_ca
from trust.ca import Profile, issue
from trust.certificates import Bundle
from trust.csr import RequestedNames, build_csr
from trust.keys import KeyKind, generate_key, save_key
from trust.tls import TlsIdentity
from trust.usages import Usage

_PROGRAM = "/usr/sbin/rsyslogd"
_MODULE = "rsyslog/lmnsd_gtls.so"


class Rsyslog:
    """A repository that can be started and stopped; its messages stay."""

    def __init__(self, folder: Path, *, host: str = "localhost") -> None:
        folder.mkdir()
        self.folder = folder
        now = datetime.now(UTC)
        make_ca(folder, "ca", "Repository CA", now=now)
        self.ca_file = folder / "ca.pem"
        self.clients = folder / "clients.pem"
        self.clients.write_bytes(self.ca_file.read_bytes())
        key = generate_key(KeyKind.P_256)
        names = RequestedNames(common_name=host, dns_names=(host,))
        request = build_csr(key, names, usages=(Usage.TLS_SERVER,))
        leaf = issue(load_ca(folder, "ca"), request, profile=Profile.TLS_SERVER, now=now)
        save_key(folder / "server.key", key)
        (folder / "server.pem").write_bytes(Bundle(leaf=leaf).pem())
        (self.port,) = free_ports(1)
        self._process: subprocess.Popen[bytes] | None = None

    def client(self, name: str = "node") -> TlsIdentity:
        """A client certificate of the CA that it trusts."""
        key = generate_key(KeyKind.P_256)
        names = RequestedNames(common_name=name, dns_names=(f"{name}.example",))
        request = build_csr(key, names, usages=(Usage.TLS_CLIENT,))
        authority = load_ca(self.folder, "ca")
        leaf = issue(authority, request, profile=Profile.TLS_CLIENT, now=datetime.now(UTC))
        save_key(self.folder / f"{name}.key", key)
        (self.folder / f"{name}.pem").write_bytes(Bundle(leaf=leaf).pem())
        return TlsIdentity(
            certificate_file=self.folder / f"{name}.pem", key_file=self.folder / f"{name}.key"
        )

    def start(self) -> None:
        """Run until it takes connections."""
        folder = self.folder
        (folder / "rsyslog.conf").write_text(f"""
global(
  workDirectory="{folder}" maxMessageSize="256k" defaultNetstreamDriver="gtls"
  defaultNetstreamDriverCAFile="{self.clients}"
  defaultNetstreamDriverCertFile="{folder}/server.pem"
  defaultNetstreamDriverKeyFile="{folder}/server.key"
)
module(load="imtcp" streamDriver.name="gtls" streamDriver.mode="1"
  streamDriver.authMode="x509/certvalid")
template(name="as-it-came" type="string" string="%rawmsg%\\n")
input(type="imtcp" address="127.0.0.1" port="{self.port}")
action(type="omfile" file="{folder}/messages" template="as-it-came")
""")
        with (folder / "out").open("ab") as out:
            self._process = subprocess.Popen(
                [_PROGRAM, "-n", "-f", str(folder / "rsyslog.conf"), "-i", str(folder / "pid")],
                stdin=subprocess.DEVNULL, stdout=out, stderr=out,
            )  # fmt: skip
        deadline = time.monotonic() + 20
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
            except OSError:
                assert self._process.poll() is None, (folder / "out").read_text()
                assert time.monotonic() < deadline, (folder / "out").read_text()
                time.sleep(0.02)
            else:
                return

    def stop(self, number: int = signal.SIGTERM) -> None:
        """End it, by default in good order."""
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(20)
            self._process = None

    def send_signal(self, number: int) -> None:
        """Such as SIGSTOP, to have a repository that hangs."""
        if self._process is not None:
            self._process.send_signal(number)

    def messages(self, count: int | None = None) -> list[bytes]:
        """What it wrote, once there are so many; it writes a moment after it has taken them."""
        deadline = time.monotonic() + 20
        while True:
            file = self.folder / "messages"
            text = file.read_bytes() if file.exists() else b""
            found = text[: text.rfind(b"\n") + 1].splitlines()  # it may be in the middle of one
            if count is None or len(found) >= count:
                return found
            assert time.monotonic() < deadline, f"{len(found)} of {count} messages"
            time.sleep(0.02)


@pytest.fixture
def rsyslog(tmp_path: Path) -> Iterator[Callable[..., Rsyslog]]:
    """Makes repositories; all are stopped at the end."""
    modules = list(Path("/usr/lib").glob(f"*/{_MODULE}")) + list(Path("/usr/lib").glob(_MODULE))
    if shutil.which(_PROGRAM) is None or not modules:
        if os.environ.get("CI") == "true":
            pytest.fail("CI needs the packages rsyslog and rsyslog-gnutls: .ci/run installs them")
        pytest.skip("NEEDS RSYSLOG: the packages rsyslog and rsyslog-gnutls are not installed")
    made: list[Rsyslog] = []

    def make(**how: str) -> Rsyslog:
        made.append(Rsyslog(tmp_path / f"repository-{len(made)}", **how))
        return made[-1]

    yield make
    for each in made:
        each.stop(signal.SIGKILL)
