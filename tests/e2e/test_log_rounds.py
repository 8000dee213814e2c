"""A running node goes round by itself: days are compared once, what fails is tried again later."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from node_network import Network, serving
from planting import YESTERDAY, Planted
from sqlalchemy import select

from node.live_trust import LiveTrust
from node.log_rounds import Rounds
from node.opened import opened_home
from node.promise_check import PromiseCheck
from node.reconciling import reconciling
from node.storage.tables import RECONCILED, REVIEW

pytestmark = pytest.mark.e2e


def test_a_day_is_compared_once_and_a_peer_that_was_away_later(
    tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = Network(tmp_path)
    a, b = network.add("a"), network.add("b")
    network.add("idle")
    network.join()
    planted = Planted()
    planted.exchange(a, b)
    planted.exchange(a, b, served=False)

    async def go() -> list[list[str]]:
        await planted.write(a, b)
        told = []
        with opened_home(a.home, a.settings) as opened:
            trust = LiveTrust(a.home, opened.clock.now)
            async with reconciling(opened, trust) as reconciler:
                rounds = Rounds(opened, reconciler, PromiseCheck(opened, reconciler))
                told.append([str(e.window) for e in await rounds.once()])  # nobody answers
                with serving(b):
                    told.append([str(e.window) for e in await rounds.once()])  # not yet again
                    monkeypatch.setattr("node.log_rounds._AGAIN", timedelta(0))
                    told.append([str(e.window) for e in await rounds.once()])
                    told.append([str(e.window) for e in await rounds.once()])
        return told

    assert asyncio.run(go()) == [[], [], [str(YESTERDAY)], []]
    with opened_home(a.home, a.settings) as opened, opened.engine.connect() as connection:
        (row,) = connection.execute(select(RECONCILED)).mappings()
        assert (row["peer"], row["window"], row["failure"]) == (b.hcid, str(YESTERDAY), None)
        (item,) = connection.execute(select(REVIEW)).mappings()
        assert item["kind"] == "omitted-there"
