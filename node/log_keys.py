"""The keys that sign the log's checkpoints in a node home: made, switched, opened.

They are versions as those of every identity are (node/identity_store.py). A new key is proved as
soon as it is made. While one takes over from another, both sign: the one that is retired ends that.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from node.errors import OurFault
from node.identity import LogKey, passphrase, version_files
from node.identity_store import begin, changing, make_live, note, versions
from node.settings import NodeHome, Settings
from trust.errors import TrustError
from trust.expiry import log_key_lifetime
from trust.key_floor import Finding
from trust.keys import load_log_key
from trust.lifecycle import IdentityRecord, State, Verb, active, of_version, waiting
from trust.log_key import LogKeySigner, generate_log_key, rehearse_log_key


def make_log_key(home: NodeHome, settings: Settings, *, now: datetime) -> IdentityRecord:
    """Make a key that waits for its switch; the first one is put in use.

    Raises:
        SettingsError: ``identity-busy``.
        TrustError: when it cannot be written.
        OurFault: ``identity-trial-failed``.
    """
    with changing(home, LogKey.LOG, now=now) as records:
        key = generate_log_key()
        finding = rehearse_log_key(LogKeySigner(key=key))
        if finding is not None:
            raise OurFault("identity-trial-failed", finding.sentence, detail=finding.code)
        record = begin(home, LogKey.LOG, key, passphrase=passphrase(settings), now=now)
        record = replace(
            record.after(Verb.PROVE, now=now),
            not_before=now,
            not_after=now + log_key_lifetime(),
        )
        note(home, LogKey.LOG, record, now=now)
        if active(records) is None:
            switched = make_live(home, LogKey.LOG, record.version, now=now)
            record = of_version(switched, record.version)
    return record


def log_signers(home: NodeHome, settings: Settings, *, now: datetime) -> tuple[LogKeySigner, ...]:
    """Everything that signs a checkpoint now: the key in use first, then those that retire.

    Raises:
        TrustError: when a key cannot be opened.
    """
    records = versions(home, LogKey.LOG, now=now)
    signing = sorted(
        (r for r in records if r.state in (State.ACTIVE, State.RETIRING)),
        key=lambda r: (r.state is not State.ACTIVE, -r.version),
    )
    return tuple(_signer(home, settings, record) for record in signing)


def waiting_log_key(home: NodeHome, *, version: int | None, now: datetime) -> IdentityRecord:
    """The version that a switch would take. Raises ``TrustError`` ``version-unknown``."""
    records = versions(home, LogKey.LOG, now=now)
    chosen = of_version(records, version) if version is not None else waiting(records)
    if chosen is None:
        raise TrustError("version-unknown", "No version of the log key waits.")
    return chosen


def try_log_key(home: NodeHome, settings: Settings, record: IdentityRecord) -> Finding | None:
    """Open a version's key and sign with it; why it failed, or ``None``. Raises ``TrustError``."""
    return rehearse_log_key(_signer(home, settings, record))


def _signer(home: NodeHome, settings: Settings, record: IdentityRecord) -> LogKeySigner:
    files = version_files(home, LogKey.LOG, record.version)
    return LogKeySigner(key=load_log_key(files.key, passphrase=passphrase(settings)))
