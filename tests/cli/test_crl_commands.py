"""``tefca-node crl`` and the revocation rules of ``anchor``, as an operator uses them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from ended import Cli

from node.settings import NodeHome
from node.setup import load_ca
from trust.ca_crl import issue_crl
from trust.certificates import load_certificates
from trust.crl_sources import distribution_points


@pytest.fixture
def crl(authority: Path, tmp_path: Path):
    """``crl(number=1, revoked=(...))`` writes a CRL of the development CA and gives its file."""

    def write(number: int = 1, *revoked: int, age: timedelta = timedelta(0)) -> Path:
        made = datetime.now(UTC) - age
        signed = issue_crl(
            load_ca(authority, "ca"), dict.fromkeys(revoked, made), number=number, now=made
        )
        file = tmp_path / f"{number}.crl"
        file.write_bytes(signed.public_bytes(Encoding.PEM if number % 2 else Encoding.DER))
        return file

    return write


def test_a_crl_is_imported_listed_and_shown(cli: Cli, home: NodeHome, crl) -> None:
    assert "There is no CRL" in cli("crl", "list").out
    assert cli("crl", "import", crl(1, 0xABCDEF)).code == 0
    ended = cli("crl", "list", "--json")
    assert ended.code == 0
    (row,) = ended.json["crls"]
    assert (row["number"], row["entries"], row["state"], row["kind"]) == (1, 1, "fresh", "base")
    assert row["anchor"]
    shown = cli("crl", "show", row["digest"][:12])
    assert "abcdef unspecified" in shown.out
    asked = cli("crl", "show", row["digest"], "--serial", "00:AB:CD:EF", "--json")
    assert (asked.code, asked.json["revoked"]) == (1, True)
    assert cli("crl", "show", row["digest"], "--serial", "12").code == 0
    assert cli("crl", "show", "0000").code == 1


def test_an_older_crl_is_refused_and_the_newer_one_stays(cli: Cli, home: NodeHome, crl) -> None:
    cli("crl", "import", crl(4, 0xABCDEF))
    ended = cli("crl", "import", crl(3))
    assert ended.code == 4
    assert "crl-rollback" in ended.err
    (row,) = cli("crl", "list", "--json").json["crls"]
    assert (row["number"], row["entries"]) == (4, 1)


def test_a_crl_of_a_ca_that_we_do_not_trust_is_refused(
    cli: Cli, home: NodeHome, tmp_path: Path
) -> None:
    cli("ca", "create", tmp_path / "other", "--name", "Other CA")
    made = datetime.now(UTC)
    other = issue_crl(load_ca(tmp_path / "other", "ca"), {}, number=1, now=made)
    file = tmp_path / "other.crl"
    file.write_bytes(other.public_bytes(Encoding.DER))
    assert "crl-issuer-mismatch" in cli("crl", "import", file).err
    assert cli("crl", "list", "--json").json["crls"] == []


def test_a_late_crl_is_not_good(cli: Cli, home: NodeHome, crl) -> None:
    cli("crl", "import", crl(1, age=timedelta(days=7.5)))
    ended = cli("crl", "list", "--json")
    assert ended.code == 1
    assert ended.json["crls"][0]["state"] == "stale"


def test_an_anchor_has_a_rule_that_can_be_changed(cli: Cli, home: NodeHome) -> None:
    (row,) = cli("anchor", "list", "--json").json
    assert row["revocation"] == {
        "policy": "prefer-crl-then-ocsp",
        "unknown": "soft",
        "grace_hours": 24.0,
        "short_lived_days": 7.0,
    }
    ended = cli(
        "anchor", "set", row["fingerprint"][:12], "--revocation", "require-crl",
        "--unknown", "hard", "--grace", "12",
    )  # fmt: skip
    assert ended.code == 0
    assert "require-crl, unknown hard, grace 12 h" in ended.out
    (row,) = cli("anchor", "list", "--json").json
    assert row["revocation"]["policy"] == "require-crl"
    assert row["revocation"]["short_lived_days"] == 7.0


def test_anchor_add_takes_a_rule(cli: Cli, home: NodeHome, tmp_path: Path) -> None:
    cli("ca", "create", tmp_path / "other", "--name", "Other CA")
    ended = cli(
        "anchor", "add", tmp_path / "other" / "ca.pem", "--revocation", "short-lived-exempt",
        "--short-lived", "2", "--unknown", "hard",
    )  # fmt: skip
    assert ended.code == 0
    rows = {row["label"]: row["revocation"] for row in cli("anchor", "list", "--json").json}
    assert rows["Other CA"]["policy"] == "short-lived-exempt"
    assert rows["Other CA"]["short_lived_days"] == 2.0


# --- a CA that revokes --------------------------------------------------------------------------


def test_the_development_ca_revokes_and_its_crls_go_on(
    cli: Cli, home: NodeHome, tmp_path: Path
) -> None:
    cli("ca", "create", tmp_path / "own", "--name", "Own CA")
    cli("anchor", "add", tmp_path / "own" / "ca.pem")
    cli(
        "ca", "issue", home.keys / "client.csr", "--for", "client", "--ca", tmp_path / "own",
        "--out", tmp_path / "client.pem", "--crl-url", "http://ca.example/own.crl",
    )  # fmt: skip
    leaf = load_certificates(tmp_path / "client.pem")[0]
    assert distribution_points(leaf) == ("http://ca.example/own.crl",)
    file = tmp_path / "own.crl"
    for entries in (0, 1):
        ended = cli("ca", "crl", "--ca", tmp_path / "own", "--out", file)
        assert f"has {entries} entries" in ended.out
        assert cli("crl", "import", file).code == 0
        ended = cli("ca", "revoke", tmp_path / "client.pem", "--ca", tmp_path / "own")
        assert ("revoked already" in ended.out) == bool(entries)
    (row,) = cli("crl", "list", "--json").json["crls"]
    assert (row["number"], row["entries"]) == (2, 1)
    refused = cli("ca", "revoke", home.keys / "server.pem", "--ca", tmp_path / "own")
    assert "ca-not-issuer" in refused.err


def test_crl_fetch_without_sources_says_so_and_a_source_that_fails_is_not_good(
    cli: Cli, home: NodeHome
) -> None:
    assert "No source is known" in cli("crl", "fetch").out
    with home.settings_file.open("a") as settings:
        settings.write('\n[revocation]\ncrl_urls = ["http://127.0.0.1:9/x.crl"]\n')
    ended = cli("crl", "fetch", "--json")
    assert ended.code == 1
    assert [row["outcome"] for row in ended.json] == ["fetch-address-refused"]


def test_cert_plan_and_doctor_know_crls(cli: Cli, home: NodeHome, crl) -> None:
    def revocation():
        return [r for r in cli("doctor", "--json").json if r["check"] == "revocation"]

    (row,) = revocation()
    assert row["status"] == "warn"
    assert "there is no CRL" in row["sentence"]
    cli("crl", "import", crl(1))
    (row,) = revocation()
    assert row["status"] == "ok"
    plan = [row for row in cli("cert", "plan", "--json").json if row["kind"] == "crl"]
    assert [row["level"] for row in plan] == ["ok"]
    cli("crl", "import", crl(2, age=timedelta(days=7.5)))
    (name,) = {row["fingerprint"] for row in cli("anchor", "list", "--json").json}
    for unknown, status in (("soft", "warn"), ("hard", "fail")):
        cli("anchor", "set", name, "--unknown", unknown)
        (row,) = revocation()
        assert row["status"] == status
        assert "should have been renewed" in row["sentence"]
        assert row["next_step"]
    plan = [row for row in cli("cert", "plan", "--json").json if row["kind"] == "crl"]
    assert [row["level"] for row in plan] == ["expired"]
