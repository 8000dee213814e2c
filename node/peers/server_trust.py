"""Whether the server at a peer's address is that peer: judged before anything is sent."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from cryptography import x509

from node.errors import TheirFault
from node.model import Peer
from trust.binder import Binder
from trust.binding import BindingVerdict, OrganizationTrust, PresentedKeys
from trust.tls import PeerCertificates
from trust.usages import Usage

ServerJudge = Callable[[Peer, PeerCertificates], BindingVerdict]
"""Says how, and whether, the certificate that a peer's server shows is bound to it."""


def bound_server(
    trust_of: Callable[[Peer], OrganizationTrust],
    binder: Binder,
    now: Callable[[], datetime],
    seen: Callable[[Peer, x509.Certificate], None] = lambda _peer, _leaf: None,
) -> ServerJudge:
    """A judge that binds a server's TLS certificate to the organisation that is asked.

    Args:
        trust_of: pins and host names of a peer, as authentication of its requests uses them.
        binder: the authorised anchors, and whether a peer without pins may be asked.
        now: the current time.
        seen: told of the certificate of a peer to which it is bound; must not wait.
    """

    def judge(peer: Peer, certificates: PeerCertificates) -> BindingVerdict:
        verdict = binder.bind(
            PresentedKeys(
                tls_leaf=certificates.leaf,
                intermediates=certificates.intermediates,
                tls_usage=Usage.TLS_SERVER,
            ),
            trust_of(peer),
            now=now(),
        )
        if verdict.ok:
            seen(peer, certificates.leaf)
        return verdict

    return judge


def not_bound(verdict: BindingVerdict) -> TheirFault:
    """The fault of a server that is not bound; the binding's own reason is its detail."""
    return TheirFault(
        "peer-not-bound",
        f"The server at the peer's address is not bound to it: {verdict.sentence}",
        detail=verdict.reason_code,
    )
