"""``peer ping`` and ``peer test`` between real nodes: both sides, both ledgers, the report."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
from pathlib import Path

import pytest
from node_network import HOST, ROOT, Network, Running, cda, read_json, serving
from sample_world import World

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

LAYERS = [
    "directory", "dns", "tcp", "tls", "chain", "binding", "revocation", "mtls", "soap", "saml",
    "answer",
]  # fmt: skip


@pytest.fixture(scope="module")
def clinic_up(clinic: Running) -> Running:
    return clinic


def states(probe):
    return {one["layer"]: one["state"] for one in probe["layers"]}


def test_a_good_peer_is_good_at_every_layer_for_every_transaction(
    world: World, clinic_up: Running
) -> None:
    before = len(world.clinic.ledger())
    done = world.asker.cli(
        "peer", "ping", world.clinic.hcid, "--json",
        "--transaction", "ITI-55", "--transaction", "ITI-38", "--transaction", "ITI-39",
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    found = read_json(done.stdout)
    for each in found:
        shown = states(each["probe"])
        assert list(shown) == LAYERS
        # the network's development CA publishes no CRL, which is let pass with a warning
        assert shown.pop("revocation") == "warn"
        assert set(shown.values()) == {"ok"}, each
        assert each["good"] is True
    assert [each["probe"]["transaction"] for each in found] == ["ITI-55", "ITI-38", "ITI-39"]
    asked = {e.fields["id"]: e.fields for e in world.asker.ledger()}
    ours = [asked[each["probe"]["leg_id"]] for each in found]
    assert [fields["test"] for fields in ours] == ["synthetic"] * 3
    assert {fields["purpose"] for fields in ours} == {"T-TRTMNT"}
    theirs = world.clinic.ledger()[before:]
    assert {e.fields["msg"] for e in theirs} == {fields["msg"] for fields in ours}
    assert theirs[0].fields["outcome"] == "ok-empty"


def test_a_refused_port_ends_with_their_side_and_a_next_step(world: World) -> None:
    done = world.asker.cli("peer", "ping", world.payer.hcid)  # listed, and nobody serves it
    assert done.returncode == 4, done.stdout + done.stderr
    assert "fails at the layer tcp, on the other side" in done.stdout
    assert "next: The host is there and nobody listens" in done.stdout


def test_an_unknown_key_is_said_to_be_unknown(world: World) -> None:
    done = world.asker.cli("peer", "ping", "urn:oid:2.999.404")
    assert done.returncode == 1
    assert "has no organisation urn:oid:2.999.404" in done.stderr


def test_one_peer_or_all_has_to_be_named(world: World) -> None:
    assert world.asker.cli("peer", "test").returncode == 2
    assert world.asker.cli("peer", "test", world.clinic.hcid, "--all").returncode == 2


def test_the_test_patient_is_asked_for_and_nobody_is_a_good_answer(
    world: World, clinic_up: Running
) -> None:
    done = world.asker.cli("peer", "test", world.clinic.hcid)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Clinic Health can be exchanged with" in done.stdout
    assert "it knows nobody of that name" in done.stdout
    assert "certificate names localhost and ends on" in done.stdout


def test_a_run_over_everybody_leaves_a_report_and_the_next_one_says_what_changed(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    network = Network(tmp_path_factory.mktemp("run"))
    lake, hill, pond = (network.add(name) for name in ("lake", "hill", "pond"))
    network.join()
    tester = cda(1, family="QTFTEST-001", given="Hill Health QTF TEST", born="19700101")
    network.load("hill", {"test.xml": tester})
    with serving(hill):
        first = lake.cli("peer", "test", "--all", "--json")
        assert first.returncode == 1, first.stderr
        report = read_json(first.stdout)["report"]
        rows = {row["name"]: row for row in report["rows"]}
        assert rows["Hill Health"]["result"] == "warn"
        assert rows["Hill Health"]["code"] == "crl-missing"
        assert "with its test patient" in rows["Hill Health"]["answer"]
        assert (rows["Pond Health"]["layer"], rows["Pond Health"]["side"]) == ("tcp", "theirs")
        with serving(pond):
            second = lake.cli("peer", "test", "--all", "--concurrency", "1")
            assert second.returncode == 0, second.stdout + second.stderr
    assert "failed at tcp (connect-refused)  warn at revocation (crl-missing)" in second.stdout
    files = sorted(path.name for path in lake.home.reports.iterdir())
    assert [name.rpartition(".")[2] for name in files] == ["json", "md", "json", "md"]
    text = (lake.home.reports / files[-1]).read_text(encoding="utf-8")
    assert "* Pond Health: failed at tcp (connect-refused) → warn at revocation" in text
    held = json.loads((lake.home.reports / files[-2]).read_text(encoding="utf-8"))
    assert held["complete"] is True
    assert {e.fields["test"] for e in lake.ledger() if e.fields["kind"] == "exchange"} == {
        "synthetic"
    }
    assert lake.cli("peer", "test", "--all", "--network", "nowhere").returncode == 3


def test_a_run_that_is_stopped_leaves_what_it_has(
    tmp_path_factory: pytest.TempPathFactory, warm_start: Path
) -> None:
    network = Network(tmp_path_factory.mktemp("stopped"))
    lake, mute = network.add("lake"), network.add("mute")
    network.join()
    with socket.create_server((HOST, mute.settings.listen.port)) as listener:
        listener.settimeout(60)
        process = subprocess.Popen(
            [
                warm_start / "tefca-node", "--home", lake.home.path,
                "peer", "test", "--all", "--json",
            ],
            cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        connections = [listener.accept()[0] for _ in range(2)]  # to see the port; to shake hands
        connections[1].recv(1)
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=60)
        for connection in connections:
            connection.close()
    assert process.returncode == 130, stderr
    report = read_json(stdout)["report"]
    assert report["complete"] is False
    assert [row["result"] for row in report["rows"]] == ["not tested"]
    assert len(list(lake.home.reports.iterdir())) == 2
