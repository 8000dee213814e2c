"""What runs out in a node home: everything that has an end, ours and what we depend on.

Our certificates with their chains, the log's keys, the anchors, CRLs, the certificates of peers
that were pinned by file or shown in handshakes, the network list's roles and its members' keys.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from functools import lru_cache
from pathlib import Path

import structlog
from cryptography import x509

from node.identity import (
    Certified,
    LogKey,
    all_identities,
    certified,
    client_anchors,
    network_anchors,
    version_files,
)
from node.identity import identity_files as files_in_use
from node.identity_store import versions
from node.network_ends import network_ends
from node.peer_certificates import peer_certificates
from node.settings import NodeHome
from node.shown_certificates import shown_ends
from trust.certificates import fingerprint, load_certificates
from trust.crl_store import MAX_CRLS, FileMark, folder_mark
from trust.errors import TrustError
from trust.expiry import Expiring, Kind, Owner
from trust.lifecycle import State

_log = structlog.get_logger(__name__)

_SERVED = (State.ACTIVE, State.VERIFIED, State.RETIRING)
_SHOWN_DIGITS = 8


def expiring(home: NodeHome, *, now: datetime) -> list[Expiring]:
    """Everything in the node home that has an end.

    Raises:
        TrustError: when an anchor, a certificate or a history cannot be read.
    """
    return [
        *(item for role in certified(home) for item in _identities(home, role, now)),
        *(item for name in LogKey for item in _log_keys(home, name, now)),
        *_anchors(home),
        *_peers(home),
        *shown_ends(home, now=now),
        *network_ends(home, now=now),
        *_local_clients(home),
        *_crls(home),
    ]


def seconds_left(home: NodeHome, now: datetime) -> dict[tuple[str, str], float]:
    """Seconds to each end, by kind and name, for the metrics; empty when a file is unreadable."""
    try:
        found = expiring(home, now=now)
    except TrustError as error:
        _log.error("expiry.unreadable", code=error.code)
        return {}
    return {(e.kind, e.name): (e.not_after - now).total_seconds() for e in found}


def _identities(home: NodeHome, role: Certified, now: datetime) -> Iterator[Expiring]:
    for record in versions(home, role, now=now):
        if record.state not in _SERVED:
            continue
        files = version_files(home, role, record.version)
        if not files.certificate.exists():
            files = files_in_use(home, role)  # plain files from elsewhere
        leaf, *chain = load_certificates(files.certificate)
        in_use = record.state is State.ACTIVE
        name = str(role) if in_use else f"{role} version {record.version} ({record.state})"
        # a version that retires is not renewed, and neither is one that has yet to begin
        yield _item(Kind.CERTIFICATE, name, leaf, renewable=in_use)
        for issuer in chain:
            yield _item(Kind.CHAIN, f"{name} chain {_short(issuer)}", issuer, Owner.NETWORK)


def _log_keys(home: NodeHome, name: LogKey, now: datetime) -> Iterator[Expiring]:
    for record in versions(home, name, now=now):
        if record.state in _SERVED and record.not_before and record.not_after:
            in_use = record.state is State.ACTIVE
            yield Expiring(
                kind=Kind.LOG_KEY,
                name=str(name) if in_use else f"{name} version {record.version} ({record.state})",
                not_after=record.not_after,
                lifetime=record.not_after - record.not_before,
                renewable=in_use,
            )


def _anchors(home: NodeHome) -> Iterator[Expiring]:
    for anchor in network_anchors(home):
        name = f"{anchor.label} {anchor.fingerprint[:_SHOWN_DIGITS]}"
        yield _item(Kind.ANCHOR, name, anchor.certificate, Owner.NETWORK)


def _peers(home: NodeHome) -> Iterator[Expiring]:
    for organization_id, leaf in peer_certificates(home):
        yield _item(Kind.PEER, f"{organization_id} {_short(leaf)}", leaf, Owner.PEER)


def _local_clients(home: NodeHome) -> Iterator[Expiring]:
    for certificate in client_anchors(home):
        yield _item(Kind.ANCHOR, f"local clients {_short(certificate)}", certificate)
    for file in sorted(home.keys.glob("*.pem")):
        name = file.stem
        if name not in all_identities(home) and file.with_suffix(".key").exists():
            leaf = load_certificates(file)[0]
            if leaf not in client_anchors(home):
                yield _item(Kind.CERTIFICATE, f"local client {name}", leaf, renewable=True)


def _crls(home: NodeHome) -> Iterator[Expiring]:
    for path, mark in sorted(folder_mark(home.crls).items()):
        try:
            yield _crl(path, mark)
        except (OSError, ValueError):
            continue  # `crl list` and `doctor` say that it cannot be used


@lru_cache(maxsize=MAX_CRLS)
def _crl(path: Path, mark: FileMark) -> Expiring:
    """A stored CRL, read once and without its entries: this is asked whenever metrics are."""
    _ = mark  # another file under the same name is another CRL
    crl = x509.load_pem_x509_crl(path.read_bytes())
    if crl.next_update_utc is None:
        raise ValueError("no nextUpdate")
    return Expiring(
        kind=Kind.CRL,
        name=f"CRL of {crl.issuer.rfc4514_string()} {path.stem[:_SHOWN_DIGITS]}",
        not_after=crl.next_update_utc,
        lifetime=crl.next_update_utc - crl.last_update_utc,
        owner=Owner.NETWORK,
    )


def _item(
    kind: Kind,
    name: str,
    certificate: x509.Certificate,
    owner: Owner = Owner.OURS,
    *,
    renewable: bool = False,
) -> Expiring:
    return Expiring(
        kind=kind,
        name=name,
        not_after=certificate.not_valid_after_utc,
        lifetime=certificate.not_valid_after_utc - certificate.not_valid_before_utc,
        owner=owner,
        renewable=renewable,
    )


def _short(certificate: x509.Certificate) -> str:
    return fingerprint(certificate)[:_SHOWN_DIGITS]
