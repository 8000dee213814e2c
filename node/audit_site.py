"""This node as audit records name it."""

from __future__ import annotations

from node.ledger.audit import Site
from node.model import Authorization, Interaction, Transaction
from node.own_entry import address
from node.settings import Settings


def audit_site(settings: Settings) -> Site:
    """Name, community and addresses of the settings in force now, also for older entries."""
    return Site(
        name=settings.node.name,
        home_community_id=settings.node.home_community_id,
        address=settings.listen.public_url,
        addresses={transaction: address(settings, transaction) for transaction in Transaction}
        | dict.fromkeys((*Interaction, *Authorization), settings.fhir.public_url),
    )
