"""``log erase`` and ``log hold``: what goes, what stays provable, and what is refused."""

from __future__ import annotations

import asyncio
import io
import os
import pwd
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from ended import Cli

from node.console.clinic.keeping import ClinicStore
from node.console.clinic.record import Record
from node.console.clinic.request import ClinicRequest, Progress
from node.ledger.ledger import ExchangeLedger
from node.ledger.private import load_key
from node.ledger.tlog.merkle import leaf_hash
from node.ledger.tlog.note import parse_verifier_key
from node.ledger.tlog.policy import of_log
from node.ledger.tlog.proof import parse_proof, verify_proof
from node.model import ExchangeId
from node.opened import opened_home
from node.records.likeness import likeness
from node.settings import NodeHome, load_settings
from node.yearly_sealer import YearlySealer
from tests.ledger.records import CANARIES, PATIENT, record
from tests.sim.network import ALICE, principal

ORDER = ("--authority", "patient", "--reason", "person-request")
ABOUT = ("--patient", PATIENT.cx)


@pytest.fixture
def filled(home: NodeHome) -> NodeHome:
    """Three entries about the patient of the ledger's tests, sealed."""

    async def write(ledger: ExchangeLedger) -> None:
        for _ in range(3):
            await ledger.append(record())

    with opened_home(home, load_settings(home)) as opened:
        ledger = ExchangeLedger(opened.engine, load_key(home.path))
        asyncio.run(write(ledger))
        ledger.close()
    seal(home)
    return home


def test_an_erasure_takes_the_clinicians_kept_requests_of_the_person(
    cli: Cli, filled: NodeHome
) -> None:
    with opened_home(filled, load_settings(filled)) as opened:
        now = opened.clock.now()
        store = ClinicStore(opened.engine, load_key(filled.path))
        for token, whose in (("t" * 22, PATIENT), ("o" * 22, None)):
            asked = ClinicRequest(
                token=token, login="clinician", principal=principal(), began=now, patient=whose,
                progress=Progress.ENDED, exchange_id=ExchangeId(opened.clock.new_id()),
                demographics=ALICE,
            )  # fmt: skip
            kept = Record(asked, [], likeness, {}).stored()
            store.save([kept], until=now + timedelta(hours=12))

        def left() -> list[str]:
            return [each.token[0] for each in store.requests(now)]

        would = cli("log", "erase", *ABOUT, *ORDER, "--dry-run")
        assert "Clinicians' kept requests: 1." in would.out
        cli("log", "erase", *ABOUT, *ORDER, "--yes", "--part", "wire")
        assert sorted(left()) == ["o", "t"]
        ended = cli("log", "erase", *ABOUT, *ORDER, "--yes", "--json")
        assert (ended.json["entries"], ended.json["requests"]) == (3, 1)
        assert left() == ["o"]
        # one that was begun after an erasure, when the log has nothing more of the person
        store.save([replace(kept, token="n" * 22, patient=PATIENT)], until=now + timedelta(hours=1))
        again = cli("log", "erase", *ABOUT, *ORDER, "--yes")
        assert "Erased: Clinicians' kept requests: 1." in again.out
        assert left() == ["o"]


def seal(home: NodeHome) -> None:
    with opened_home(home, load_settings(home)) as opened:
        sealer = YearlySealer(opened)
        try:
            sealer.run()
        finally:
            sealer.close()


def test_c5_every_old_proof_and_the_sealed_log_hold_after_an_erasure(
    cli: Cli, filled: NodeHome, tmp_path: Path
) -> None:
    proof, entry = tmp_path / "old.tlog-proof", tmp_path / "old.json"
    assert cli("log", "prove", 1, "--out", proof, "--entry", entry).code == 0
    vkey = cli("log", "checkpoint", "--json").json["vkeys"][0]
    (folder,) = filled.log.glob("[0-9]*")
    seen = tmp_path / "seen"
    seen.write_bytes((folder / "checkpoint").read_bytes())

    ended = cli("log", "erase", *ABOUT, *ORDER, "--yes", "--json")
    assert ended.code == 0, ended.err
    assert ended.json["erased"]
    assert (ended.json["entries"], ended.json["left"]) == (3, "none")
    assert ended.json["parts"] == {"patient": 3, "query": 3, "docs": 3, "wire": 3}
    seal(filled)

    verified = cli("log", "verify", folder, "--vkey", vkey, "--checkpoint", seen, "--json")
    assert verified.code == 0, verified.out
    assert (verified.json["ok"], verified.json["size"]) == (True, 15)
    old = parse_proof(proof.read_bytes())
    accepted = verify_proof(old, leaf_hash(entry.read_bytes()), of_log(parse_verifier_key(vkey)))
    assert accepted.checkpoint.size == 3
    assert cli("log", "prove", 1, "--entry", tmp_path / "new.json").code == 0
    assert (tmp_path / "new.json").read_bytes() == entry.read_bytes()

    shown = cli("log", "show", 1)
    assert shown.code == 0
    assert "-- patient (erased, see entry 7: ordered by patient, person-request)" in shown.flat
    plain = cli("log", "show", 1, "--json").json
    assert (plain["states"]["docs"], plain["erasures"]["docs"]["target"]) == ("erased", 1)
    told = cli("log", "show", 7, "--json").json
    assert told["private"]["who"]["user_id"] == pwd.getpwuid(os.getuid()).pw_name
    assert told["sentence"] in cli("log", "find", "--kind", "erasure").out
    assert cli("log", "find", *ABOUT, "--json").json["entries"] == []
    again = cli("log", "erase", *ABOUT, *ORDER, "--yes")
    assert "There is nothing to erase." in again.out


def test_a_dry_run_and_a_question_show_counts_and_nobody(
    cli: Cli, filled: NodeHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert filled.path.is_dir()
    dry = cli("log", "erase", *ABOUT, *ORDER, "--dry-run")
    assert dry.code == 0
    assert (
        "This would be erased: 3 entries, begun from 2026-11-01 to 2026-11-01; "
        "groups: patient 3, query 3, docs 3, wire 3. Nothing was changed."
    ) in dry.flat
    assert "less than six years old" in dry.err
    assert not cli("log", "erase", *ABOUT, *ORDER, "--dry-run", "--json").json["erased"]
    refused = cli("log", "erase", *ABOUT, *ORDER)
    assert (refused.code, "--yes" in refused.err) == (2, True)
    for answer, code in (("n\n", 130), ("y\n", 0)):
        terminal = io.StringIO(answer)
        monkeypatch.setattr(terminal, "isatty", lambda: True)
        monkeypatch.setattr(sys, "stdin", terminal)
        ended = cli("log", "erase", "0", *ORDER, "--part", "docs")
        assert (ended.code, "Destroy it for good?" in ended.err) == (code, True)
        assert not any(canary in ended.flat + dry.flat for canary in CANARIES)
    assert len(cli("log", "tail", "--json").json) == 4


def test_an_order_needs_codes_and_entries_that_are_there(cli: Cli, filled: NodeHome) -> None:
    assert filled.path.is_dir()
    for words in (
        ("0",),
        ("0", "--authority", "me", "--reason", "person-request"),
        ("0", "--authority", "patient", "--reason", "because"),
        ORDER,
        ("0", *ABOUT, *ORDER),
        ("0", *ORDER, "--part", "everything"),
    ):
        assert cli("log", "erase", *words, "--yes").code == 2, words
    for number in (99, 10**20):
        missing = cli("log", "erase", "0", number, *ORDER, "--yes")
        assert (missing.code, f"no entry {number}" in missing.err) == (1, True)
    assert len(cli("log", "tail", "--json").json) == 3


def test_what_is_held_is_not_erased_until_the_hold_is_lifted(cli: Cli, filled: NodeHome) -> None:
    assert filled.path.is_dir()
    assert cli("log", "hold", "list").out.strip() == "Nothing is held."
    placed = cli("log", "hold", "add", "--reason", "litigation", *ABOUT)
    assert (placed.code, placed.out.strip()) == (0, "Hold 1 covers a patient.")
    assert cli("log", "hold", "add", "--reason", "audit", "--entries", "7-9").code == 0
    assert cli("log", "hold", "add", "--reason", "audit", "--peer", "urn:oid:2.999.2").code == 0
    listed = cli("log", "hold", "list", "--json").json
    assert [row["covers"] for row in listed] == ["a patient", "7-9", "urn:oid:2.999.2"]
    assert listed[0]["placed_by"] == pwd.getpwuid(os.getuid()).pw_name
    refused = cli("log", "erase", "1", *ORDER, "--yes")
    assert refused.code == 3
    assert "Entry 1 is under legal hold 1 (litigation)." in refused.flat
    assert cli("log", "hold", "remove", "3").code == 0
    assert cli("log", "hold", "remove", "1").code == 0
    assert cli("log", "hold", "remove", "1").code == 1
    assert cli("log", "erase", "1", *ORDER, "--yes").code == 0
    acts = [e["act"] for e in cli("log", "find", "--kind", "admin", "--json").json["entries"]]
    assert acts == ["hold-remove"] * 4 + ["hold-add"] * 6
    for wrong in (("--entries", "9-7"), ("--entries", "x"), (), (*ABOUT, "--entries", "1")):
        assert cli("log", "hold", "add", "--reason", "audit", *wrong).code == 2
    assert cli("log", "hold", "add", "--reason", "Mr. 1234", "--entries", "1").code == 2
