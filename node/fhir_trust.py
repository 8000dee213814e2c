"""Whom the FHIR side trusts: communities made of the anchors of the networks, as they are now."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from node.identity import Certified, identity_files, signer
from node.live_trust import LiveTrust, TrustView
from node.settings import NodeHome, Settings
from trust.chain import Strength
from trust.errors import TrustError
from trust.signer import KeySigner
from trust.udap.signers import Community, SignerKnowledge
from trust.usages import Usage


class FhirTrust:
    """What signers are judged by; follows the anchors, CRLs and denials of the running node."""

    def __init__(self, home: NodeHome, settings: Settings, trust: LiveTrust) -> None:
        """``trust`` tells when the anchors are others.

        Raises:
            TrustError: when the network list with its denied keys cannot be read.
        """
        # brings all of TUF along, which most homes and commands have no use for
        from trust.network_list.live import LiveDenied  # noqa: PLC0415

        self._settings = settings
        self._trust = trust
        self._denied = LiveDenied(home.network)
        self._communities = _communities(trust.view, settings)
        trust.hold(self._take)

    def knowledge(self) -> SignerKnowledge:
        """What is known at this moment."""
        return SignerKnowledge(
            communities=self._communities,
            revocations=self._trust.revocations,
            denied=self._denied,
            floor=Strength(self._settings.trust.minimum_strength),
            trusted=self._trust.trusted,
        )

    def only_listed(self) -> frozenset[str]:
        """Fingerprints of the anchors for which the signed list alone vouches."""
        return frozenset(a.fingerprint for a in self._trust.view.anchors if not a.local)

    def _take(self, view: TrustView) -> Callable[[], None]:
        fresh = _communities(view, self._settings)

        def commit() -> None:
            self._communities = fresh

        return commit


def _communities(view: TrustView, settings: Settings) -> tuple[Community, ...]:
    found: list[Community] = []
    for network, uri in settings.fhir.communities.items():
        anchors = [a for a in view.anchors if a.network == network and Usage.UDAP_SIGNER in a.uses]
        found.append(
            Community(
                uri=uri,
                anchors=tuple(a.certificate for a in anchors),
                strict=frozenset(a.certificate for a in anchors if a.strength is Strength.DENY),
            )
        )
    return tuple(found)


class LiveSigner:
    """An identity's signer, opened again whenever its files are others."""

    def __init__(self, home: NodeHome, settings: Settings, identity: Certified) -> None:
        """Nothing is opened yet."""
        self._home = home
        self._settings = settings
        self._identity = identity
        self._opened: tuple[tuple[tuple[Path, int, int], ...], KeySigner] | None = None

    def __call__(self) -> KeySigner:
        """The signer in use.

        Raises:
            TrustError: when key or certificate cannot be used.
        """
        stamp = self._stamp()
        if self._opened is None or self._opened[0] != stamp:
            made = signer(self._home, self._settings, self._identity)
            self._opened = (stamp, made)
        return self._opened[1]

    def _stamp(self) -> tuple[tuple[Path, int, int], ...]:
        files = identity_files(self._home, self._identity)
        found = []
        for path in (files.certificate, files.key):
            try:
                status = path.stat()
            except OSError as error:
                raise TrustError(
                    "file-unreadable", "An identity has no certificate yet.", where=str(path)
                ) from error
            found.append((path, status.st_ino, status.st_mtime_ns))
        return tuple(found)
