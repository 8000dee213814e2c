"""One network of real processes for each test process; every node is started when first needed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from node_network import (
    SECOND_BORN,
    SECOND_FAMILY,
    SECOND_GIVEN,
    Network,
    Running,
    Site,
    cda,
    serving,
)

ORIGINALS = {
    "first.xml": cda(1),
    "second.xml": cda(2, padding=700_000),
    "third.xml": cda(
        3, family=SECOND_FAMILY, given=SECOND_GIVEN, born=SECOND_BORN, mrn="MRN-88231154"
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """``asker`` asks; ``clinic`` holds two documents of one person and one of another.

    ``slow`` answers late. ``payer`` may not ask for treatment, ``lab`` has no pins, ``stranger``
    stands in no directory; ``payer``, ``lab`` and ``stranger`` only ever ask.
    """

    network: Network
    asker: Site
    clinic: Site
    slow: Site
    payer: Site
    lab: Site
    stranger: Site


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


def write_opt_outs(site: Site, *rows: str) -> None:
    """Replace a site's opt-out file."""
    path = site.home.path / "opt-out.csv"
    path.write_text("\n".join(("assigning_authority,id", *rows)) + "\n", encoding="utf-8")


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
