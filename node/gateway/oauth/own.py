"""Ourselves, as those behind our own clients: our directory entry, and who asks in our name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from node.exchange.ports import PeerEntry
from node.model import Code, HomeCommunityId, Principal


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnParty:
    """Our organisation.

    Attributes:
        entry: our directory entry as it is now; what our settings say while no directory has it.
        name: of the organisation.
        role: of those who ask, where nothing else is known of them (``principal.role``).
    """

    entry: Callable[[], PeerEntry]
    name: str
    organization_id: str
    home_community_id: HomeCommunityId
    role: Code

    def principal(self, *, user_id: str, name: str, purpose: Code) -> Principal:
        """A person or a system of ours, who asks for a purpose."""
        return Principal(
            subject_id=name,
            user_id=user_id,
            organization=self.name,
            organization_id=self.organization_id,
            home_community_id=self.home_community_id,
            role=self.role,
            purpose=purpose,
        )
