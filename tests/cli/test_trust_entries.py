"""Every command that changes whom we trust leaves its entries in the log (issue 3, point 8)."""

from __future__ import annotations

import os
import pwd
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from ended import HCID, Cli

from node.identity import Role, version_files
from node.settings import NodeHome
from node.setup import load_ca
from trust.anchors import load_anchors
from trust.ca_crl import issue_crl

USER = pwd.getpwuid(os.getuid()).pw_name
SPKI = "ab" * 32


def entries(cli: Cli, *conditions: str) -> list[dict[str, object]]:
    found = cli("log", "find", "--json", *conditions).json["entries"]
    return list(reversed(found))


def acts(cli: Cli, *conditions: str) -> list[str]:
    return [f"{entry['act']} {entry['step']}" for entry in entries(cli, *conditions)]


def both(act: str) -> list[str]:
    return [f"{act} begun", f"{act} done"]


def test_anchors_that_are_added_and_removed(cli: Cli, home: NodeHome, authority: Path) -> None:
    (anchor,) = load_anchors(home.anchors)
    assert cli("anchor", "remove", anchor.fingerprint[:10]).code == 0
    assert cli("anchor", "add", authority / "ca.pem", "--use", "tls-server").code == 0
    assert cli("anchor", "add", authority / "ca.pem").code == 3  # it is there
    assert acts(cli, "--kind", "cert") == [
        *both("anchor-remove"), *both("anchor-add"), "anchor-add begun", "anchor-add failed",
    ]  # fmt: skip
    done, failed = entries(cli)[3], entries(cli)[5]
    short = anchor.fingerprint[:16]
    assert done["sentence"] == f"The CA {short} is trusted for tls-server."
    assert (done["begun"], done["by"]) == (2, "operator")
    assert (failed["reason"], failed["begun"]) == ("anchor-exists", 4)
    shown = cli("log", "show", "3", "--json").json
    assert shown["private"]["who"]["user_id"] == USER
    assert shown["private"]["wire"]["network"] == "tefca"
    assert shown["findings"] == []


def test_what_a_table_says_of_a_change(cli: Cli, joined: Path) -> None:
    assert joined.exists()
    cli("peer", "suspend", HCID, "--reason", "A canary.")
    table = cli("log", "find", "--act", "peer-suspend").out
    assert "2.999.71 is suspended: it is neither asked nor answered." in table
    assert "Begun: suspending 2.999.71." in cli("log", "tail").out
    shown = cli("log", "show", "3").out
    assert shown.startswith("2.999.71 is suspended")
    assert "A canary." in shown
    assert "canary" not in table
    assert cli("log", "find", "--act", "peer-forgive").code == 2
    assert cli("log", "find", "--kind", "gossip").code == 2


def test_an_import_says_whose_entries_and_how_many(cli: Cli, joined: Path) -> None:
    begun, done = entries(cli, "--kind", "directory")
    assert begun["source"] == done["source"] == "self"
    assert (done["added"], done["removed"], done["left_out"]) == (1, 0, 0)
    assert cli("directory", "import", joined, joined, "--source", "self").code == 0
    assert cli("directory", "import", joined.parent / "none.json").code != 0
    assert acts(cli)[-2:] == ["directory-import begun", "directory-import failed"]


def test_decisions_about_an_organisation(cli: Cli, joined: Path) -> None:
    assert joined.exists()
    for words in (
        ("pin", HCID, "--spki", SPKI, "--use", "tls"),
        ("pin", HCID, "--spki", SPKI, "--use", "tls"),  # it is there: nothing changes
        ("unpin", HCID, "--spki", SPKI),
        ("suspend", HCID, "--reason", "audit"),
        ("resume", HCID),
        ("profile", HCID, "documents_per_retrieve=2"),
        ("profile", HCID),
    ):
        assert cli("peer", *words).code == 0
    assert cli("peer", "unpin", HCID, "--spki", SPKI).code == 1
    assert cli("peer", "profile", HCID, "no_such=1").code == 3
    assert acts(cli, "--peer", HCID) == [
        *both("key-pin"), *both("key-unpin"), *both("peer-suspend"), *both("peer-resume"),
        *both("profile-change"), "profile-change begun", "profile-change failed",
    ]  # fmt: skip
    pinned = entries(cli, "--act", "key-pin")[-1]
    assert pinned["sentence"] == f"The key {SPKI[:16]} is pinned to 2.999.71 for tls."
    assert len(entries(cli, "--user", USER)) == 2 + 12
    assert entries(cli, "--user", "somebody") == []


def test_a_local_client(cli: Cli, tmp_path: Path) -> None:
    assert cli("client", "add", "ehr-canary", "--out", tmp_path / "client").code == 0
    assert acts(cli) == both("client-add")
    assert "thing" in entries(cli)[1]
    assert "canary" not in str(entries(cli))


def test_a_new_home_begins_with_whom_it_trusts(cli: Cli, tmp_path: Path, authority: Path) -> None:
    new = tmp_path / "new"
    words = ("init", "--name", "N", "--hcid", "2.999.75", "--development-ca", authority)
    assert cli(*words, at=new).code == 0
    found = list(reversed(cli("log", "find", "--json", at=new).json["entries"]))
    assert [f"{entry['act']} {entry['step']}" for entry in found] == [
        "anchor-add done", "client-add done", *both("anchor-add"), *["identity-switch done"] * 3,
    ]  # fmt: skip
    assert [entry["role"] for entry in found[4:]] == ["server", "client", "saml"]
    assert [entry["seq"] for entry in found] == list(range(7))


def test_the_life_of_an_identity(cli: Cli, home: NodeHome, authority: Path, tmp_path: Path) -> None:
    """Requested, imported, switched, retired, compromised (facts: pki A2)."""
    assert cli("cert", "request", "server").code == 0
    request, issued = version_files(home, Role.SERVER, 2).request, tmp_path / "server.pem"
    assert (
        cli("ca", "issue", request, "--for", "server", "--ca", authority, "--out", issued).code == 0
    )
    assert cli("cert", "import", "server", issued, "--stage", "--dry-run").code == 0
    assert cli("cert", "import", "server", issued, "--stage").code == 0
    assert cli("cert", "import", "server", issued, "--stage").code == 1  # it is there
    assert cli("cert", "switch", "server", "--dry-run").code == 0
    assert cli("cert", "switch", "server").code == 0
    retire = ("cert", "retire", "server", "--version", "1")
    assert cli(*retire, "--dry-run").code == 0
    assert cli(*retire, "--reason", "A canary.").code == 0
    assert cli("cert", "retire", "server", "--version", "2", "--compromised").code == 0
    assert acts(cli, "--kind", "cert") == [
        *both("identity-request"), *both("identity-import"),
        "identity-import begun", "identity-import failed",
        *both("identity-switch"), *both("identity-retire"), *both("identity-compromise"),
    ]  # fmt: skip
    found = entries(cli)
    assert {entry["role"] for entry in found} == {"server"}
    keys = [entry["key"] for entry in found if entry["step"] == "done"]
    assert len(set(keys)) == 2  # the first one's is retired, all others are of the second
    assert [entry["ver"] for entry in found if entry["step"] == "done"] == [2, 2, 2, 1, 2]
    assert found[5]["reason"] == "certificate-duplicate"
    assert "canary" not in str(found)


def test_a_log_key(cli: Cli) -> None:
    assert cli("cert", "request", "log").code == 0  # the home was made with one in use
    assert cli("cert", "switch", "log", "--dry-run").code == 0
    assert cli("cert", "switch", "log").code == 0
    assert acts(cli) == [
        *both("key-make"), *both("identity-switch"),
    ]  # fmt: skip
    assert {entry["role"] for entry in entries(cli)} == {"log"}


def test_a_fhir_client(cli: Cli) -> None:
    assert cli("cert", "request", "fhir", "--purpose", "T-TRTMNT").code == 0
    assert [entry["role"] for entry in entries(cli)] == ["fhir-T-TRTMNT"] * 2


def test_revocation_lists(cli: Cli, authority: Path, tmp_path: Path) -> None:
    signer = load_ca(authority, "ca")
    files = []
    for number in (1, 2):
        now = datetime.now(UTC) - timedelta(minutes=10 - number)
        crl = issue_crl(signer, {}, number=number, now=now)
        files.append(tmp_path / f"{number}.crl")
        files[-1].write_bytes(crl.public_bytes(Encoding.DER))
    for number, code in ((1, 0), (2, 0), (1, None)):
        ended = cli("crl", "import", files[number - 1])
        assert code is None or ended.code == code
    assert acts(cli) == [
        *both("crl-accept"), *both("crl-accept"), "crl-accept begun", "crl-accept failed",
    ]  # fmt: skip
    accepted, refused = entries(cli)[3], entries(cli)[5]
    assert "thing" in accepted
    assert refused["reason"] == "crl-rollback"


def test_the_rule_of_an_anchor(cli: Cli, home: NodeHome) -> None:
    (anchor,) = load_anchors(home.anchors)
    assert cli("anchor", "set", anchor.fingerprint[:8], "--unknown", "hard").code == 0
    assert acts(cli) == both("anchor-change")
    shown = cli("log", "show", "1", "--json").json
    assert shown["private"]["wire"]["revocation"]["unknown"] == "hard"


def test_a_dry_run_writes_nothing(cli: Cli) -> None:
    for words in (("request", "--dry-run"), ("request", "log", "--dry-run")):
        assert cli("cert", *words).code == 0
    assert entries(cli) == []


@pytest.mark.parametrize(
    ("words", "kept"),
    [
        (("peer", "suspend", HCID, "--reason", "audit"), "active"),
        (("peer", "pin", HCID, "--spki", SPKI), "active"),
    ],
)
def test_a_full_log_stops_the_change_with_a_clear_error(
    cli: Cli, home: NodeHome, joined: Path, words: tuple[str, ...], kept: str
) -> None:
    assert joined.exists()
    fill(home, after=2)
    ended = cli(*words)
    assert ended.code == 3
    assert "nothing was changed" in ended.err
    assert "trust-change-unrecorded" in ended.err
    assert cli("directory", "find", HCID, "--json").json[0]["state"] == kept
    assert cli("directory", "show", HCID, "--json").json["pins"] == []


def test_a_log_that_fills_up_between_tells_that_the_change_was_made(
    cli: Cli, home: NodeHome, joined: Path
) -> None:
    assert joined.exists()
    fill(home, after=3)
    ended = cli("peer", "suspend", HCID, "--reason", "audit")
    assert ended.code == 3
    assert "was made, but" in " ".join(ended.err.split())
    assert acts(cli)[2:] == ["peer-suspend begun"]
    assert cli("directory", "find", HCID, "--json").json[0]["state"] == "suspended"


def fill(home: NodeHome, *, after: int) -> None:
    """Let the database take no more entries than so many."""
    with sqlite3.connect(home.path / "node.db") as database:
        database.execute(
            "CREATE TRIGGER full BEFORE INSERT ON ledger_entry WHEN "
            f"(SELECT count(*) FROM ledger_entry) >= {after} "
            "BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END"
        )
    database.close()
