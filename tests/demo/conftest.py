"""A sample network on disk, built once; nothing is started."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from node.demo.network import Network, build_network
from node.demo.people import cast
from node.demo.plan import NetworkPlan, made_plan


@pytest.fixture(scope="session")
def demo_plan() -> NetworkPlan:
    return made_plan(cast(), datetime.now(UTC))


@pytest.fixture(scope="session")
def demo_network(demo_plan: NetworkPlan, tmp_path_factory: pytest.TempPathFactory) -> Network:
    folder = tmp_path_factory.mktemp("demo") / "network"
    return build_network(demo_plan, folder, datetime.now(UTC), patience=6)
