"""Two real nodes: answers carry log promises; the one who asked keeps and later checks them."""

from __future__ import annotations

import asyncio
import json
import uuid
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from asking import discovered
from commands import Command
from node_network import Network, Site, now, serving
from sqlalchemy import select

from node.app import Composition
from node.ledger.ledger import ExchangeLedger
from node.ledger.private import load_key
from node.ledger.promise import parse_promise, promised, verify_promise
from node.ledger.sealer import verifier_key
from node.log_keys import log_signers
from node.log_origin import log_name
from node.model import (
    Direction,
    ExchangeId,
    Leg,
    LegId,
    LegRecord,
    Outcome,
    Peer,
    Transaction,
)
from node.opened import opened_home
from node.peer_logs import log_of
from node.promise_check import Checked
from node.storage.tables import PROMISE

pytestmark = pytest.mark.e2e


async def test_an_answer_carries_a_promise_that_the_asker_keeps(tmp_path) -> None:
    network = Network(tmp_path)
    asker, hub = network.add("asker"), network.add("hub")
    network.join()
    with serving(hub):
        leg = await discovered(asker, hub)
    entry = asker.entry_of(leg.message_id or "")
    assert "dev" not in entry.fields
    with opened_home(asker.home, asker.settings) as opened:
        log = log_of(opened.view, hub.oid)
        with opened.engine.connect() as connection:
            (row,) = connection.execute(select(PROMISE)).mappings()
    promise = parse_promise(row["value"])
    assert entry.fields["promise"] == promise.digest
    assert promise.message_id == leg.message_id
    assert row["seq"] == entry.seq
    assert log is not None
    assert len(log.agreement) == 1
    verify_promise(promise, log.keys)
    # it was made after the entry was durable
    assert promise.t >= hub.entry_of(leg.message_id or "").fields["t"]


# --- checking them ------------------------------------------------------------------------------


@pytest.fixture
def network(tmp_path) -> Network:
    """No delay: what was promised a moment ago is due."""
    network = Network(tmp_path)
    network.add("asker", extra="[log]\nmerge_delay_hours = 0\n")
    network.add("hub")
    network.join()
    return network


def vkey(site: Site) -> str:
    (signer,) = log_signers(site.home, site.settings, now=now())
    return str(verifier_key(log_name(site.settings), signer))


async def answer_without_logging(hub: Site, asker: Site, at: datetime) -> None:
    """What the asker's log has after a peer answered, promised an entry, and wrote none."""
    (signer,) = log_signers(hub.home, hub.settings, now=now())
    name = log_name(hub.settings)
    message = f"urn:uuid:{uuid.uuid4()}"
    promise = promised(name, message, at, verifier_key(name, signer), signer.sign)
    leg = Leg(
        leg_id=LegId(str(uuid.uuid4())), exchange_id=ExchangeId(str(uuid.uuid4())),
        direction=Direction.INITIATING, transaction=Transaction.ITI_55,
        peer=Peer(organization_id=hub.oid, home_community_id=hub.hcid, name=hub.name),
        outcome=Outcome.OK_EMPTY, started=at, duration_ms=1, message_id=message,
    )  # fmt: skip
    record = LegRecord(
        leg=leg, own=asker.hcid, purpose="T-TRTMNT", request_digest=b"q" * 32, promise=str(promise)
    )
    with opened_home(asker.home, asker.settings) as opened:
        ledger = ExchangeLedger(opened.engine, load_key(asker.home.path))
        await ledger.append(record)
        ledger.close()


async def checked(site: Site) -> list[Checked]:
    async with Composition().promises(site.home, site.settings) as check:
        return [await check.run(each) for each in check.due(limit=10)]


def test_a_kept_promise_is_proved_and_a_broken_one_is_evidence_for_third_parties(
    network: Network, tmp_path: Path, cli: Command
) -> None:
    asker, hub = network.sites["asker"], network.sites["hub"]

    async def exchange() -> list[Checked]:
        await discovered(asker, hub)
        await answer_without_logging(hub, asker, now())
        states: list[Checked] = []
        while "kept" not in {each.state for each in states}:  # the hub seals every few seconds
            states += [each for each in await checked(asker) if each.state != "open"]
        return states

    with serving(hub):
        found = asyncio.run(exchange())
        assert sorted(each.state for each in found) == ["broken", "kept"]
        assert cli(asker, "log", "promise", "check", "--json").json == []
    (item,) = cli(asker, "log", "review", "list", "--json").json
    assert (item["source"], item["kind"], item["peer"]) == ("promise", "promise-broken", hub.hcid)
    (file,) = asker.home.evidence.glob("*.json")
    # a third party has the file and the key, nothing else
    elsewhere = tmp_path / "third.json"
    elsewhere.write_bytes(file.read_bytes())
    words = ("log", "promise", "verify", elsewhere, "--vkey", vkey(hub), "--json")
    ended = cli(hub, *words)
    assert ended.code == 0, ended.err
    assert ended.json["proved"]
    assert ended.json["checkpoint_size"] >= 1
    assert cli(hub, "log", "promise", "verify", elsewhere, "--vkey", vkey(asker)).code == 4
    evidence = json.loads(file.read_text())
    for name, value in (
        ("absence", evidence["absence"].replace("urn:uuid:", "urn:uuid:0")),
        ("promise", evidence["promise"].replace(" 20", " 19")),
        ("checkpoint", evidence["checkpoint"].replace("\n", "\n9", 1)),
        ("delay_hours", 24),
        ("more", 1),
    ):
        elsewhere.write_text(json.dumps({**evidence, name: value}))
        assert cli(hub, *words).code == 4, name


def test_a_peer_that_shows_nothing_is_waited_for_and_then_asserted(
    network: Network, cli: Command
) -> None:
    asker, hub = network.sites["asker"], network.sites["hub"]
    asyncio.run(answer_without_logging(hub, asker, now()))
    waits = cli(asker, "log", "promise", "check", "--json")
    assert (waits.code, [row["state"] for row in waits.json]) == (0, ["open"])  # nobody answers
    asyncio.run(answer_without_logging(hub, asker, now() - timedelta(days=2)))
    ended = cli(asker, "log", "promise", "check", "--json")
    broken, waiting = ended.json
    assert (ended.code, broken["state"], waiting["state"]) == (1, "broken", "open")
    ended = cli(hub, "log", "promise", "verify", broken["evidence"], "--vkey", vkey(hub))
    assert ended.code == 1, ended.err
    assert f"is the word of {asker.hcid}" in " ".join(ended.out.split())
