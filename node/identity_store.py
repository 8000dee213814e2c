"""The versions of our identities in a node home: read, begun, noted, made live.

``trust.lifecycle`` says what may happen; here it is written down, so that a crash at any point
leaves either the old identity in use or the new one, whole (facts pki A4). The file ``live`` is the
truth about what is in use; a history that lags behind it is put right when it is read. One writer
at a time holds a lock on the role's folder.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from node.errors import SettingsError
from node.identity import (
    Identity,
    IdentityFiles,
    history_file,
    identity_files,
    live_file,
    live_text,
    live_version,
    newest_version,
    plain_files,
    version_files,
)
from node.settings import NodeHome
from node.token import keep_key
from trust.certificate_import import SerialName, serial_name
from trust.certificates import fingerprint, load_certificates
from trust.errors import TrustError
from trust.files import write_file
from trust.keys import AnyPrivateKey, spki_sha256
from trust.lifecycle import (
    GONE,
    MAX_HISTORY_BYTES,
    IdentityRecord,
    Records,
    State,
    Verb,
    active,
    next_version,
    read_history,
    replaced,
    settled,
    switched,
    write_history,
)


def versions(home: NodeHome, role: Identity, *, now: datetime) -> Records:
    """The versions of a role; plain files from elsewhere count as a version 1 that is in use.

    Raises:
        TrustError: ``identity-history-invalid``, ``lifecycle-refused``, and those of a certificate.
    """
    try:
        with history_file(home, role).open("rb") as file:
            records = read_history(file.read(MAX_HISTORY_BYTES + 1))
    except (FileNotFoundError, NotADirectoryError):
        return _plain(home, role, now=now)
    return settled(records, live_version(home, role), now=now)


@contextmanager
def changing(home: NodeHome, role: Identity, *, now: datetime) -> Iterator[Records]:
    """Hold the role's lock; yields its versions, plain files taken over into the first.

    Raises:
        SettingsError: ``identity-busy`` when another command is changing the role.
        TrustError: as ``versions``, and when files cannot be written.
    """
    folder = live_file(home, role).parent
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise SettingsError(
                "identity-busy", f"Another command is changing the {role} identity."
            ) from error
        records = versions(home, role, now=now)
        if records and not history_file(home, role).exists():
            _take_over(home, role, records)
        _sweep(home, role, records)
        yield records
    finally:
        os.close(descriptor)


def begin(
    home: NodeHome, role: Identity, key: AnyPrivateKey, *, passphrase: bytes | None, now: datetime
) -> IdentityRecord:
    """Begin a new version with a key; call inside ``changing``.

    Raises:
        TrustError: ``versions-exhausted``, and when the key cannot be written.
    """
    records = versions(home, role, now=now)
    number = max(next_version(records), (newest_version(home, role) or 0) + 1)
    files = version_files(home, role, number)
    files.key.parent.mkdir(mode=0o700, parents=True)
    keep_key(files.key, key, passphrase=passphrase)
    record = IdentityRecord(version=number, spki_sha256=spki_sha256(key))
    record = record.after(Verb.GENERATE, now=now)
    note(home, role, record, now=now)
    return record


def note(home: NodeHome, role: Identity, record: IdentityRecord, *, now: datetime) -> None:
    """Write down what became of a version; call inside ``changing``. Raises ``TrustError``."""
    records = replaced(versions(home, role, now=now), record)
    write_file(history_file(home, role), write_history(records), replace=True)
    _sweep(home, role, records)
    _link(home, role)


def make_live(home: NodeHome, role: Identity, version: int, *, now: datetime) -> Records:
    """Put a verified version in use, at one stroke; call inside ``changing``.

    Raises:
        TrustError: ``lifecycle-refused``, ``version-unknown``, ``file-not-written``.
    """
    records = switched(versions(home, role, now=now), version, now=now)
    # first what counts, then what is told of it
    write_file(live_file(home, role), live_text(version), replace=True)
    write_file(history_file(home, role), write_history(records), replace=True)
    _link(home, role)
    return records


def end(
    home: NodeHome, role: Identity, version: int, verb: Verb, *, reason: str, now: datetime
) -> IdentityRecord:
    """Retire or compromise a version and delete its private key; call inside ``changing``.

    A compromised version that is in use stops being so: the role is without an identity then.

    Raises:
        TrustError: ``lifecycle-refused``, ``version-unknown``, ``file-not-written``.
    """
    records = versions(home, role, now=now)
    record = next((each for each in records if each.version == version), None)
    if record is None:
        raise TrustError("version-unknown", f"There is no version {version}.")
    record = replace(record.after(verb, now=now), reason=reason)
    if live_version(home, role) == version:
        live_file(home, role).unlink()
    note(home, role, record, now=now)
    return record


def described(record: IdentityRecord, files: IdentityFiles) -> IdentityRecord:
    """The record with the facts of the version's certificate. Raises ``TrustError``."""
    leaf = load_certificates(files.certificate)[0]
    return replace(
        record,
        certificate_sha256=fingerprint(leaf),
        not_before=leaf.not_valid_before_utc,
        not_after=leaf.not_valid_after_utc,
    )


def held_serials(home: NodeHome) -> frozenset[SerialName]:
    """Every certificate that was ever kept here, by issuer and serial; unreadable ones left out."""
    found: set[SerialName] = set()
    for path in (*home.keys.glob("*.pem"), *home.keys.glob("*/v*/*.pem")):
        with suppress(TrustError):
            found.add(serial_name(load_certificates(path)[0]))
    return frozenset(found)


def _plain(home: NodeHome, role: Identity, *, now: datetime) -> Records:
    """Files that were put right under ``keys/``, or a folder whose history is lost."""
    files = identity_files(home, role)
    if not files.certificate.exists():
        return ()
    leaf = load_certificates(files.certificate)[0]
    number = live_version(home, role) or newest_version(home, role) or 1
    record = IdentityRecord(version=number, spki_sha256=spki_sha256(leaf))
    return (described(record.after(Verb.ADOPT, now=now), files),)


def _take_over(home: NodeHome, role: Identity, records: Records) -> None:
    """Make the first version out of plain files, which become links."""
    (record,) = records
    plain, files = plain_files(home, role), version_files(home, role, record.version)
    files.key.parent.mkdir(mode=0o700, exist_ok=True)
    for source, target, mode in (
        (plain.request, files.request, 0o644),
        (plain.certificate, files.certificate, 0o644),
        (plain.key, files.key, 0o600),
    ):
        if source.is_file() and not target.exists():
            write_file(target, source.read_bytes(), mode=mode)
    write_file(live_file(home, role), live_text(record.version), replace=True)
    write_file(history_file(home, role), write_history(records), replace=True)
    _link(home, role)


def _sweep(home: NodeHome, role: Identity, records: Records) -> None:
    """Delete the private keys of versions that are gone."""
    for record in records:
        if record.state in GONE:
            version_files(home, role, record.version).key.unlink(missing_ok=True)


def _link(home: NodeHome, role: Identity) -> None:
    """Let the plain names point to the version in use, for people."""
    plain, files = plain_files(home, role), identity_files(home, role)
    for link, target in (
        (plain.key, files.key),
        (plain.certificate, files.certificate),
        (plain.request, files.request),
    ):
        draft = link.with_name(f".{link.name}.link")
        draft.unlink(missing_ok=True)
        if not target.exists():  # a link to nothing would end every copy of the home
            if link.is_symlink():
                link.unlink()
            continue
        draft.symlink_to(os.path.relpath(target, link.parent))
        draft.replace(link)


def standing(records: Records) -> State | None:
    """Where a role stands: with an active version, or as far as its newest one came."""
    found = active(records) or (records[-1] if records else None)
    return found.state if found else None


def key_files(home: NodeHome) -> list[Path]:
    """All files of private keys in a node home."""
    found = [*home.keys.glob("*"), *home.keys.glob("*/v*/*")]
    return sorted(path for path in found if path.suffix in (".key", ".kek") and path.exists())
