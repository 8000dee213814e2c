"""``log verify``, ``prove`` and ``checkpoint``: what an auditor gets, and what they find."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from ended import Cli, Ended

from node.last_check import last_check
from node.ledger.entry_source import write_heartbeat
from node.ledger.leaf_check import number_of
from node.ledger.private import load_key
from node.ledger.tlog.checkpoint import parse_checkpoint
from node.ledger.tlog.cosignature import cosign
from node.ledger.tlog.merkle import leaf_hash
from node.ledger.tlog.note import Note, Signature, parse_note, parse_verifier_key, signed
from node.ledger.tlog.policy import of_log, parse_policy
from node.ledger.tlog.proof import parse_proof, verify_proof
from node.ledger.witness import witness_key
from node.log_keys import log_signers
from node.opened import opened_home
from node.settings import NodeHome, load_settings
from node.yearly_sealer import YearlySealer
from trust.log_key import LogKeySigner, generate_log_key

WITNESS = "witness.lake.example"


def seal(home: NodeHome, beats: int) -> None:
    """Write heartbeats and seal them, as a serving node does."""
    settings = load_settings(home)
    with opened_home(home, settings) as opened:
        key = load_key(home.path)
        for _ in range(beats):
            write_heartbeat(
                opened.engine, key, own=opened.home_community_id, now=opened.clock.now()
            )
        sealer = YearlySealer(opened)
        try:
            sealer.run()
        finally:
            sealer.close()


@pytest.fixture(scope="module")
def sealed_home(pristine: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sealed") / "home"
    home = NodeHome(Path(shutil.copytree(pristine, folder)))
    seal(home, 300)
    return home.path


@pytest.fixture
def home(sealed_home: Path, tmp_path: Path) -> NodeHome:
    return NodeHome(Path(shutil.copytree(sealed_home, tmp_path / "home")))


@pytest.fixture
def vkey(cli: Cli) -> str:
    shown = cli("log", "checkpoint", "--json").json
    assert shown["size"] == 300
    assert shown["vkeys"][0] in cli("log", "checkpoint").out
    return shown["vkeys"][0]


@pytest.fixture
def folder(home: NodeHome) -> Path:
    """A copy of the log alone, as an auditor has it."""
    (found,) = home.log.glob("[0-9]*")
    return found


def test_a_sealed_log_holds_and_needs_no_node(cli: Cli, folder: Path, vkey: str, tmp_path: Path):
    alone = Path(shutil.copytree(folder, tmp_path / "alone"))
    ended = cli("log", "verify", alone, "--vkey", vkey, "--json", at=tmp_path / "nowhere")
    assert ended.code == 0, ended.err
    found = ended.json
    assert (found["ok"], found["entries"], found["size"]) == (True, 300, 300)
    assert found["findings"] == []
    assert 0 <= found["checkpoint_age_s"] < 900
    words = cli("log", "verify", alone, "--vkey", vkey)
    assert "Everything holds." in words.out
    assert cli("log", "verify", alone.parent / "home" / "log", "--vkey", vkey).code == 0


def test_several_processes_find_what_one_finds(
    cli: Cli, folder: Path, vkey: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = folder / "tile/entries/000"
    data = bundle.read_bytes()
    bundle.write_bytes(data.replace(b'"seq":7,', b'"seq":8,'))
    alone = cli("log", "verify", folder, "--vkey", vkey, "--workers", 1, "--json").json
    monkeypatch.setattr("node.ledger.log_verify._PARALLEL_FROM", 0)
    together = cli("log", "verify", folder, "--vkey", vkey, "--workers", 2, "--json").json
    assert together["findings"] == alone["findings"]
    assert together["findings"][0]["index"] == 7
    assert together["entries"] == 300


def test_a_policy_file_says_whose_signatures_count(cli: Cli, folder: Path, vkey: str, tmp_path):
    policy = tmp_path / "policy.txt"
    policy.write_text(f"log {vkey}\nquorum none\n")
    assert cli("log", "verify", folder, "--policy", policy).code == 0
    policy.write_text(
        f"log {vkey}\nwitness w witness.node-b.example/w1+ac9bad38+"
        "BNSvYBIqLRo8g2w4VmAHtJ1YcTGUfe+6xqIyO+H5E8oy\nquorum w\n"
    )
    ended = cli("log", "verify", folder, "--policy", policy, "--json")
    assert ended.code == 1
    assert [f["code"] for f in ended.json["findings"]] == ["log-quorum-missing"]
    assert cli("log", "verify", folder).code == 2
    assert cli("log", "verify", folder, "--vkey", vkey, "--policy", policy).code == 2
    policy.write_text("frobnicate\n")
    assert cli("log", "verify", folder, "--policy", policy).code == 3


def test_a_changed_entry_is_named_with_the_last_good_checkpoint(
    cli: Cli, folder: Path, vkey: str, home: NodeHome, tmp_path: Path
) -> None:
    seen = tmp_path / "seen"
    shutil.copy(folder / "checkpoint", seen)
    seal(home, 5)
    bundle = folder / "tile/entries/001.p/49"
    data = bundle.read_bytes()
    place = data.rindex(b'"seq":304')
    bundle.write_bytes(data[: place + 8] + b"5" + data[place + 9 :])
    words = cli("log", "verify", folder, "--vkey", vkey, "--checkpoint", seen, "--json")
    assert words.code == 1
    first, *others = words.json["findings"]
    assert (first["code"], first["index"]) == ("log-entry-changed", 304)
    assert first["expected"] != first["found"]
    assert first["last_good_checkpoint"]["size"] == 300
    codes = {each["code"] for each in others}
    assert codes == {"log-entry-invalid", "log-root-differs"}
    assert "instead of 304" in words.out
    told = cli("log", "verify", folder, "--vkey", vkey)
    assert "Entry 304 does not have the hash" in told.out


def test_a_log_that_forgot_what_was_signed_is_found(
    cli: Cli, folder: Path, vkey: str, home: NodeHome, tmp_path: Path
) -> None:
    old = Path(shutil.copytree(folder, tmp_path / "old"))
    seal(home, 5)
    ended = cli(
        "log", "verify", old, "--vkey", vkey, "--checkpoint", folder / "checkpoint", "--json"
    )
    assert ended.code == 1
    assert "has 300 entries, yet 305 were signed before" in ended.out


def test_a_foreign_key_a_broken_checkpoint_and_no_log_are_told(cli, folder, vkey, tmp_path):
    other = vkey.replace(vkey.split("+")[0], "other")
    assert cli("log", "verify", folder, "--vkey", other).code == 3
    tessera = "example.com/log/testdata+33d7b496+AeHTu4Q3hEIMHNqc6fASMsq3rKNx280NI+oO5xCFkkSx"
    ended = cli("log", "verify", folder, "--vkey", tessera, "--json")
    assert (ended.code, ended.json["ok"]) == (1, False)
    assert "another log" in ended.out
    broken = (folder / "checkpoint").read_bytes().replace(b"300", b"301")
    (folder / "checkpoint").write_bytes(broken)
    found = cli("log", "verify", folder, "--vkey", vkey, "--json").json
    assert [f["code"] for f in found["findings"]] == ["log-signature-invalid"]
    # what the last good checkpoint covers was checked all the same
    assert (found["entries"], found["findings"][0]["last_good_checkpoint"]["size"]) == (300, 300)
    empty = cli("log", "verify", tmp_path / "nothing", "--vkey", vkey, "--json")
    assert (empty.code, empty.json["findings"][0]["code"]) == (1, "log-file-missing")


class _Quiet(SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_words: object) -> None:
        """Nothing on standard error."""


@pytest.fixture
def served(folder: Path) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=folder)) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_log_is_verified_over_its_address(cli: Cli, served: str, vkey: str, folder: Path) -> None:
    ended = cli("log", "verify", served, "--vkey", vkey, "--json")
    assert (ended.code, ended.json["entries"]) == (0, 300)
    (folder / "tile/0/000").write_bytes(b"x" * 9000)
    ended = cli("log", "verify", f"{served}/", "--vkey", vkey, "--json")
    assert [f["code"] for f in ended.json["findings"]] == ["log-file-unreadable"]
    assert cli("log", "verify", "http://127.0.0.1:1/", "--vkey", vkey).code == 5
    assert cli("log", "verify", "ftp://example.com/", "--vkey", vkey).code == 3


def test_a_proof_is_a_tlog_proof_that_holds_by_the_verifier_key_alone(
    cli: Cli, vkey: str, tmp_path: Path
) -> None:
    proof, entry = tmp_path / "e.tlog-proof", tmp_path / "e.json"
    assert cli("log", "prove", 41, "--out", proof, "--entry", entry).code == 0
    data = entry.read_bytes()
    accepted = verify_proof(
        parse_proof(proof.read_bytes()), leaf_hash(data), of_log(parse_verifier_key(vkey))
    )
    assert (accepted.checkpoint.size, number_of(data)) == (300, 41)
    by_id = cli("log", "prove", json.loads(data)["id"], "--json").json
    assert (by_id["index"], by_id["proof"]) == (41, proof.read_text())
    assert cli("log", "prove", 41).out == proof.read_text()


def test_what_is_not_sealed_or_not_there_cannot_be_proved(cli: Cli, home: NodeHome) -> None:
    assert "is not there" in cli("log", "prove", 300).err
    with opened_home(home, load_settings(home)) as opened:
        key = load_key(home.path)
        write_heartbeat(opened.engine, key, own=opened.home_community_id, now=opened.clock.now())
    ended = cli("log", "prove", 300)
    assert (ended.code, "is not sealed yet" in ended.err) == (1, True)
    shutil.rmtree(home.log)
    ended = cli("log", "checkpoint")
    assert (ended.code, "Nothing is sealed yet" in ended.err) == (1, True)


def test_fsck_compares_the_database_with_the_files_and_remembers_what_came_of_it(
    cli: Cli, home: NodeHome, folder: Path
) -> None:
    ended = cli("log", "fsck", "--json")
    assert ended.code == 0, ended.out
    told = ended.json
    assert (told["ok"], told["compared"]["entries"], told["findings"]) == (True, 300, [])
    last = last_check(home, whole=True)
    assert last is not None
    assert (last.ok, last.entries) == (True, 300)
    year = folder.name
    assert "Everything agrees." in cli("log", "fsck", "--year", year).out
    assert cli("log", "fsck", "--sample", 1, "--json").json["compared"]["bundles"] == 1
    bundle = folder / "tile/entries/000"
    bundle.write_bytes(bundle.read_bytes().replace(b'"seq":7,', b'"seq":8,'))
    ended = cli("log", "fsck")
    assert ended.code == 1
    assert "Entry 7 does not have the hash that its tile holds." in ended.out
    assert "The database has another leaf than the sealed log." in ended.out
    last = last_check(home, whole=True)
    assert last is not None
    assert (last.ok, last.count) == (False, len(last.sentences))
    codes = [each["code"] for each in cli("log", "fsck", "--json").json["findings"]]
    assert sorted(set(codes)) == [
        "log-entry-changed", "log-entry-invalid", "log-root-differs", "log-row-differs",
        "log-tile-changed",
    ]  # fmt: skip
    assert cli("log", "fsck", "--year", 1999).code == 1
    assert cli("log", "fsck", "--year", year, "--sample", 1).code == 2


def test_fsck_needs_no_passphrase_and_knows_keys_that_are_deleted(
    cli: Cli, home: NodeHome, folder: Path
) -> None:
    keys = home.path / "signed" / f"{folder.name}.keys"
    assert keys.read_text().startswith("log.localhost")
    shutil.rmtree(home.keys / "log")
    assert cli("log", "fsck").code == 1  # no history of keys: no signature counts


def test_a_hold_that_was_placed_by_the_command_agrees(cli: Cli) -> None:
    assert cli("log", "hold", "add", "--entries", "3-5", "--reason", "litigation").code == 0
    assert cli("log", "hold", "add", "--entries", "7", "--reason", "litigation").code == 0
    assert cli("log", "hold", "remove", 1).code == 0
    told = cli("log", "fsck", "--json").json
    assert (told["findings"], told["compared"]["holds"]) == ([], 1)


def with_witness(note: Note, signer: LogKeySigner, time: int) -> bytes:
    """A checkpoint with a witness's line."""
    key = witness_key(WITNESS, signer)
    value = cosign(note.text, time, signer.sign)
    line = Signature(name=WITNESS, key_id=key.key_id, value=value)
    return bytes(Note(text=note.text, signatures=(*note.signatures, line)))


def test_witnesses_of_a_policy_must_have_signed_the_newest_checkpoint_or_an_earlier_one(
    cli: Cli, home: NodeHome, folder: Path, vkey: str, tmp_path: Path
) -> None:
    signer, stranger = (LogKeySigner(key=generate_log_key()) for _ in range(2))
    policy = tmp_path / "policy.txt"
    policy.write_text(f"log {vkey}\nwitness lake {witness_key(WITNESS, signer)}\nquorum lake\n")

    def verified(*options: str) -> Ended:
        return cli("log", "verify", folder, "--policy", policy, *options)

    ended = verified("--json")
    assert (ended.code, ended.json["entries"], ended.json["witnessed"]) == (1, 300, None)
    assert [each["code"] for each in ended.json["findings"]] == ["log-quorum-missing"]
    assert ended.json["witnesses"] == {"lake": None}
    # the witness signed size 300, then the log grew
    before = parse_note((folder / "checkpoint").read_bytes())
    (folder / "witnessed").write_bytes(with_witness(before, signer, 1_790_000_000))
    seal(home, 7)
    ended = verified("--json")
    assert (ended.code, ended.json["size"], ended.json["witnessed"]) == (0, 307, 300)
    assert ended.json["witnesses"] == {"lake": "2026-09-21T14:13:20Z"}
    words = verified().out
    assert "witness lake signed at 2026-09-21 14:13:20 UTC" in words
    assert "witnessed up to size 300; what is later (7), not yet" in words
    # the proof of an entry that was witnessed carries the witness's signature
    entry, file = tmp_path / "entry.json", tmp_path / "entry.tlog-proof"
    assert cli("log", "prove", 12, "--entry", entry, "--out", file).code == 0
    accepted = verify_proof(
        parse_proof(file.read_bytes()),
        leaf_hash(entry.read_bytes()),
        parse_policy(policy.read_bytes()),
    )
    assert (accepted.checkpoint.size, list(accepted.witnessed)) == (300, ["lake"])
    assert cli("log", "prove", 305, "--out", file).code == 0
    assert parse_checkpoint(parse_note(parse_proof(file.read_bytes()).checkpoint).text).size == 307
    # a signature of somebody else in the witness's name
    (folder / "witnessed").write_bytes(with_witness(before, stranger, 1))
    ended = verified("--json")
    assert (ended.code, ended.json["witnessed"]) == (1, None)
    assert [each["code"] for each in ended.json["findings"]] == ["log-quorum-missing"]
    # what the witness signed is no part of the log: the two showed different histories
    point = replace(parse_checkpoint(before.text), root=bytes(32))
    (key,) = log_signers(home, load_settings(home), now=datetime.now(UTC))
    fork = signed(point.text, [(parse_verifier_key(vkey), key.sign)])
    (folder / "witnessed").write_bytes(with_witness(fork, signer, 1_790_000_000))
    ended = verified("--json")
    assert ended.code == 1
    assert "log-root-differs" in {each["code"] for each in ended.json["findings"]}
