"""Two nodes, each a process: a chart is asked for from the command line and arrives whole."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import pytest
from node_network import GIVEN, PERSON, Site, read_json
from sample_world import ORIGINALS

pytestmark = pytest.mark.e2e

TRANSACTIONS = ["ITI-55", "ITI-38", "ITI-39"]


def chart(site: Site, *more: str | Path):
    done = site.cli(
        "query", "chart", *PERSON, "--purpose", "T-TRTMNT", "--json", *more
    )  # fmt: skip
    return done, read_json(done.stdout) if done.stdout else None


def assert_originals(documents, folder: Path) -> None:
    wanted = {sha256(ORIGINALS[name]).hexdigest(): name for name in ("first.xml", "second.xml")}
    assert {d["sha256"] for d in documents} == set(wanted)
    for document in documents:
        saved = Path(document["path"])
        assert saved.read_bytes() == ORIGINALS[wanted[document["sha256"]]]
        assert saved.is_relative_to(folder)
        assert document["mime_type"] == "text/xml"
        assert document["type_code"] == "34133-9"
        assert document["size"] == len(saved.read_bytes())


def test_a_chart_comes_whole_and_both_ledgers_tell_the_same(world, clinic, tmp_path):
    before = len(world.asker.ledger()), len(world.clinic.ledger())
    done, told = chart(world.asker, "--peer", world.clinic.hcid, "--save", tmp_path)
    assert done.returncode == 0, done.stderr
    assert [leg["transaction"] for leg in told["legs"]] == TRANSACTIONS
    assert {leg["outcome"] for leg in told["legs"]} == {"ok"}
    assert_originals(told["documents"], tmp_path)
    asked = world.asker.ledger()[before[0] :]
    served = world.clinic.ledger()[before[1] :]
    assert [e.fields["txn"] for e in asked] == TRANSACTIONS
    assert [e.fields["msg"] for e in asked] == [e.fields["msg"] for e in served]
    assert {e.fields["dir"] for e in asked} == {"initiating"}
    assert {e.fields["dir"] for e in served} == {"responding"}
    assert [e.fields["docs"] for e in served] == [0, 2, 2]
    for ours, theirs in zip(asked, served, strict=True):
        assert ours.fields["outcome"] == theirs.fields["outcome"] == "ok"
        assert (ours.fields["peer"], theirs.fields["peer"]) == (world.clinic.hcid, world.asker.hcid)
        assert theirs.fields["bind"] == "pinned"
        assert theirs.fields["purpose"] == "T-TRTMNT"
    assert len({e.fields["exch"] for e in asked}) == 1


def test_a_running_node_asks_for_the_command_over_grpc(world, clinic, asker, tmp_path):
    before = len(world.asker.ledger())
    done, told = chart(
        world.asker, "--peer", world.clinic.hcid, "--save", tmp_path, "--node", asker.bound["grpc"]
    )
    assert done.returncode == 0, done.stderr
    assert [leg["transaction"] for leg in told["legs"]] == TRANSACTIONS
    assert {leg["outcome"] for leg in told["legs"]} == {"ok"}
    assert_originals(told["documents"], tmp_path)
    assert [e.fields["txn"] for e in world.asker.ledger()[before:]] == TRANSACTIONS
    assert not list((world.asker.home.inbox / "grpc").iterdir())  # nothing is left with the node


def test_the_steps_one_by_one_lead_to_the_document(world, clinic, tmp_path):
    site = world.asker
    purpose = ("--purpose", "T-TRTMNT", "--json")
    found = read_json(
        site.cli("query", "patient", *PERSON, *purpose, "--peer", world.clinic.hcid).stdout
    )
    (match,) = found["matches"]
    assert match["demographics"]["names"][0]["given"] == [GIVEN]
    identity = match["patient_id"]
    at = f"{world.clinic.hcid}={identity['id']}^^^&{identity['assigning_authority']}&ISO"
    listed = read_json(site.cli("query", "documents", "--at", at, *purpose).stdout)
    entry = min(listed["entries"], key=lambda e: e["size"])
    reference = "/".join(
        entry[name] for name in ("home_community_id", "repository_unique_id", "document_unique_id")
    )
    done = site.cli("query", "retrieve", reference, "--save", tmp_path, *purpose)
    assert done.returncode == 0
    (document,) = read_json(done.stdout)["documents"]
    assert Path(document["path"]).read_bytes() == ORIGINALS["first.xml"]


def test_nobody_of_that_name_is_an_answer_and_not_a_failure(world, clinic):
    done = world.asker.cli(
        "query", "chart", "--family", "Nobody", "--given", "Known", "--birth-date", "1970-01-01",
        "--sex", "M", "--purpose", "T-TRTMNT", "--json", "--peer", world.clinic.hcid,
    )  # fmt: skip
    assert done.returncode == 0
    told = read_json(done.stdout)
    assert [leg["outcome"] for leg in told["legs"]] == ["ok-empty"]
    assert told["documents"] == []


def test_who_is_down_or_unknown_is_told_and_the_exit_code_says_so(world):
    done, told = chart(
        world.asker, "--peer", world.lab.hcid, "--peer", "urn:oid:2.999.90.77", "--seconds", "20"
    )
    assert done.returncode == 1
    by_hcid = {leg["hcid"]: leg for leg in told["legs"]}
    assert by_hcid[world.lab.hcid]["outcome"] == "failed"
    assert by_hcid["urn:oid:2.999.90.77"]["outcome"] == "failed"
    assert all(leg["reason"] and leg["sentence"] for leg in told["legs"])
    written = {e.fields["peer"]: e.fields["outcome"] for e in world.asker.ledger()[-2:]}
    assert written[world.lab.hcid] == "failed"


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("query", "chart", *PERSON, "--purpose", "T-NOSUCH"), 2),
        (("query", "chart", "--family", "Only", "--purpose", "T-TRTMNT"), 2),
        (("cert", "switch", "client", "--version", "9"), 3),
        (("query", "chart", *PERSON, "--purpose", "T-TRTMNT", "--nonsense"), 2),
        (("query", "chart", *PERSON, "--purpose", "T-TRTMNT", "--node", "localhost:1"), 5),
    ],
)
def test_every_kind_of_failure_has_its_exit_code_and_a_next_step(world, arguments, code):
    done = world.asker.cli(*arguments)
    assert done.returncode == code, done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    if code != 2:
        assert "next:" in done.stderr


def test_a_purpose_our_own_entry_does_not_list_is_declined_by_ourselves(world, clinic):
    before = len(world.clinic.ledger())
    done = world.payer.cli(
        "query", "chart", *PERSON, "--purpose", "T-TRTMNT", "--json", "--peer", world.clinic.hcid
    )
    assert done.returncode == 1
    (leg,) = read_json(done.stdout)["legs"]
    assert (leg["outcome"], leg["reason"]) == ("declined", "purpose-not-listed")
    assert len(world.clinic.ledger()) == before  # it was never asked
