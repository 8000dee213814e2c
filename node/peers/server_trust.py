"""Whether the server at a peer's address is that peer: judged before anything is sent."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from node.errors import TheirFault
from node.model import Peer
from node.peers.soap_client import ServerJudge
from trust.anchors import AnchorSet
from trust.binding import OrganizationTrust, PresentedKeys, bind
from trust.chain import Strength
from trust.tls import PeerCertificates
from trust.usages import Usage


def bound_server(
    trust_of: Callable[[Peer], OrganizationTrust],
    anchors: Callable[[], AnchorSet],
    now: Callable[[], datetime],
    *,
    allow_unpinned: bool,
    floor: Strength = Strength.WARN,
) -> ServerJudge:
    """A judge that binds a server's TLS certificate to the organisation that is asked.

    The judge raises ``TheirFault`` ``peer-not-bound``; the binding's own reason is in its detail.

    Args:
        trust_of: pins and host names of a peer, as authentication of its requests uses them.
        anchors: the authorised anchors per use.
        now: the current time.
        allow_unpinned: whether a peer without pins may be asked.
        floor: what to do with keys below 128 bits of strength.
    """

    def judge(peer: Peer, certificates: PeerCertificates) -> None:
        verdict = bind(
            PresentedKeys(
                tls_leaf=certificates.leaf,
                intermediates=certificates.intermediates,
                tls_usage=Usage.TLS_SERVER,
            ),
            trust_of(peer),
            anchors(),
            allow_unpinned=allow_unpinned,
            now=now(),
            floor=floor,
        )
        if not verdict.ok:
            raise TheirFault(
                "peer-not-bound",
                "The server at the peer's address does not show a key of that organisation.",
                detail=f"{verdict.reason_code}: {verdict.sentence}",
            )

    return judge
