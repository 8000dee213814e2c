"""What the responding side says of itself, and of the documents that it is about to send."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from node.model import DocumentEntry, HomeCommunityId, RegistryError, ResponseStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnNode:
    """What the responding side says of itself.

    ``responds`` gives the purposes answered now; they may change with the directory.
    ``quiet_opt_out``: at discovery a patient who opted out is answered as "no match", so that the
    peer does not learn that the person is known here; the ledger says what really happened.
    """

    home_community_id: HomeCommunityId
    organization_name: str
    responds: Callable[[], frozenset[str]]
    repository_unique_id: str
    quiet_opt_out: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedDocuments:
    """The answer of ITI-39 before its bytes: which documents follow, what could not be served."""

    status: ResponseStatus
    documents: tuple[DocumentEntry, ...] = ()
    errors: tuple[RegistryError, ...] = ()
