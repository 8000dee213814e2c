"""Asks from the test's own process with the initiating side of a node home."""

from __future__ import annotations

from contextlib import aclosing

from messages import PERSON, principal
from node_network import Site

from node.app import Composition
from node.exchange.initiate import Initiator, LegEnded
from node.model import Leg, PatientQuery


async def ask_once(initiator: Initiator, by: Site, to: Site) -> Leg:
    """One discovery at one peer."""
    events = initiator.find_patients(
        principal(by), PatientQuery(demographics=PERSON), targets=[to.hcid], seconds=20
    )
    async with aclosing(events):
        (leg,) = [event.result.leg async for event in events if isinstance(event, LegEnded)]
    return leg


async def discovered(by: Site, to: Site) -> Leg:
    """The same with everything opened for it, as a command does."""
    async with Composition().initiator(by.home, by.settings) as initiator:
        return await ask_once(initiator, by, to)
