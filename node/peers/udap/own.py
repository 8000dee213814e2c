"""What the UDAP client is told: a peer's server, and what we are to it."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

from node.errors import TrustError
from node.exchange.ports import Clock, PeerEntry
from node.peers.pool import Judge
from node.peers.udap.statements import OwnClient
from trust.binding import OrganizationTrust
from trust.signer import KeySigner
from trust.udap.signers import SignerKnowledge, san_uris


@dataclass(frozen=True, slots=True, kw_only=True)
class FhirServerAt:
    """A peer's FHIR server: its base address, whose it is, and who judges its connections."""

    entry: PeerEntry
    base_url: str
    trust: OrganizationTrust
    judge: Judge


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnSide:
    """What we are to the servers of peers.

    Attributes:
        client: our client for a purpose.
        signer: its key and certificate in use; raises ``TrustError``.
        knowledge: whom we trust at this moment.
        only_listed: fingerprints of anchors for which the signed list alone vouches.
        allow_unpinned: whether a peer without pins may be bound by name.
        clock: time and ids.
    """

    client: Callable[[str, KeySigner], OwnClient]
    signer: Callable[[str], KeySigner]
    knowledge: Callable[[], SignerKnowledge]
    only_listed: Callable[[], Collection[str]]
    allow_unpinned: bool
    clock: Clock


def own_uri(signer: KeySigner, purpose: str) -> str:
    """The URI of our certificate that we go by: its only one, or the one with the purpose.

    Raises:
        TrustError: ``certificate-name-missing``.
    """
    uris = san_uris(signer.certificate)
    named = [uri for uri in uris if purpose in uri] or list(uris)
    if len(named) != 1:
        raise TrustError(
            "certificate-name-missing", "Our FHIR client's certificate has no URI of its own."
        )
    return named[0]
