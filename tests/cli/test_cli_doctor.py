"""Each finding of doctor, provoked once; every one that is not ok has a next step."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from ended import HCID, Cli, change

from node.identity import Role, identity_files
from node.settings import NodeHome
from node.setup import load_ca, profile_of
from trust.ca import issue
from trust.certificates import Bundle
from trust.csr import load_csr
from trust.files import write_file
from trust.trusted_time import keep_trusted_time

Provoke = Callable[[NodeHome, Path], None]


def _certificate(
    home: NodeHome, ca: Path, role: Role, *, days: int, ago: int, request: Role | None = None
) -> None:
    files = identity_files(home, role)
    certificate = issue(
        load_ca(ca, "ca"),
        load_csr(identity_files(home, request or role).request),
        profile=profile_of(role),
        now=datetime.now(UTC) - timedelta(days=ago),
        lifetime=timedelta(days=days),
    )
    write_file(files.certificate, Bundle(leaf=certificate).pem(), replace=True)


def _expired(home: NodeHome, ca: Path) -> None:
    _certificate(home, ca, Role.SERVER, days=10, ago=20)


def _soon(home: NodeHome, ca: Path) -> None:
    _certificate(home, ca, Role.SERVER, days=20, ago=10)


def _no_certificate(home: NodeHome, _: Path) -> None:
    identity_files(home, Role.CLIENT).certificate.unlink()


def _other_key(home: NodeHome, _: Path) -> None:
    client, saml = identity_files(home, Role.CLIENT), identity_files(home, Role.SAML)
    client.certificate.write_bytes(saml.certificate.read_bytes())


def _exposed(home: NodeHome, _: Path) -> None:
    identity_files(home, Role.SAML).key.chmod(0o644)


def _no_anchor(home: NodeHome, _: Path) -> None:
    for file in home.anchors.iterdir():
        file.unlink()


def _no_local_client(home: NodeHome, _: Path) -> None:
    for file in home.client_anchors.iterdir():
        file.unlink()


def _no_ledger_key(home: NodeHome, _: Path) -> None:
    (home.keys / "ledger.kek").unlink()


def _wrong_settings(home: NodeHome, _: Path) -> None:
    change(home, "[listen]", "[listening]")


def _other_hcid(home: NodeHome, _: Path) -> None:
    change(home, f'"{HCID}"', '"urn:oid:2.999.79"')


def _other_address(home: NodeHome, _: Path) -> None:
    change(home, "https://localhost:8443", "https://gateway.lake.example")


def _not_listed(home: NodeHome, _: Path) -> None:
    change(home, 'organization_id = "2.999.71"', 'organization_id = "2.999.80"')


def _clock_behind(home: NodeHome, _: Path) -> None:
    keep_trusted_time(home.trusted_time, datetime.now(UTC) + timedelta(hours=1))


def _trusted_time_damaged(home: NodeHome, _: Path) -> None:
    home.trusted_time.write_text("yesterday")


FINDINGS: dict[str, tuple[Provoke, str, str, str]] = {
    "clock behind": (_clock_behind, "clock", "fail", "exchanges nothing with such a clock"),
    "trusted time damaged": (_trusted_time_damaged, "clock", "fail", "cannot be read"),
    "expired": (_expired, "identity server", "fail", "It expired on"),
    "soon": (_soon, "identity server", "warn", "It expires in 9 days"),
    "no certificate": (_no_certificate, "identity client", "fail", "no client certificate"),
    "another key": (_other_key, "identity client", "fail", "for another key"),
    "exposed": (_exposed, "permissions", "fail", "saml.key"),
    "no anchor": (_no_anchor, "anchors", "fail", "No CA is trusted"),
    "no local client": (_no_local_client, "local clients", "warn", "No local client"),
    "no ledger key": (_no_ledger_key, "ledger key", "fail", ""),
    "wrong settings": (_wrong_settings, "settings", "fail", "listening"),
    "other HCID": (_other_hcid, "own entry", "warn", "another home community id"),
    "other address": (_other_address, "own entry", "warn", "another address for"),
    "not listed": (_not_listed, "own entry", "warn", "does not have our own entry"),
}


@pytest.mark.parametrize("name", FINDINGS)
@pytest.mark.usefixtures("joined")
def test_doctor_finds(cli: Cli, home: NodeHome, authority: Path, name: str) -> None:
    provoke, check, status, sentence = FINDINGS[name]
    provoke(home, authority)
    ended = cli("doctor", "--json")
    rows = [row for row in ended.json if row["check"] == check and row["status"] == status]
    assert len(rows) == 1, ended.out
    assert sentence in rows[0]["sentence"]
    assert rows[0]["next_step"]
    assert ended.code == (1 if any(row["status"] == "fail" for row in ended.json) else 0)


@pytest.mark.usefixtures("joined")
def test_doctor_is_content_with_a_joined_node(cli: Cli) -> None:
    ended = cli("doctor", "--json")
    wrong = {row["check"] for row in ended.json if row["status"] != "ok"}
    # the development CA publishes no CRL, and nobody is there to witness the log
    assert wrong <= {"peers", "own entry", "revocation", "log witnesses"}
    assert ended.code == 0


def test_doctor_tells_an_inactive_entry_and_one_without_purposes(cli: Cli, joined: Path) -> None:
    bundle = json.loads(joined.read_bytes())
    resource = bundle["entry"][0]["resource"]
    resource["active"] = False
    assert "lists us as inactive" in _own_entry(cli, joined, bundle)
    resource["active"] = True
    resource["extension"] = []
    assert "lists no purpose" in _own_entry(cli, joined, bundle)


def _own_entry(cli: Cli, file: Path, bundle: object) -> str:
    file.write_text(json.dumps(bundle), encoding="utf-8")
    assert cli("directory", "import", file, "--source", "self").code == 0
    (row,) = [r for r in cli("doctor", "--json").json if r["check"] == "own entry"]
    assert row["status"] == "warn"
    return str(row["sentence"])


def test_doctor_tells_whether_anybody_listens(cli: Cli, home: NodeHome) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        change(home, "[grpc]\nport = 0", f"[grpc]\nport = {port}")
        assert _port(cli) == "warn"
        listener.listen()
        assert _port(cli) == "ok"


def _port(cli: Cli) -> str:
    (row,) = [r for r in cli("doctor", "--json").json if r["check"] == "gRPC port"]
    return str(row["status"])


def test_doctor_without_a_home_says_how_to_make_one(cli: Cli, tmp_path: Path) -> None:
    ended = cli("doctor", at=tmp_path)
    assert ended.code == 1
    assert "tefca-node init" in ended.flat


@pytest.mark.usefixtures("joined")
def test_doctor_prints_the_next_step_below_the_finding(cli: Cli, home: NodeHome) -> None:
    _no_certificate(home, Path())
    ended = cli("doctor")
    assert ended.code == 1
    assert "There is no client certificate. next: `cert request client`" in ended.flat


def test_a_home_is_its_owners_and_one_that_all_may_read_is_told(cli: Cli, home: NodeHome) -> None:
    assert home.path.stat().st_mode & 0o777 == 0o700
    assert cli("log", "find").code == 0  # the database is there now, for all to read by itself
    (home.path / "node.db").chmod(0o644)
    assert "warn permissions" not in cli("doctor").flat
    home.path.chmod(0o755)
    ended = cli("doctor")
    assert "warn permissions Others on this machine may read what is about patients: node.db" in (
        ended.flat
    )
    assert f"chmod 700 {home.path}" in ended.flat
