"""Whether the URI of a signer is an organisation's: a client's, or a server's base URL (pki A8).

A community's CA vouches for the URI; it does not say which directory entry that is. As in
``trust.binding``, pins decide where there are any; else the URI must name the organisation: its
home community id, or a host of its endpoints that no unrelated entry claims. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from trust.binding import BindingMethod, OrganizationTrust
from trust.certificates import comparable_host
from trust.key_floor import Finding


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedSigner:
    """A signer whose community is known.

    Attributes:
        uri: the URI of its SAN that it goes by.
        key: SPKI SHA-256 of its key, hex.
        vouched_locally: whether a person of this node trusts the anchor above it, and not only the
            signed list.
    """

    uri: str
    key: str
    vouched_locally: bool = True


def bind_uri(
    signer: NamedSigner,
    trust: OrganizationTrust,
    *,
    home_community_id: str,
    allow_unpinned: bool,
) -> BindingMethod | Finding:
    """How a signer is bound to an organisation, or why not.

    Args:
        signer: who signed.
        trust: what we know of the organisation.
        home_community_id: the organisation's.
        allow_unpinned: whether an organisation without pins may be bound by name.
    """
    if not signer.vouched_locally and not trust.listed:
        return Finding(
            code="signer-not-bound",
            sentence="Only the signed network list vouches for the signer, and it does not have "
            "this organisation.",
        )
    if trust.pins:
        if signer.key in trust.pins:
            return BindingMethod.PINNED
        return Finding(
            code="signer-not-bound",
            sentence="Keys of this organisation are pinned, and the signer's is none of them.",
        )
    if not allow_unpinned:
        return Finding(
            code="peer-not-pinned", sentence="The organisation has no pins, and we demand them."
        )
    return _named(signer.uri, trust, home_community_id) or BindingMethod.ANCHOR_AND_NAME


def _named(uri: str, trust: OrganizationTrust, home_community_id: str) -> Finding | None:
    """Why a URI does not name the organisation; ``None`` when it does."""
    if home_community_id and uri.partition("#")[0] == home_community_id:
        return None
    host = uri_host(uri)
    if host is None or host not in _comparable(trust.host_names | trust.manager_host_names):
        return Finding(
            code="signer-not-bound",
            sentence="The signer's URI names neither the organisation's home community id nor a "
            "host of its endpoints.",
        )
    if host in _comparable(trust.contested_host_names):
        return Finding(
            code="host-name-contested",
            sentence="The signer's URI names a host that unrelated entries claim as well.",
        )
    return None


def uri_host(uri: str) -> str | None:
    """The host of a URI, comparable, or ``None``."""
    try:
        host = urlsplit(uri).hostname
    except ValueError:
        return None
    return comparable_host(host) if host else None


def _comparable(hosts: frozenset[str]) -> frozenset[str]:
    return frozenset(found for host in hosts if (found := comparable_host(host)) is not None)
