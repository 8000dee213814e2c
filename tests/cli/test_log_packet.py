"""``log verify-packet``: what whoever gets a packet finds, without a node of their own."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest
from ended import Cli
from test_log_proof import seal

from node.audit_site import audit_site
from node.governance.evidence import of_filter
from node.governance.packet import Packing, pack
from node.ledger.filter import LedgerFilter
from node.ledger.private import load_key
from node.ledger.sealed_proof import prove_entry
from node.opened import opened_home
from node.settings import NodeHome, load_settings


@pytest.fixture
def packet(home: NodeHome, cli: Cli, tmp_path: Path) -> tuple[Path, str]:
    """A packet of a sealed log, and the log's verifier key."""
    seal(home, 3)
    vkey = cli("log", "checkpoint", "--json").json["vkeys"][0]
    with opened_home(home, load_settings(home)) as opened:
        packing = Packing(
            prove=lambda number: prove_entry(home.log, number),
            vkeys=lambda: (vkey,),
            site=audit_site(opened.settings),
        )
        content = of_filter(opened.engine, LedgerFilter(kind="heartbeat"), load_key(home.path))
        data = pack(content, packing, by="ida", now=opened.clock.now()).data
    path = tmp_path / "packet.zip"
    path.write_bytes(data)
    return path, vkey


def test_a_packet_holds_under_the_logs_key_and_no_other(
    cli: Cli, packet: tuple[Path, str], tmp_path: Path
) -> None:
    path, vkey = packet
    ended = cli("log", "verify-packet", path, "--vkey", vkey, "--json")
    assert ended.code == 0, ended.err
    assert (ended.json["proved"], ended.json["problems"], ended.json["own_key"]) == (3, [], False)
    ended = cli("log", "verify-packet", path)
    assert ended.code == 0
    assert "cannot vouch for itself" in ended.err
    changed = tmp_path / "changed.zip"
    with (
        zipfile.ZipFile(io.BytesIO(path.read_bytes())) as old,
        zipfile.ZipFile(changed, "w") as new,
    ):
        for name in old.namelist():
            data = old.read(name)
            new.writestr(name, data.replace(b"heartbeat", b"heartbeet"))
    ended = cli("log", "verify-packet", changed, "--vkey", vkey)
    assert ended.code == 1
    assert "is not what the manifest says" in ended.out


def test_what_is_no_packet_is_refused(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "packet.zip"
    path.write_bytes(b"no zip")
    ended = cli("log", "verify-packet", path)
    assert ended.code != 0
    assert "log-packet-invalid" in ended.err
