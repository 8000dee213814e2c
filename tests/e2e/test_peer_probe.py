"""``peer ping`` and ``peer test`` between real nodes: both sides, both ledgers, the report."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time

import pytest
from node_network import ROOT, Network, Running, cda, read_json, serving
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
        assert set(shown.values()) - {"unknown"} == {"ok"}, each
        assert each["good"] is True
    assert [each["probe"]["transaction"] for each in found] == ["ITI-55", "ITI-38", "ITI-39"]
    asked = {e.fields["id"]: e.fields for e in world.asker.ledger()}
    ours = [asked[each["probe"]["leg_id"]] for each in found]
    assert [fields["test"] for fields in ours] == ["synthetic"] * 3
    assert {fields["purpose"] for fields in ours} == {"T-TRTMNT"}
    theirs = world.clinic.ledger()[before:]
    assert {e.fields["msg"] for e in theirs} == {fields["msg"] for fields in ours}
    assert [e.fields["outcome"] for e in theirs][0] == "ok-empty"
