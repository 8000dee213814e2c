"""Every writing command says what it changed; one that refuses changes nothing."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from ended import HCID, Cli

from node.identity import Role, identity_files, version_files
from node.settings import NodeHome, load_settings

ROOT = Path(__file__).resolve().parents[2]
RECORDS = ROOT / "examples" / "records"


def test_init_names_what_it_made_and_the_next_steps(cli: Cli, tmp_path: Path) -> None:
    new = tmp_path / "new"
    ended = cli("init", "--name", "New", "--hcid", "2.999.75", at=new)
    assert ended.code == 0
    for name in ("node.toml", "keys/ledger.kek", "keys/operator.pem"):
        assert (new / name).exists()
        assert f"Made {new / name}." in ended.out
    assert "cert request" in ended.out
    assert "then serve" in ended.out
    assert load_settings(NodeHome(new)).node.home_community_id == "urn:oid:2.999.75"


def test_init_makes_nothing_of_a_wrong_home_community_id(cli: Cli, tmp_path: Path) -> None:
    ended = cli("init", "--name", "New", "--hcid", "not-an-oid", at=tmp_path / "new")
    assert ended.code == 3
    assert "home_community_id" in ended.err
    assert not (tmp_path / "new").exists()


def test_init_takes_purposes_that_there_are(cli: Cli, tmp_path: Path) -> None:
    words = ("init", "--name", "N", "--hcid", "2.999.75", "--purpose", "T-NOPE")
    ended = cli(*words, at=tmp_path / "new")
    assert (ended.code, "There is no purpose T-NOPE" in ended.flat) == (2, True)
    assert not (tmp_path / "new").exists()


def test_init_that_broke_off_can_be_run_again(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    new, words = tmp_path / "new", ("init", "--name", "N", "--hcid", "2.999.75")

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device", "x")

    with monkeypatch.context() as patch:
        patch.setattr("node.setup.make_log_key", full)
        assert cli(*words, at=new).code == 3
    assert not (new / "node.toml").exists()
    assert cli(*words, at=new).code == 0


def test_init_that_broke_off_takes_no_key_away_that_was_there(cli: Cli, tmp_path: Path) -> None:
    new = tmp_path / "new"
    (new / "keys").mkdir(parents=True)
    kek = new / "keys" / "ledger.kek"
    kek.write_text("of before")
    ended = cli("init", "--name", "N", "--hcid", "2.999.75", at=new)
    assert (ended.code, "(ledger-key-exists)" in ended.err) == (3, True)
    assert kek.read_text() == "of before"


def test_a_long_name_with_accents_fits_into_a_request(cli: Cli, tmp_path: Path) -> None:
    new, name = tmp_path / "new", "H\u00f4pital " + "\u00e9" * 60
    assert cli("init", "--name", name, "--hcid", "2.999.75", at=new).code == 0
    ended = cli("cert", "request", "server", at=new)
    assert ended.code == 0, ended.err


def test_a_file_in_place_of_a_folder_of_records_is_told(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "one.xml").write_text("<x/>")
    ended = cli("records", "add", tmp_path / "one.xml")
    assert (ended.code, "is no folder, but a file" in ended.flat) == (3, True)


def test_init_leaves_a_home_that_is_there(cli: Cli, home: NodeHome) -> None:
    before = home.settings_file.read_bytes()
    ended = cli("init", "--name", "Again", "--hcid", "2.999.75")
    assert ended.code == 3
    assert "is a node home already" in ended.err
    assert home.settings_file.read_bytes() == before


def test_init_takes_a_database_from_a_variable(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = tmp_path / "new"
    arguments = ("init", "--name", "N", "--hcid", "2.999.75", "--database-url", "${SECRET_URL}")
    assert cli(*arguments, at=new).code == 3  # the variable is not set
    monkeypatch.setenv("SECRET_URL", f"sqlite:///{tmp_path}/other.db")
    assert cli(*arguments, at=new).code == 0
    assert str(tmp_path / "other.db") not in (new / "node.toml").read_text()
    assert load_settings(NodeHome(new)).storage.database_url.endswith("other.db")


def test_certificates_by_hand(cli: Cli, home: NodeHome, tmp_path: Path) -> None:
    asked = cli("cert", "request")
    assert asked.out.count("was made.") == 3
    for role in Role:
        assert f"The signing request is {version_files(home, role, 2).request}." in asked.flat
    assert cli("cert", "request").out.count("was kept.") == 3
    made = cli("ca", "create", tmp_path / "ca2", "--name", "Second CA")
    assert f"{tmp_path / 'ca2' / 'ca.key'}: keep it private" in made.flat
    request = version_files(home, Role.SERVER, 2).request
    issued = cli(
        "ca", "issue", request, "--for", "server", "--ca", tmp_path / "ca2",
        "--out", tmp_path / "server.pem",
    )  # fmt: skip
    assert "cert import server" in issued.flat
    before = identity_files(home, Role.SERVER).certificate.read_bytes()

    refused = cli("cert", "import", "server", tmp_path / "server.pem")
    assert refused.code == 1
    assert "Nothing was changed." in refused.err
    assert identity_files(home, Role.SERVER).certificate.read_bytes() == before

    trusted = cli("anchor", "add", tmp_path / "ca2" / "ca.pem", "--label", "Second")
    assert "The CA Second is trusted for tls-server, tls-client, saml-signer" in trusted.out
    taken = cli("cert", "import", "server", tmp_path / "server.pem", "--switch")
    assert taken.code == 0
    assert "The server certificate is now" in taken.out
    assert identity_files(home, Role.SERVER).certificate.read_bytes() != before

    (print_,) = [a["fingerprint"] for a in cli("anchor", "list", "--json").json
                 if a["label"] == "Second"]  # fmt: skip
    assert "Second is no longer trusted" in cli("anchor", "remove", print_).out
    assert len(cli("anchor", "list", "--json").json) == 1


def test_a_certificate_for_another_use_is_refused(cli: Cli, home: NodeHome) -> None:
    saml = identity_files(home, Role.SAML).certificate
    ended = cli("cert", "import", "server", saml)
    assert ended.code == 1
    assert "Refused:" in ended.err


@pytest.mark.usefixtures("joined")
def test_decisions_about_a_peer_are_told_and_kept(cli: Cli, home: NodeHome) -> None:
    certificate = identity_files(home, Role.SERVER).certificate
    first = cli("peer", "pin", HCID, certificate)
    assert "is now pinned to 2.999.71." in first.out
    assert "was already pinned" in cli("peer", "pin", HCID, certificate).out
    spki = first.out.split()[2]
    assert "was removed" in cli("peer", "unpin", HCID, "--spki", spki).out
    again = cli("peer", "unpin", HCID, "--spki", spki)
    assert (again.code, "nothing was changed" in again.err) == (1, True)

    assert "is suspended" in cli("peer", "suspend", HCID, "--reason", "audit").out
    assert cli("directory", "find", HCID, "--json").json[0]["state"] == "suspended"
    assert "no longer suspended" in cli("peer", "resume", HCID).out
    assert cli("directory", "find", HCID, "--json").json[0]["state"] == "active"

    cli("peer", "profile", HCID, "documents_per_retrieve=2")
    assert cli("peer", "profile", HCID, "--json").json["documents_per_retrieve"] == 2
    cli("peer", "profile", HCID, "documents_per_retrieve=")
    assert cli("peer", "profile", HCID, "--json").json["documents_per_retrieve"] != 2


def test_records_add_counts_and_lists_what_it_could_not_index(cli: Cli, tmp_path: Path) -> None:
    folder = tmp_path / "records"
    shutil.copytree(RECORDS, folder)
    (folder / "broken.xml").write_text("<ClinicalDocument", encoding="utf-8")
    (folder / "broken.json").write_text('{"resourceType": "Bundle", "entry": 7', encoding="utf-8")
    ended = cli("records", "add", folder)
    assert ended.code == 1
    assert (
        "Of 3 files indexed: 1 (1 document, 1 new patient, 0 FHIR resources), known already: 0, "
        "not indexed: 2." in ended.flat
    )
    assert ended.err.count("Not indexed:") == 2
    listed = cli("records", "list", "--json").json
    assert [document["title"] for document in listed["documents"]] == [
        "Continuity of Care Document"
    ]
    assert {Path(f["path"]).name for f in listed["failures"]} == {"broken.xml", "broken.json"}
    assert "broken.json" in cli("records", "list", "--failures").out
    assert "known already: 1" in cli("records", "add", folder).flat


def test_directory_import_reports_bad_rows_and_keeps_the_rest(
    cli: Cli, joined: Path, tmp_path: Path
) -> None:
    bundle = json.loads(joined.read_bytes())
    bundle["entry"].append({"resource": {"resourceType": "Organization", "name": "No id"}})
    file = tmp_path / "network.json"
    file.write_text(json.dumps(bundle), encoding="utf-8")
    ended = cli("directory", "import", file, "--source", "self")
    assert ended.code == 0
    assert "could not be used" in ended.flat
    assert "Next: directory check" in ended.flat
    checked = cli("directory", "check", "--json")
    assert checked.code == 1
    assert "no-id" in checked.json["counts"]
    assert "no-id" in cli("directory", "check", "--severity", "error").out


@pytest.mark.parametrize("content", [b"", b"not json", b'{"resourceType": "Patient"}', b"[1, 2]"])
def test_directory_import_of_bad_fhir_says_what_is_wrong(
    cli: Cli, tmp_path: Path, content: bytes
) -> None:
    file = tmp_path / "bad.json"
    file.write_bytes(content)
    ended = cli("directory", "import", file)
    said = ended.flat
    assert "Traceback" not in said
    assert (ended.code != 0 and "next:" in said) or "Next: directory check" in said


def test_export_is_a_bundle_that_another_node_imports(
    cli: Cli, joined: Path, pristine: Path, tmp_path: Path
) -> None:
    other = Path(shutil.copytree(pristine, tmp_path / "other"))
    assert json.loads(cli("directory", "export", "--self").out) == json.loads(joined.read_bytes())
    assert cli("directory", "import", joined, at=other).code == 0
    found = cli("directory", "show", HCID, "--json", at=other).json
    assert found["organization"]["name"] == "Lake Hospital"


def test_client_add_gives_files_only_the_owner_can_read(cli: Cli, tmp_path: Path) -> None:
    ended = cli("client", "add", "ehr-1", "--out", tmp_path)
    assert str(tmp_path / "ehr-1.key") in ended.flat
    assert (tmp_path / "ehr-1.key").stat().st_mode & 0o077 == 0
    assert cli("client", "add", "ehr-1", "--out", tmp_path).code == 3  # never overwritten
