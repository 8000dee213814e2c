"""Messages that both sides keep as they were on the wire, where ``[capture]`` says so."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from asking import ask_once
from node_network import Network, Site, cda, serving

from node.app import Composition

pytestmark = pytest.mark.e2e

_CAPTURE = '[capture]\ntransactions = ["ITI-55"]\n'


@pytest.fixture
def network(tmp_path) -> Network:
    network = Network(tmp_path)
    network.add("asker", extra=_CAPTURE)
    network.add("hub", extra=_CAPTURE)
    network.join()
    network.load("hub", {"one.xml": cda(1)})
    return network


def shown(site: Site, seq: int) -> dict[str, Any]:
    done = site.cli("log", "show", str(seq), "--bodies", "--reason", "support-case", "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["bodies"]


async def test_both_sides_keep_the_same_messages_and_looking_is_an_entry(network: Network) -> None:
    hub, asker = network.sites["hub"], network.sites["asker"]
    with serving(hub):
        async with Composition().initiator(asker.home, asker.settings) as initiator:
            await ask_once(initiator, asker, hub)
    both = []
    for site in (asker, hub):
        (entry,) = [e for e in site.ledger() if e.fields["txn"] == "ITI-55"]
        refused = await asyncio.to_thread(site.cli, "log", "show", str(entry.seq), "--bodies")
        assert refused.returncode == 2
        both.append(await asyncio.to_thread(shown, site, entry.seq))
        acts = [e.fields["step"] for e in site.log() if e.fields.get("act") == "body-view"]
        assert acts == ["begun", "done"]
    assert both[0] == both[1]
    assert both[0]["request"]["text"].count("PRPA_IN201305UV02") > 0
    assert both[0]["response"]["text"].count("PRPA_IN201306UV02") > 0
    assert not both[0]["request"]["cut"]
