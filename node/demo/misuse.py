"""A peer that misuses the kept network, and the detector that finds it.

It asks the asking organisation about people who are no patients there, over the same sockets as
everybody. Then a detector is switched on, as a lead would, and looks: its flag is a case.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from node.demo.asking import principal_of
from node.demo.network import Network
from node.exchange.initiate import Initiator, LegEnded
from node.governance.detectors.backtest import backtest
from node.governance.detectors.catalogue import State
from node.governance.detectors.flags import flags
from node.governance.detectors.store import settings
from node.governance.detectors.trying import of_try
from node.governance.watching import watching
from node.ledger.private import load_key
from node.ledger.trust_log import operator
from node.model import Demographics, HomeCommunityId, PatientQuery
from node.opened import opened_home, trust_log

DETECTOR: Final = "D14"
_REASON: Final = "The sample network shows how a flag becomes a case."
_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What the detectors of the asking organisation found: sentences, and the cases made of it."""

    sentences: tuple[str, ...]
    cases: tuple[str, ...]


async def pry(network: Network, initiator: Initiator, people: Sequence[Demographics]) -> int:
    """Ask the asking organisation about these people; how many answers came."""
    if network.prying is None:
        raise ValueError("nobody pries in this network")
    principal = principal_of(network.prying, network.plan.purpose)
    target = HomeCommunityId(network.asking.organisation.home_community_id)
    ended = 0
    for person in people:
        query = PatientQuery(demographics=person)
        async for event in initiator.find_patients(
            principal, query, targets=[target], seconds=_SECONDS
        ):
            ended += isinstance(event, LegEnded)
    return ended


def find(network: Network, now: datetime) -> Found:
    """Switch the detector on at the asking organisation, and let it look."""
    node, author = network.asking, operator()
    with opened_home(node.home, node.settings) as opened:
        key = load_key(node.home.path)
        own = opened.home_community_id
        parts = watching(opened.engine, key, opened.directory, opened.index, own=own)
        setting = settings(opened.engine)[DETECTOR]
        tried = backtest(opened.engine, parts.looking(), setting, now=now)
        made = of_try(setting.detector, setting.limits, subjects=tried.subjects, flags=tried.flags)
        trust_log(opened, author).fact(made)
        parts.detectors.set(
            DETECTOR,
            author,
            login=str(author.who["user_id"])[:64],
            state=State.ON,
            limits={},
            reason=_REASON,
            now=now,
        )
        swept = parts.sweeper.run(now=now)
        found = flags(opened.engine, reader="", detector=DETECTOR)
        return Found(
            sentences=tuple(parts.names.sentence(flag) for flag in found), cases=swept.cases
        )
