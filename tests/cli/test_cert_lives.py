"""One identity per role, from request to retirement, by the commands (issue 3, point 1)."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import typer
from cryptography import x509
from ended import HCID, Cli

from node.cli.cert import app
from node.expiry_calendar import seconds_left
from node.identity import FhirClient, LogKey, Role, identity_files, passphrase, version_files
from node.identity_store import begin, changing
from node.log_keys import log_signers
from node.settings import NodeHome, load_settings
from trust.ca import Profile, create_ca, issue
from trust.certificates import Bundle, load_certificates
from trust.csr import RequestedNames, build_csr, describe_csr, load_csr
from trust.keys import KeyKind, generate_key, load_key, spki_sha256

CLIENT = FhirClient("T-TRTMNT")


def tree(home: NodeHome) -> dict[str, bytes]:
    """Every file under keys/ with its bytes, links with their target."""
    return {
        str(path.relative_to(home.path)): str(path.readlink()).encode()
        if path.is_symlink()
        else path.read_bytes()
        for path in sorted(home.keys.rglob("*"))
        if path.is_symlink() or path.is_file()
    }


@pytest.fixture
def issued(cli: Cli, home: NodeHome, authority: Path, tmp_path: Path):
    """Have the newest request of an identity issued by the CA that the home trusts."""

    def issued(identity: Role | FhirClient, version: int) -> Path:
        request = version_files(home, identity, version).request
        out = tmp_path / f"{identity}-{version}.pem"
        use = "fhir" if isinstance(identity, FhirClient) else identity
        done = cli("ca", "issue", request, "--for", use, "--ca", authority, "--out", out)
        assert done.code == 0, done.err
        return out

    return issued


def states(cli: Cli, identity: str) -> dict[int, str]:
    rows = cli("cert", "status", identity, "--json").json
    return {row["version"]: row["state"] for row in rows}


@pytest.mark.parametrize("word", ["import", "install"])
def test_a_server_identity_from_request_to_retirement(cli: Cli, home: NodeHome, issued, word: str):
    before = identity_files(home, Role.SERVER).certificate.read_bytes()
    assert cli("cert", "request", "server").code == 0
    assert states(cli, "server") == {1: "active", 2: "csr-issued"}
    file = issued(Role.SERVER, 2)

    staged = cli("cert", word, "server", file)
    assert staged.code == 0, staged.err
    assert "cert switch server" in staged.flat
    assert states(cli, "server") == {1: "active", 2: "verified"}
    assert identity_files(home, Role.SERVER).certificate.read_bytes() == before

    assert cli("cert", "switch", "server").code == 0
    assert states(cli, "server") == {1: "retiring", 2: "active"}
    assert cli("cert", "switch", "server", "--version", 1).code == 0
    assert cli("cert", "switch", "server", "--version", 2).code == 0
    assert cli("cert", "retire", "server", "--version", 2).code == 3  # it is in use
    assert cli("cert", "retire", "server", "--version", 1, "--reason", "renewed").code == 0
    assert states(cli, "server") == {1: "retired", 2: "active"}
    assert not version_files(home, Role.SERVER, 1).key.exists()


def test_every_step_tried_dry_writes_nothing(cli: Cli, home: NodeHome, issued):
    def dry(*words: object) -> None:
        before = tree(home)
        ended = cli(*words, "--dry-run")
        assert ended.code == 0, ended.err
        assert "Nothing was changed." in ended.out
        assert tree(home) == before

    for role in (*Role, *LogKey):
        dry("cert", "request", role)
    dry("cert", "request", "fhir", "--purpose", "T-TRTMNT")
    cli("cert", "request", "server")
    file = issued(Role.SERVER, 2)
    for word in ("import", "install"):
        dry("cert", word, "server", file)
        dry("cert", word, "server", file, "--switch")
    cli("cert", "import", "server", file)
    dry("cert", "switch", "server")
    cli("cert", "switch", "server")
    dry("cert", "retire", "server", "--version", 1)
    dry("cert", "retire", "server", "--version", 2, "--compromised")
    cli("cert", "request", "log")
    cli("cert", "request", "log")
    dry("cert", "switch", "log")
    dry("cert", "retire", "log", "--version", 2)


def test_every_writing_command_of_cert_can_be_tried_dry():
    group = typer.main.get_command(app)
    reading = {"status", "show", "inspect", "plan"}
    for name, command in group.commands.items():  # type: ignore[attr-defined]
        options = {opt for each in command.params for opt in each.opts}
        assert ("--dry-run" in options) == (name not in reading), name


def test_a_fhir_client_for_each_purpose(cli: Cli, home: NodeHome, issued):
    settings = load_settings(home)
    asked = cli("cert", "request", "fhir", "--purpose", "T-TRTMNT", "--purpose", "T-PYMNT")
    assert asked.code == 0, asked.err
    uris = set()
    for purpose in ("T-TRTMNT", "T-PYMNT"):
        request = describe_csr(load_csr(version_files(home, FhirClient(purpose), 1).request))
        assert request["dns_names"] == []
        assert request["key"] == "rsa-3072"
        uris.update(request["uris"])  # type: ignore[call-overload]
    assert uris == {
        f"{settings.listen.public_url}/fhir-client/T-TRTMNT",
        f"{settings.listen.public_url}/fhir-client/T-PYMNT",
    }
    file = issued(CLIENT, 1)
    wrong = cli("cert", "import", "fhir-T-PYMNT", file)
    assert (wrong.code, "key-mismatch" in wrong.err) == (1, True)
    assert "certificate-name-missing" in wrong.err
    taken = cli("cert", "import", CLIENT, file)
    assert taken.code == 0, taken.err
    assert states(cli, CLIENT) == {1: "active"}
    leaf = load_certificates(identity_files(home, CLIENT).certificate)[0]
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    uri = f"{settings.listen.public_url}/fhir-client/T-TRTMNT"
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == [uri]
    shown = {row["role"]: row["state"] for row in cli("cert", "show", "--json").json}
    assert shown["fhir-T-TRTMNT"] == "valid"
    assert shown["fhir-T-PYMNT"] == "request made"
    planned = {row["name"] for row in cli("cert", "plan", "--json").json}
    assert "fhir-T-TRTMNT" in planned
    assert "local client fhir-T-TRTMNT" not in planned


@pytest.mark.parametrize(
    "words",
    [("fhir",), ("server", "--purpose", "T-TRTMNT"), ("fhir-NOTHING",), ("fhir-../x",),
     ("fhir", "--purpose", "t-trtmnt"), ("emperor",)],
    ids=" ".join,
)  # fmt: skip
def test_what_names_no_identity_is_a_usage_error(cli: Cli, home: NodeHome, words):
    before = tree(home)
    assert cli("cert", "request", *words).code == 2
    assert tree(home) == before


def test_a_log_key_without_a_certificate_and_with_overlap(cli: Cli, home: NodeHome):
    settings = load_settings(home)

    def signing() -> list[str]:
        return [s.key_id for s in log_signers(home, settings, now=datetime.now(UTC))]

    shutil.rmtree(home.keys / "log")  # as in a home that was made before logs were sealed
    first = cli("cert", "request", "log")
    assert "It is in use." in first.out
    assert states(cli, "log") == {1: "active"}
    (one,) = signing()
    assert one in first.flat
    assert (version_files(home, LogKey.LOG, 1).key.stat().st_mode & 0o777) == 0o600
    assert cli("cert", "request", "log").code == 0
    assert states(cli, "log") == {1: "active", 2: "verified"}
    assert signing() == [one]
    assert cli("cert", "switch", "log").code == 0
    two, also_one = signing()
    assert (two != one, also_one) == (True, one)
    assert cli("cert", "retire", "log", "--version", 1).code == 0
    assert signing() == [two]
    assert not version_files(home, LogKey.LOG, 1).key.exists()
    planned = [r for r in cli("cert", "plan", "--json").json if r["kind"] == "log-key"]
    assert sorted(row["name"] for row in planned) == sorted(LogKey)
    assert cli("cert", "import", "log", home.keys / "server.pem").code == 2


def test_a_log_signature_verifies_by_the_public_key(cli: Cli, home: NodeHome):
    cli("cert", "request", "log")
    (signer,) = log_signers(home, load_settings(home), now=datetime.now(UTC))
    signature = signer.sign(b"checkpoint")
    signer.public_key.verify(signature, b"checkpoint")
    assert len(signature) == 64


def test_a_key_that_was_used_before_is_refused_unless_renewed_on_purpose(
    cli: Cli, home: NodeHome, issued, authority: Path, tmp_path: Path
):
    request = identity_files(home, Role.SERVER).request  # of the version in use
    again = tmp_path / "again.pem"
    cli("ca", "issue", request, "--for", "server", "--ca", authority, "--out", again)
    refused = cli("cert", "import", "server", again)
    assert (refused.code, "key-used-before" in refused.err) == (1, True)
    forced = cli("cert", "import", "server", again, "--allow-used-key", "--dry-run")
    assert forced.code == 0, forced.err
    assert cli("cert", "request", "server", "--same-key").code == 0
    taken = cli("cert", "import", "server", again)
    assert taken.code == 0, taken.err
    keys = {row["spki_sha256"] for row in cli("cert", "status", "server", "--json").json}
    assert len(keys) == 1


def test_a_compromised_key_never_comes_back(cli: Cli, home: NodeHome, authority, tmp_path: Path):
    """The operator still has the key file, and a CA that issues for it once more."""
    settings = load_settings(home)
    key = load_key(identity_files(home, Role.SERVER).key, passphrase=passphrase(settings))
    request = identity_files(home, Role.SERVER).request
    again = tmp_path / "again.pem"
    cli("ca", "issue", request, "--for", "server", "--ca", authority, "--out", again)
    assert cli("cert", "retire", "server", "--version", 1, "--compromised").code == 0
    assert not identity_files(home, Role.SERVER).key.exists()

    with changing(home, Role.SERVER, now=datetime.now(UTC)):
        begin(home, Role.SERVER, key, passphrase=None, now=datetime.now(UTC))
    for more in ((), ("--allow-used-key",)):
        refused = cli("cert", "import", "server", again, *more)
        assert (refused.code, "key-compromised" in refused.err) == (1, True)


def test_two_identities_never_share_a_key(cli: Cli, home: NodeHome, authority, tmp_path: Path):
    key = load_key(identity_files(home, Role.SERVER).key)
    with changing(home, Role.CLIENT, now=datetime.now(UTC)):
        begin(home, Role.CLIENT, key, passphrase=None, now=datetime.now(UTC))
    cli("cert", "request", "client")
    out = tmp_path / "client.pem"
    request = version_files(home, Role.CLIENT, 2).request
    cli("ca", "issue", request, "--for", "client", "--ca", authority, "--out", out)
    refused = cli("cert", "import", "client", out)
    assert (refused.code, "key-used-before" in refused.err) == (1, True)


def test_every_host_the_directory_lists_for_us_must_be_covered(
    cli: Cli, home: NodeHome, joined: Path, issued, authority: Path, tmp_path: Path
):
    text = joined.read_text()
    assert "https://localhost:8443" in text
    elsewhere = tmp_path / "elsewhere.json"
    elsewhere.write_text(text.replace("https://localhost:8443", "https://xca.lake.example"))
    assert cli("directory", "import", elsewhere, "--source", "self").code == 0
    cli("cert", "request", "server")
    refused = cli("cert", "import", "server", issued(Role.SERVER, 2))
    assert (refused.code, "xca.lake.example" in refused.err) == (1, True)
    cli("cert", "request", "server", "--host", "localhost", "--host", "xca.lake.example")
    both = tmp_path / "both.pem"
    request = version_files(home, Role.SERVER, 2).request
    cli("ca", "issue", request, "--for", "server", "--ca", authority, "--out", both)
    taken = cli("cert", "import", "server", both)
    assert taken.code == 0, taken.err


def test_keys_made_beside_identities_are_encrypted_too(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    new = NodeHome(tmp_path / "new")
    monkeypatch.setenv("TEFCA_NODE_PASSPHRASE", "correct horse")
    arguments = ("--name", "New", "--hcid", "2.999.75", "--development-ca", tmp_path / "ca2")
    assert cli("init", *arguments, at=new.path).code == 0
    assert cli("cert", "request", "log", at=new.path).code == 0
    assert cli("ca", "create", tmp_path / "ca3").code == 0
    keys = [*new.keys.rglob("*.key"), tmp_path / "ca2" / "ca.key", tmp_path / "ca3" / "ca.key"]
    assert {path.name for path in keys} >= {"clients-ca.key", "operator.key", "log.key", "ca.key"}
    for path in keys:
        assert path.read_bytes().startswith(b"-----BEGIN ENCRYPTED PRIVATE KEY"), path
    # a client elsewhere has to read its key without our passphrase, and is told so
    added = cli("client", "add", "ehr-1", "--out", tmp_path / "ehr", at=new.path)
    assert (added.code, "not encrypted" in added.out) == (0, True)
    assert (tmp_path / "ehr" / "ehr-1.key").read_bytes().startswith(b"-----BEGIN PRIVATE KEY")


def test_inspect_explains_our_files_and_other_parties(cli: Cli, home: NodeHome, authority: Path):
    files = identity_files(home, Role.SERVER)
    (leaf,) = cli("cert", "inspect", files.certificate, "--json").json
    assert leaf["known_as"] == "our server, version 1 (active)"
    assert leaf["good_for"] == ["tls-server", "saml-signer", "udap-signer"]
    shown = cli("cert", "inspect", authority / "ca.pem")
    assert "Test CA" in shown.flat
    key = cli("cert", "inspect", files.key, "--json").json[0]
    assert [finding["code"] for finding in key["findings"]] == ["key-not-encrypted"]
    files.key.chmod(0o644)
    exposed = cli("cert", "inspect", files.key)
    assert (exposed.code, "key-file-exposed" in exposed.out) == (1, True)
    nothing = cli("cert", "inspect", home.settings_file)
    assert (nothing.code, "file-not-recognised" in nothing.err) == (3, True)


def test_inspect_works_without_a_node_home(cli: Cli, home: NodeHome, tmp_path: Path):
    found = cli("cert", "inspect", home.keys / "client.pem", "--json", at=tmp_path).json
    assert found[0]["part"] == "leaf"


@pytest.mark.parametrize(
    ("days", "code", "rung"),
    [(90, 0, None), (59, 1, "60 days"), (29, 1, "30 days"), (13, 1, "14 days"), (6, 1, "7 days"),
     (2, 1, "3 days"), (0.5, 1, "1 day"), (-1, 1, "expired")],
)  # fmt: skip
@pytest.mark.usefixtures("joined")
def test_the_ladder_covers_a_peer_whose_certificate_we_know(
    cli: Cli, home: NodeHome, tmp_path: Path, days: float, code: int, rung: str | None
):
    """Exit codes are for cron: 1 from the first rung on (facts pki A5)."""
    now = datetime.now(UTC)
    ca = create_ca("Peer CA", now=now - timedelta(days=500))
    names = RequestedNames(common_name="peer", dns_names=("peer.example",))
    request = build_csr(generate_key(KeyKind.P_256), names, usages=Role.SERVER.usages)
    begun = now + timedelta(days=days - 400)
    leaf = issue(
        ca, request, profile=Profile.TLS_SERVER, now=begun, lifetime=timedelta(days=400)
    )  # fmt: skip
    file = tmp_path / "peer.pem"
    file.write_bytes(Bundle(leaf=leaf).pem())
    assert cli("peer", "pin", HCID, file).code == 0
    plan = cli("cert", "plan", "--json")
    (row,) = [r for r in plan.json if r["kind"] == "peer"]
    assert (row["rung"], row["owner"], plan.code) == (rung, "peer", code)
    assert cli("peer", "unpin", HCID, "--spki", spki_sha256(leaf)).code == 0
    assert [r for r in cli("cert", "plan", "--json").json if r["kind"] == "peer"] == []


def test_the_calendar_of_a_running_node_is_that_of_the_plan(cli: Cli, home: NodeHome):
    cli("cert", "request", "log")
    planned = {(row["kind"], row["name"]) for row in cli("cert", "plan", "--json").json}
    exported = set(seconds_left(home, datetime.now(UTC)))
    assert exported == planned
    assert {kind for kind, _ in planned} >= {"certificate", "anchor", "log-key"}
