"""What a network's authority decided about trust, and the anchors that follow from it. Pure.

The authority says what a listed anchor may vouch for, how revocation is checked below it, and
whether keys below 128-bit strength are refused under it. A member may be stricter, never laxer: it
adds the same certificate as an anchor of its own, with fewer uses or a stricter rule, or sets
``trust.minimum_strength = "deny"`` (``joined``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from trust.anchors import Anchor
from trust.certificates import parse_certificates
from trust.chain import Strength, check_anchor
from trust.errors import TrustError
from trust.network_list.deny import DeniedKeys
from trust.network_list.listing import DenyList, ListedAnchor, NetworkPolicy, terms_of
from trust.revocation_policy import stricter


@dataclass(frozen=True, slots=True, kw_only=True)
class Authority:
    """What stands under the signature of the registrar alone, without any QHIN's entries.

    Attributes:
        digest: of the snapshot.
        version: of the snapshot.
        signed_at: when the timestamp was made, or ``None`` where the publisher does not say.
        policy: what the authority decided.
        deny: the keys that nobody may use.
        anchors: the files ``anchors/*.pem``.
    """

    digest: str
    version: int
    signed_at: datetime | None
    policy: NetworkPolicy
    deny: DenyList
    anchors: tuple[ListedAnchor, ...]


def listed_anchors(authority: Authority) -> tuple[Anchor, ...]:
    """The anchors of a list; one that is no CA certificate of sufficient strength is left out."""
    return tuple(_anchors(authority))


def _anchors(authority: Authority) -> Iterator[Anchor]:
    policy = authority.policy
    for listed in authority.anchors:
        try:
            certificates = parse_certificates(listed.pem)
        except TrustError:
            continue
        # As at home: its nature is judged here, its dates with every chain.
        at = certificates[0].not_valid_before_utc
        if len(certificates) != 1 or check_anchor(certificates[0], now=at) is not None:
            continue
        terms = terms_of(policy, listed.file)
        yield Anchor(
            certificate=certificates[0],
            label=listed.name,
            network=policy.network[:100],
            uses=terms.uses,
            added=None,
            revocation=terms.revocation,
            strength=Strength(policy.minimum_strength),
            local=False,
            listed=True,
        )


def joined(
    local: Iterable[Anchor], listed: Iterable[Anchor], denied: DeniedKeys
) -> tuple[Anchor, ...]:
    """The anchors of a node: its own and those of its network, without denied ones.

    Where both have the same certificate, it is used at most as both say, under the stricter rules.
    """
    by_list: Mapping[str, Anchor] = {anchor.fingerprint: anchor for anchor in listed}
    own = [_both(anchor, by_list.get(anchor.fingerprint)) for anchor in local]
    known = {anchor.fingerprint for anchor in own}
    every = (*own, *(anchor for name, anchor in by_list.items() if name not in known))
    allowed = (anchor for anchor in every if denied.denial(anchor.certificate) is None)
    return tuple(sorted(allowed, key=lambda a: (a.network, a.label, a.fingerprint)))


def _both(local: Anchor, listed: Anchor | None) -> Anchor:
    if listed is None:
        return local
    return replace(
        local,
        uses=tuple(use for use in local.uses if use in listed.uses),
        revocation=stricter(local.revocation, listed.revocation),
        strength=listed.strength,
        listed=True,
    )
