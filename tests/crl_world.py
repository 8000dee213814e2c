"""CRLs of the loopback network's CA in a folder, for tests over real sockets."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding
from tls_network import network_ca

from trust.anchors import Anchor
from trust.ca_crl import issue_crl
from trust.crl import parse_crl
from trust.crl_intake import take_crl
from trust.live_revocation import LiveRevocations
from trust.revocation_policy import ANCHOR_DEFAULT, RevocationPolicy, RevocationRule, Unknown

SOFT = ANCHOR_DEFAULT
HARD = RevocationRule(policy=RevocationPolicy.REQUIRE_CRL, unknown=Unknown.HARD)


@dataclass
class Crls:
    """The CA's side (what it revoked) and ours (the folder, and what is known of it)."""

    folder: Path
    rule: RevocationRule = HARD
    number: int = 0
    revoked: dict[int, datetime] = field(default_factory=dict)
    known: LiveRevocations = field(init=False)

    def __post_init__(self) -> None:
        anchor = Anchor(
            certificate=network_ca().certificate,
            label="Loopback Root",
            network="test",
            added=datetime.now(UTC),
            revocation=self.rule,
        )
        self.known = LiveRevocations(self.folder, [anchor], now=datetime.now(UTC))

    def signed(self, *, age: timedelta = timedelta(0), **options) -> bytes:
        """A new CRL in DER form, made so long ago."""
        self.number += 1
        made = datetime.now(UTC) - age
        crl = issue_crl(network_ca(), self.revoked, number=self.number, now=made, **options)
        return crl.public_bytes(Encoding.DER)

    def publish(self, **options) -> None:
        """A new CRL, taken in as `crl import` does, and noticed as a running node does."""
        moment = datetime.now(UTC)
        root = network_ca().certificate
        take_crl(self.folder, parse_crl(self.signed(**options)), [(root,)], now=moment)
        assert self.known.refresh(now=moment)

    def revoke(self, certificate) -> None:
        self.revoked[certificate.serial_number] = datetime.now(UTC)
        self.publish()
