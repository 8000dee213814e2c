"""Who stands above an organisation: its parents, and who manages it.

Pure: ``by_id`` gives the organisation with a directory id, or ``None``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from directory.model import Organization

ById = Callable[[str], Organization | None]

_MAX_DEPTH: Final = 32


def ancestors(organization: Organization, by_id: ById) -> tuple[Organization, ...]:
    """The chain of parents, nearest first; it ends at a gap, a circle or 32 steps."""
    chain: list[Organization] = []
    seen = {organization.id}
    current: Organization | None = organization
    while current and current.part_of and current.part_of not in seen:
        seen.add(current.part_of)
        current = by_id(current.part_of)
        if current is None or len(chain) == _MAX_DEPTH:
            break
        chain.append(current)
    return tuple(chain)


def managing_organization(organization: Organization, by_id: ById) -> Organization | None:
    """The stated managing organisation; where none is stated, the topmost ancestor."""
    if organization.managing_organization is not None:
        return by_id(organization.managing_organization)
    chain = ancestors(organization, by_id)
    return chain[-1] if chain else None
