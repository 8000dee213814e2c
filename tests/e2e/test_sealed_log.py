"""A serving node seals its log: under load, after SIGKILL, at its end, and over the year's end."""

from __future__ import annotations

import asyncio
import http.client
import shutil
import ssl
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from asking import ask_once
from node_network import Network, Site, cda, serving, start

from node.app import Composition
from node.errors import OurFault
from node.identity import LogKey, Role, identity_files
from node.ledger.entry_source import write_heartbeat
from node.ledger.log_files import LogFolder
from node.ledger.private import load_key
from node.ledger.sealer import verifier_key
from node.ledger.tlog.audit import audit, examine
from node.ledger.tlog.checkpoint import Checkpoint
from node.ledger.tlog.note import KeyType, VerifierKey
from node.ledger.tlog.policy import accept, of_log
from node.log_keys import log_signers
from node.log_origin import origin_of
from node.opened import opened_home
from node.yearly_sealer import YearlySealer
from trust.certificates import load_certificates
from trust.keys import spki_sha256

pytestmark = pytest.mark.e2e


@pytest.fixture
def network(tmp_path) -> Network:
    network = Network(tmp_path)
    network.add("asker")
    network.add("hub")
    network.join()
    network.load("hub", {"one.xml": cda(1)})
    return network


def log_folder(site: Site) -> Path:
    (folder,) = [path for path in site.home.log.iterdir() if path.name.isdigit()]
    return folder


def published(site: Site, folder: Path) -> Checkpoint:
    data = (folder / "checkpoint").read_bytes()
    (signer,) = log_signers(site.home, site.settings, now=datetime.now(UTC))
    key = VerifierKey(
        name=origin_of(site.settings, int(folder.name)),
        kind=KeyType.ED25519_NOTE,
        public=signer.public_key.public_bytes_raw(),
    )
    return accept(of_log(key), data).checkpoint


def check(site: Site, folder: Path, first: int = 0) -> Checkpoint:
    """The log holds, and its entries are those of the database."""
    point, stored = published(site, folder), site.log()

    def compare(start, entries):
        return [
            (start + n, "Another entry.")
            for n, entry in enumerate(entries)
            if entry != stored[first + start + n].data
        ]

    reader = LogFolder(folder)
    batches = (examine(reader, n, point.size, compare) for n in range(-(-point.size // 256)))
    *_, result = audit(reader, point, batches)
    assert result.findings == []
    return point


def wait_for(site: Site, pattern: str) -> None:
    """Wait until the log has a file; the test's own time limit is the patience."""
    while not any(site.home.log.glob(pattern)):
        time.sleep(0.1)


async def test_a_node_seals_what_it_exchanged_also_after_sigkill(network: Network) -> None:
    hub, asker = network.sites["hub"], network.sites["asker"]
    async with Composition().initiator(asker.home, asker.settings) as initiator:
        running = await asyncio.to_thread(start, hub)
        try:
            await ask_once(initiator, asker, hub)
            await asyncio.to_thread(wait_for, hub, "*/checkpoints/*")
        finally:
            running.kill()
        folder = log_folder(hub)
        assert check(hub, folder).size >= 1
        running = await asyncio.to_thread(start, hub)
        try:
            await ask_once(initiator, asker, hub)
        finally:
            running.stop()
    # the last pass is made after the last answer
    assert check(hub, folder).size == len(hub.log())
    assert len(hub.ledger()) == 2


def test_a_home_without_a_log_key_gets_one_when_it_serves(network: Network) -> None:
    hub = network.sites["hub"]
    shutil.rmtree(hub.home.keys / LogKey.LOG)
    with serving(hub) as running:
        pass
    assert "This home had no key to sign its log with; one was made." in running.log.read_text()
    made = [entry for entry in hub.log() if entry.fields.get("role") == LogKey.LOG]
    assert [entry.fields["act"] for entry in made] == ["key-make", "key-make"]
    assert check(hub, log_folder(hub)).size == len(hub.log())


class _At:
    def __init__(self, year: int) -> None:
        self.year = year

    def now(self) -> datetime:
        return datetime(self.year, 6, 1, tzinfo=UTC)


def seal_in(site: Site, year: int, beats: int) -> None:
    """As a process that serves in a year: some heartbeats, one pass."""
    with opened_home(site.home, site.settings) as opened:
        sealer = YearlySealer(replace(opened, clock=_At(year)))
        key = load_key(site.home.path)
        now = datetime(year, 1, 1, tzinfo=UTC)
        for _ in range(beats):
            write_heartbeat(opened.engine, key, own=site.hcid, now=now)
        try:
            sealer.run()
        finally:
            sealer.close()


def test_a_new_year_begins_a_new_log_where_the_old_one_ends(network: Network) -> None:
    hub = network.sites["hub"]
    log, signed = hub.home.log, hub.home.resolve(hub.settings.log.signed)
    seal_in(hub, 2026, 3)
    seal_in(hub, 2027, 2)  # written before the year's first pass: they end the old log
    assert check(hub, log / "2026").size == 6  # and the entry that names the next one
    assert published(hub, log / "2027").size == 1  # the entry that names the former one
    seal_in(hub, 2027, 4)
    seal_in(hub, 2026, 1)  # a clock that goes back opens no old log again
    assert published(hub, log / "2026").size == 6
    assert check(hub, log / "2027", first=6).size == 6
    assert sorted(path.name for path in signed.iterdir() if path.name.isdigit()) == ["2026", "2027"]
    shutil.rmtree(log / "2027")
    with pytest.raises(
        OurFault, match="log of 2027 was signed before, and its folder is not there"
    ):
        seal_in(hub, 2027, 1)


# --- over the gateway ---------------------------------------------------------------------------


def get(site: Site, reader: Site, path: str, method: str = "GET") -> http.client.HTTPResponse:
    files = identity_files(reader.home, Role.CLIENT)
    (anchor,) = site.home.anchors.glob("*.pem")
    context = ssl.create_default_context(cafile=anchor)
    context.load_cert_chain(files.certificate, files.key)
    address = urlsplit(site.settings.listen.public_url)
    connection = http.client.HTTPSConnection(
        address.hostname or "", address.port, context=context, timeout=30
    )
    try:
        connection.request(method, path)
        response = connection.getresponse()
        response.body = response.read()  # type: ignore[attr-defined]
        return response
    finally:
        connection.close()


def test_peers_read_checkpoints_and_tiles_auditors_read_entries(network: Network) -> None:
    hub, asker = network.sites["hub"], network.sites["asker"]
    leaf = load_certificates(identity_files(asker.home, Role.CLIENT).certificate)[0]
    seal_in(hub, datetime.now(UTC).year, 300)
    folder = log_folder(hub)
    base = f"/log/{folder.name}"
    with serving(hub):
        for path in ("/log/checkpoint", f"{base}/checkpoint"):
            found = get(hub, asker, path)
            assert found.headers["content-type"] == "text/plain; charset=utf-8"
            assert found.headers["cache-control"] == "private, max-age=5"
            assert found.body.startswith(b"log.")
        found = get(hub, asker, f"{base}/tile/0/000")
        assert found.body == (folder / "tile/0/000").read_bytes()
        assert found.headers["content-type"] == "application/octet-stream"
        assert "immutable" in found.headers["cache-control"]
        assert get(hub, asker, f"{base}/checkpoints/300").status == 200
        assert get(hub, asker, f"{base}/tile/entries/000").status == 403
        for path in (
            f"{base}/state", "/log/", "/log/2026/../../keys/log/live", "/log/1999/checkpoint",
            f"{base}/tile/0/999", f"{base}/.lock", f"{base}/tile/0/%30%30%30/..",
        ):  # fmt: skip
            assert get(hub, asker, path).status == 404, path
        assert get(hub, asker, f"{base}/checkpoint", "POST").status == 405
    text = hub.home.settings_file.read_text()
    hub.home.settings_file.write_text(f'{text}\n[log]\nreaders = ["{spki_sha256(leaf)}"]\n')
    with serving(hub):
        files = identity_files(asker.home, Role.CLIENT)
        (anchor,) = hub.home.anchors.glob("*.pem")
        (signer,) = log_signers(hub.home, hub.settings, now=datetime.now(UTC))
        key = verifier_key(origin_of(hub.settings, int(folder.name)), signer)
        ended = asker.cli(
            "log", "verify", f"{hub.settings.listen.public_url}{base}", "--vkey", str(key),
            "--ca", anchor, "--cert", files.certificate, "--key", files.key,
        )  # fmt: skip
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "Everything holds." in ended.stdout
