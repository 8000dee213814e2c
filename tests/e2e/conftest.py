"""One network of real processes for each test process; every node is started when first needed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from commands import Command, commands
from node_network import Network, Running, serving
from sample_world import ORIGINALS, World, write_opt_outs


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    network = Network(tmp_path_factory.mktemp("network"))
    asking = "\n[asking]\nper_peer_discovery_seconds = 20\n"
    sites = {
        "asker": network.add("asker", extra=asking),
        "clinic": network.add(
            "clinic", extra='opt_out_file = "opt-out.csv"\n[trust]\nallow_unpinned_peers = false\n'
        ),
        "slow": network.add("slow", listen="answer_delay_seconds = 4"),
        "payer": network.add("payer", initiates=("T-PYMNT",)),
        "lab": network.add("lab"),
        "stranger": network.add("stranger"),
    }
    write_opt_outs(sites["clinic"])
    network.join(unlisted=("stranger",), unpinned=("lab",))
    network.load("clinic", ORIGINALS)
    return World(network=network, **sites)


@pytest.fixture(scope="session")
def clinic(world: World) -> Iterator[Running]:
    with serving(world.clinic) as running:
        yield running


@pytest.fixture(scope="session")
def asker(world: World) -> Iterator[Running]:
    with serving(world.asker) as running:
        yield running


@pytest.fixture(scope="session")
def slow(world: World) -> Iterator[Running]:
    with serving(world.slow) as running:
        yield running


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs commands of sites in this process."""
    return commands(monkeypatch, capsys)
