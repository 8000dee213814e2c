"""The keys of a node home that need no certificate: made, switched, opened.

They are versions as those of every identity are (node/identity_store.py). A new key is proved as
soon as it is made. While one takes over from another, both sign: the one that is retired ends that.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from node.errors import OurFault
from node.identity import LogKey, passphrase, version_files
from node.identity_store import begin, changing, make_live, note, versions
from node.settings import NodeHome, Settings
from trust.agreement_key import generate_agreement_key, rehearse_agreement_key
from trust.errors import TrustError
from trust.expiry import log_key_lifetime
from trust.key_floor import Finding
from trust.keys import load_agreement_key, load_log_key
from trust.lifecycle import IdentityRecord, State, Verb, active, of_version, waiting
from trust.log_key import LogKeySigner, generate_log_key, rehearse_log_key


def make_log_key(
    home: NodeHome, settings: Settings, *, now: datetime, name: LogKey = LogKey.LOG
) -> IdentityRecord:
    """Make a key that waits for its switch; the first one is put in use.

    Raises:
        SettingsError: ``identity-busy``.
        TrustError: when it cannot be written.
        OurFault: ``identity-trial-failed``.
    """
    with changing(home, name, now=now) as records:
        agrees = name is LogKey.AGREEMENT
        key = generate_agreement_key() if agrees else generate_log_key()
        finding = _rehearse(key)
        if finding is not None:
            raise OurFault("identity-trial-failed", finding.sentence, detail=finding.code)
        record = begin(home, name, key, passphrase=passphrase(settings), now=now)
        record = replace(
            record.after(Verb.PROVE, now=now),
            not_before=now,
            not_after=now + log_key_lifetime(),
        )
        note(home, name, record, now=now)
        if active(records) is None:
            switched = make_live(home, name, record.version, now=now)
            record = of_version(switched, record.version)
    return record


def log_signers(
    home: NodeHome,
    settings: Settings,
    *,
    now: datetime,
    name: LogKey = LogKey.LOG,
    states: Collection[State] = (State.ACTIVE, State.RETIRING),
) -> tuple[LogKeySigner, ...]:
    """Everything that signs a checkpoint now: the key in use first, then those that retire.

    ``states`` are those of other versions of the key, where it is not about signing now.

    Raises:
        TrustError: when a key cannot be opened.
    """
    records = versions(home, name, now=now)
    signing = sorted(
        (r for r in records if r.state in states),
        key=lambda r: (r.state is not State.ACTIVE, -r.version),
    )
    return tuple(_signer(home, settings, name, record) for record in signing)


def waiting_log_key(
    home: NodeHome, name: LogKey, *, version: int | None, now: datetime
) -> IdentityRecord:
    """The version that a switch would take. Raises ``TrustError`` ``version-unknown``."""
    records = versions(home, name, now=now)
    chosen = of_version(records, version) if version is not None else waiting(records)
    if chosen is None:
        raise TrustError("version-unknown", f"No version of the {name} key waits.")
    return chosen


def try_log_key(
    home: NodeHome, settings: Settings, name: LogKey, record: IdentityRecord
) -> Finding | None:
    """Open a version's key and use it; why it failed, or ``None``. Raises ``TrustError``."""
    if name is LogKey.AGREEMENT:
        return _rehearse(_agreement_key(home, settings, record))
    return _rehearse(_signer(home, settings, name, record).key)


def agreement_keys(
    home: NodeHome, settings: Settings, *, now: datetime
) -> tuple[X25519PrivateKey, ...]:
    """The keys that peers may know us by: the one in use first, then those that retire.

    Raises:
        TrustError: when a key cannot be opened.
    """
    records = versions(home, LogKey.AGREEMENT, now=now)
    known = sorted(
        (r for r in records if r.state in (State.ACTIVE, State.RETIRING)),
        key=lambda r: (r.state is not State.ACTIVE, -r.version),
    )
    return tuple(_agreement_key(home, settings, record) for record in known)


def _rehearse(key: X25519PrivateKey | Ed25519PrivateKey) -> Finding | None:
    if isinstance(key, X25519PrivateKey):
        return rehearse_agreement_key(key)
    return rehearse_log_key(LogKeySigner(key=key))


def _agreement_key(home: NodeHome, settings: Settings, record: IdentityRecord) -> X25519PrivateKey:
    files = version_files(home, LogKey.AGREEMENT, record.version)
    return load_agreement_key(files.key, passphrase=passphrase(settings))


def _signer(
    home: NodeHome, settings: Settings, name: LogKey, record: IdentityRecord
) -> LogKeySigner:
    files = version_files(home, name, record.version)
    return LogKeySigner(key=load_log_key(files.key, passphrase=passphrase(settings)))
