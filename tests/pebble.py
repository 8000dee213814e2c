"""A CA that speaks ACME for tests: Pebble, from the system's package ``pebble``.

It runs with a DNS server of its own (``pebble-challtestsrv``) that leads every name to this
machine, and asks for an external account. Without the package the tests fail in CI (``.ci/run``
installs it); elsewhere they skip loudly.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import shutil
import ssl
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from node.demo.free_ports import free_ports
from node.setup import load_ca, make_ca
from trust.ca import Profile, issue
from trust.certificates import Bundle
from trust.csr import RequestedNames, build_csr
from trust.keys import KeyKind, generate_key, save_key
from trust.usages import Usage

EAB_KEY = base64.urlsafe_b64encode(bytes(range(32))).decode().rstrip("=")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pebble:
    """A running CA."""

    directory: str
    ca_file: Path
    http_port: int
    management: str
    dns: str

    def root(self) -> bytes:
        """The certificate of its root, PEM; another one at every start."""
        context = ssl.create_default_context(cafile=str(self.ca_file))
        with urllib.request.urlopen(f"{self.management}/roots/0", context=context) as answer:
            return bytes(answer.read())

    def settings(self, **more: object) -> str:
        """The section of ``node.toml`` that names it."""
        values = {
            "directory_url": self.directory, "contact": "ops@lake.example",
            "eab_key_id": "kid-1", "http_host": "127.0.0.1", "http_port": self.http_port,
            "ca_file": str(self.ca_file), **more,
        }  # fmt: skip
        rows = "".join(f"{name} = {json.dumps(value)}\n" for name, value in values.items())
        return f"\n[acme]\n{rows}"


@pytest.fixture(scope="session")
def pebble(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pebble]:
    tools = [shutil.which(name) for name in ("pebble", "pebble-challtestsrv")]
    if None in tools:
        if os.environ.get("CI") == "true":
            pytest.fail("CI needs the system's package pebble: .ci/run installs it")
        pytest.skip("NEEDS PEBBLE: the system's package pebble is not installed")
    folder = tmp_path_factory.mktemp("pebble")
    api, management, http, tls, dns, control = free_ports(6)
    _certificate(folder)
    config = {
        "pebble": {
            "listenAddress": f"127.0.0.1:{api}",
            "managementListenAddress": f"127.0.0.1:{management}",
            "certificate": str(folder / "api.pem"),
            "privateKey": str(folder / "api.key"),
            "httpPort": http,
            "tlsPort": tls,
            "externalAccountBindingRequired": True,
            "externalAccountMACKeys": {"kid-1": EAB_KEY},
        }
    }
    (folder / "config.json").write_text(json.dumps(config))
    environment = os.environ | {
        "PEBBLE_VA_NOSLEEP": "1",
        "PEBBLE_AUTHZREUSE": "0",
        "PEBBLE_WFE_NONCEREJECT": "0",
    }
    with contextlib.ExitStack() as stack:
        for command in (
            [tools[1], "-defaultIPv4", "127.0.0.1", "-defaultIPv6", "", "-dns01",
             f"127.0.0.1:{dns}", "-management", f"127.0.0.1:{control}", "-http01", "", "-https01",
             "", "-tlsalpn01", ""],
            [tools[0], "-config", str(folder / "config.json"), "-dnsserver", f"127.0.0.1:{dns}"],
        ):  # fmt: skip
            log = stack.enter_context((folder / "log").open("ab"))
            process = subprocess.Popen(
                [str(word) for word in command], env=environment, stdin=subprocess.DEVNULL,
                stdout=log, stderr=log,
            )  # fmt: skip
            stack.callback(process.wait)
            stack.callback(process.kill)
        running = Pebble(
            directory=f"https://localhost:{api}/dir",
            ca_file=folder / "ca" / "ca.pem",
            http_port=http,
            management=f"https://localhost:{management}",
            dns=f"http://127.0.0.1:{control}",
        )
        _await(running, folder / "log")
        yield running


def _await(running: Pebble, log: Path) -> None:
    for _ in range(300):
        try:
            running.root()
        except OSError:
            time.sleep(0.1)
        else:
            return
    pytest.fail(f"pebble did not start: {log.read_text()}")


def _certificate(folder: Path) -> None:
    """What its own listeners serve."""
    now = datetime.now(UTC)
    make_ca(folder / "ca", "ca", "Pebble's listeners", now=now)
    key = generate_key(KeyKind.P_256)
    names = RequestedNames(common_name="localhost", dns_names=("localhost",))
    request = build_csr(key, names, usages=(Usage.TLS_SERVER,))
    authority = load_ca(folder / "ca", "ca")
    leaf = issue(authority, request, profile=Profile.TLS_SERVER, now=now)
    save_key(folder / "api.key", key)
    (folder / "api.pem").write_bytes(Bundle(leaf=leaf).pem())
