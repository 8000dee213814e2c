"""Certificates from a real ACME server (Pebble) with external account binding, by the commands."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from ended import Cli

from node.identity import Role, identity_files
from node.renewal_pace import CAP, FIRST, forget_failures, note_failure, waits_until
from node.settings import NodeHome
from tests.pebble import EAB_KEY, Pebble
from trust.certificates import load_certificates, san_hosts
from trust.keys import spki_sha256

HOST = "lake.example"


@pytest.fixture
def enrolling(cli: Cli, home: NodeHome, pebble: Pebble, tmp_path: Path, monkeypatch):
    """The test's home with Pebble in its settings, trusted; ``more`` are further settings."""

    def enrolling(**more: object) -> None:
        monkeypatch.setenv("TEFCA_NODE_ACME_EAB_KEY", EAB_KEY)
        text = home.settings_file.read_text().replace("https://localhost:8443", f"https://{HOST}")
        home.settings_file.write_text(text + pebble.settings(**more))
        root = tmp_path / "root.pem"
        root.write_bytes(pebble.root())
        assert cli("anchor", "add", root, "--label", "Pebble").code == 0

    return enrolling


def states(cli: Cli) -> dict[int, str]:
    rows = cli("cert", "status", "server", "--json").json
    return {row["version"]: row["state"] for row in rows}


def test_a_server_certificate_by_http_01(cli: Cli, home: NodeHome, enrolling):
    enrolling()
    before = load_certificates(identity_files(home, Role.SERVER).certificate)[0]
    dry = cli("cert", "enrol", "server", "--dry-run")
    assert (dry.code, "Nothing was changed." in dry.out) == (0, True)
    assert states(cli) == {1: "active"}

    done = cli("cert", "enrol", "server")
    assert done.code == 0, done.err
    assert states(cli) == {1: "active", 2: "verified"}  # its key waits for peers to pin it
    assert cli("cert", "switch", "server").code == 0
    leaf = load_certificates(identity_files(home, Role.SERVER).certificate)[0]
    assert san_hosts(leaf) == {HOST}
    assert spki_sha256(leaf) != spki_sha256(before)
    assert (home.keys / "acme-account.key").stat().st_mode & 0o777 == 0o600

    again = cli("cert", "enrol", "server", "--same-key")  # the account is known by now
    assert again.code == 0, again.err
    assert states(cli)[3] == "active"
    renewed = load_certificates(identity_files(home, Role.SERVER).certificate)[0]
    assert (spki_sha256(renewed), renewed == leaf) == (spki_sha256(leaf), False)
    assert "server: not due." in cli("cert", "renew").out


def test_a_server_certificate_by_dns_01(
    cli: Cli, home: NodeHome, enrolling, pebble: Pebble, tmp_path: Path
):
    hook, log = tmp_path / "hook", tmp_path / "hook.log"
    hook.write_text(f"""#!{sys.executable}
import json, sys, urllib.request
verb, name, value = sys.argv[1:]
open({str(log)!r}, "a").write(f"{{verb}} {{name}}\\n")
path = "set-txt" if verb == "add" else "clear-txt"
body = json.dumps({{"host": name + ".", "value": value}}).encode()
urllib.request.urlopen("{pebble.dns}/" + path, body)
""")
    hook.chmod(0o700)
    enrolling(challenge="dns-01", dns_hook=str(hook))
    done = cli("cert", "enrol", "server", "--switch")
    assert done.code == 0, done.err
    leaf = load_certificates(identity_files(home, Role.SERVER).certificate)[0]
    assert san_hosts(leaf) == {HOST}
    assert log.read_text().splitlines() == [
        f"add _acme-challenge.{HOST}", f"remove _acme-challenge.{HOST}",
    ]  # fmt: skip


def test_a_ca_that_is_not_trusted_is_refused_as_by_hand(cli: Cli, home: NodeHome, enrolling):
    enrolling()
    (print_,) = [a["fingerprint"] for a in cli("anchor", "list", "--json").json
                 if a["label"] == "Pebble"]  # fmt: skip
    cli("anchor", "remove", print_)
    refused = cli("cert", "enrol", "server")
    assert (refused.code, "Refused:" in refused.err) == (1, True)
    assert states(cli) == {1: "active", 2: "csr-issued"}


def test_without_the_external_account_nothing_is_issued(
    cli: Cli, home: NodeHome, enrolling, monkeypatch
):
    enrolling()
    monkeypatch.setenv("TEFCA_NODE_ACME_EAB_KEY", "AAAA")
    wrong = cli("cert", "enrol", "server")
    assert (wrong.code, "acme-failed" in wrong.err) == (5, True)
    assert "AAAA" not in wrong.flat
    monkeypatch.delenv("TEFCA_NODE_ACME_EAB_KEY")
    missing = cli("cert", "enrol", "server")
    assert (missing.code, "acme-not-set" in missing.err) == (3, True)


def test_renewing_backs_off_after_a_failure(cli: Cli, home: NodeHome, enrolling):
    enrolling(directory_url="https://localhost:9/dir")  # nobody listens there
    failed = cli("cert", "renew")
    assert (failed.code, "The next try is from" in failed.err) == (1, True)
    later = cli("cert", "renew")
    assert (later.code, "the last try failed" in later.out) == (1, True)
    assert states(cli) == {1: "active"}


def test_the_wait_doubles_up_to_a_day_and_ends_with_a_success(home: NodeHome):
    now = datetime(2026, 11, 24, tzinfo=UTC)
    waits = [note_failure(home, Role.SERVER, now=now) - now for _ in range(8)]
    assert waits[:4] == [FIRST, 2 * FIRST, 4 * FIRST, 8 * FIRST]
    assert waits[-1] == CAP == timedelta(days=1)
    assert waits_until(home, Role.SERVER) == now + CAP
    forget_failures(home, Role.SERVER)
    assert waits_until(home, Role.SERVER) is None


def test_acme_is_for_host_names(cli: Cli):
    for role in ("saml", "fhir-T-TRTMNT", "log"):
        assert cli("cert", "enrol", role).code == 2
    unset = cli("cert", "enrol", "server")
    assert (unset.code, "acme-not-set" in unset.err) == (3, True)
