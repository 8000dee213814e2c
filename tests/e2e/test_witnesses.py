"""Two real nodes witness each other's logs; a home that was restored whole is found out."""

from __future__ import annotations

import asyncio
import json
import shutil
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest
from asking import ask_once
from node_network import Network, Site, cda, serving
from node_network import until as waiting

from node.app import Composition
from node.ledger.entry_source import write_heartbeat
from node.ledger.private import load_key
from node.ledger.tlog.checkpoint import Checkpoint, parse_checkpoint
from node.ledger.tlog.note import parse_note
from node.model import Outcome
from node.opened import opened_home

pytestmark = pytest.mark.e2e

# the test's own patience, not the product's: this machine may be busy
until = partial(waiting, seconds=120)
EXTRA = "\n[log]\nseal_seconds = 0.2\nwitness_seconds = 0.2\nwitness_timeout_seconds = 10\n"


@pytest.fixture(scope="module")
def agreed(tmp_path_factory: pytest.TempPathFactory) -> Network:
    """Two organisations whose operators agreed, by the commands that an operator uses."""
    network = Network(tmp_path_factory.mktemp("witnesses"))
    for name in ("hill", "lake"):
        network.add(name, extra=EXTRA)
    network.join()
    network.load("hill", {"one.xml": cda(1)})
    hill, lake = network.sites["hill"], network.sites["lake"]
    for site, other in ((hill, lake), (lake, hill)):
        ended = site.cli("log", "witness", "add", other.oid)
        assert ended.returncode == 0, ended.stderr
        assert f"We witness the log of {other.oid}." in ended.stdout
    return network


def beat(site: Site, count: int) -> None:
    """Further durable entries, as a node writes them."""
    with opened_home(site.home, site.settings) as opened:
        for _ in range(count):
            write_heartbeat(
                opened.engine, load_key(site.home.path), own=site.hcid, now=datetime.now(UTC)
            )


def log_of(site: Site) -> Path:
    return site.home.log / str(datetime.now(UTC).year)


def point_of(site: Site, name: str = "checkpoint") -> Checkpoint | None:
    file = log_of(site) / name
    return parse_checkpoint(parse_note(file.read_bytes()).text) if file.exists() else None


def witnessed_whole(site: Site) -> Checkpoint | None:
    """The checkpoint under which the witness signed, when that is everything there is."""
    point = point_of(site, "witnessed")
    return point if point and point.size == len(site.log()) else None


def test_peers_sign_each_others_checkpoints_and_an_auditor_sees_it(
    agreed: Network, tmp_path: Path
) -> None:
    hill, lake = agreed.sites["hill"], agreed.sites["lake"]
    with serving(hill), serving(lake):
        for site in (hill, lake):
            until(lambda site=site: witnessed_whole(site))
        beat(hill, 3)
        until(lambda: witnessed_whole(hill))
        listed = json.loads(hill.cli("log", "witness", "list", "--json").stdout)
        (witness,) = listed["witnesses"]
        assert (witness["organization_id"], witness["failure"]) == (lake.oid, None)
        assert [log["origin"] for log in listed["logs"]] == [point_of(lake).origin]
    ended = hill.cli("log", "witness", "policy", "--out", tmp_path / "policy.txt")
    assert ended.returncode == 0, ended.stderr
    copy = Path(shutil.copytree(log_of(hill), tmp_path / "copy"))
    verified = hill.cli("log", "verify", copy, "--policy", tmp_path / "policy.txt", "--json")
    assert verified.returncode == 0, verified.stdout + verified.stderr
    found = json.loads(verified.stdout)
    assert found["witnessed"] == point_of(hill, "witnessed").size
    assert list(found["witnesses"]) == [lake.oid]
    words = hill.cli("log", "verify", copy, "--policy", tmp_path / "policy.txt").stdout
    assert f"witness {lake.oid} signed at 20" in words
    shown = json.loads(hill.cli("log", "checkpoint", "--json").stdout)
    assert (shown["witnessed"], list(shown["witnesses"])) == (found["witnessed"], [lake.oid])
    (row,) = [
        row
        for row in json.loads(hill.cli("doctor", "--json").stdout)
        if row["check"] == "log witnesses"
    ]
    assert (row["status"], row["sentence"][:10]) == ("ok", "All 1 sign")


async def test_a_home_that_was_restored_whole_from_an_older_copy_signs_nothing(
    agreed: Network, tmp_path: Path
) -> None:
    hill, lake = agreed.sites["hill"], agreed.sites["lake"]
    with serving(lake):
        with serving(hill):
            await asyncio.to_thread(until, lambda: witnessed_whole(hill))
        old = Path(shutil.copytree(hill.home.path, tmp_path / "old", symlinks=True))
        with serving(hill):
            beat(hill, 5)
            await asyncio.to_thread(until, lambda: witnessed_whole(hill))
        newest = point_of(hill)
        shutil.rmtree(hill.home.path)
        shutil.copytree(old, hill.home.path, symlinks=True)
        before = point_of(hill)
        assert before.size < newest.size
        with serving(hill) as running:
            await asyncio.to_thread(
                until, lambda: "log-rolled-back" in running.log.read_text("utf-8")
            )
            async with Composition().initiator(lake.home, lake.settings) as initiator:
                leg = await ask_once(initiator, lake, hill)
            assert leg.outcome in (Outcome.OK, Outcome.OK_EMPTY)
            beat(hill, 20)  # longer than before, and still another history
        assert point_of(hill) == before
        # it stays so without the witness
    with serving(hill) as running:
        started = len(running.log.read_text("utf-8"))
        await asyncio.to_thread(
            until, lambda: "log-rolled-back" in running.log.read_text("utf-8")[started - 1 :]
        )
    assert point_of(hill) == before
