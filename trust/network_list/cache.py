"""What a member keeps on disk: the pinned root, fetched lists, and which of them is in use.

One folder::

    membership.json   where the list comes from
    root.json         the pinned root; its fingerprint is checked on every load
    metadata/         python-tuf's own state, against rollback
    lists/<sha256>    one immutable file per fetched list: its metadata
    targets/<sha256>  its other files, by content
    applied, pending  which list is in use, and which waits for approval

A pointer is replaced in one step, so a reader always sees one whole list. Every file is checked
again when it is read (``verify``).
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path

import orjson
from tuf.api.metadata import TargetFile

from trust.errors import TrustError
from trust.files import write_file
from trust.network_list.names import limit
from trust.network_list.verify import MetadataBytes

_NAME = re.compile(r"[0-9a-f]{64}")


class Slot(StrEnum):
    """A pointer to a list."""

    APPLIED = "applied"
    PENDING = "pending"


class ListCache:
    """The files of one membership; it checks hashes, ``verify`` checks signatures."""

    def __init__(self, folder: Path) -> None:
        """``folder`` need not exist yet."""
        self.folder = folder
        self.metadata = folder / "metadata"
        self.targets = folder / "targets"
        self._lists = folder / "lists"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Only one process at a time may fetch (python-tuf is not made for two).

        Raises:
            TrustError: ``network-busy``.
        """
        for folder in (self.metadata, self.targets, self._lists):
            folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(descriptor)
            raise TrustError(
                "network-busy", "Another process is fetching the network list."
            ) from error
        try:
            yield
        finally:
            os.close(descriptor)

    def keep(self, given: MetadataBytes, held: Mapping[str, str]) -> str:
        """Keeps the metadata of a list; returns its name. Raises ``file-not-written``.

        ``held`` is who held what two QHINs claim (``claims``), so that a later load decides alike.
        """
        data = orjson.dumps(
            {
                "roots": [root.decode() for root in given.roots],
                "timestamp": given.timestamp.decode(),
                "snapshot": given.snapshot.decode(),
                "targets": given.targets.decode(),
                "delegated": {role: data.decode() for role, data in given.delegated.items()},
                "held": dict(held),
            },
            option=orjson.OPT_SORT_KEYS,
        )
        name = hashlib.sha256(data).hexdigest()
        if not self._lists.joinpath(name).exists() or self._read(self._lists / name) != data:
            write_file(self._lists / name, data, replace=True)
        return name

    def kept(self, name: str) -> tuple[MetadataBytes, dict[str, str]]:
        """The metadata of a list, and who held what two QHINs claim.

        Raises:
            TrustError: ``network-cache-damaged``.
        """
        data = self._read(self._lists / name)
        if hashlib.sha256(data).hexdigest() != name:
            raise damaged()
        try:
            found = orjson.loads(data)
            held = {str(claim): str(qhin) for claim, qhin in found["held"].items()}
            metadata = MetadataBytes(
                roots=tuple(root.encode() for root in found["roots"]),
                timestamp=found["timestamp"].encode(),
                snapshot=found["snapshot"].encode(),
                targets=found["targets"].encode(),
                delegated={role: text.encode() for role, text in found["delegated"].items()},
            )
        except (orjson.JSONDecodeError, KeyError, AttributeError, TypeError) as error:
            raise damaged() from error
        return metadata, held

    def target(self, target: TargetFile) -> bytes:
        """The content of a target; the caller checks it. Raises ``network-cache-damaged``."""
        return self._read(self.target_path(target))

    def target_path(self, target: TargetFile) -> Path:
        """Where a target's content is kept.

        Raises:
            TrustError: ``network-list-invalid`` for a target without a SHA-256.
        """
        name = target.hashes.get("sha256", "")
        if not _NAME.fullmatch(name):
            raise TrustError("network-list-invalid", "A file of the network list has no SHA-256.")
        return self.targets / name

    def name_in(self, slot: Slot) -> str | None:
        """The list that a pointer names, or ``None``. Raises ``network-cache-damaged``."""
        path = self.folder / slot
        if not path.exists():
            return None
        name = self._read(path).decode("ascii", "replace").strip()
        if not _NAME.fullmatch(name):
            raise damaged()
        return name

    def point(self, slot: Slot, name: str | None) -> None:
        """Moves a pointer in one step; ``None`` removes it. Raises ``file-not-written``."""
        if name is None:
            (self.folder / slot).unlink(missing_ok=True)
        else:
            write_file(self.folder / slot, name.encode() + b"\n", replace=True)

    def forget_others(self, lists: set[str], targets: set[Path]) -> None:
        """Removes lists and targets that nothing points to."""
        for path in self._lists.iterdir():
            if path.name not in lists:
                path.unlink(missing_ok=True)
        for path in self.targets.iterdir():
            if path not in targets:
                path.unlink(missing_ok=True)

    def forget_all(self) -> None:
        """Removes everything, the pointers first, so that nothing half is in use."""
        for slot in Slot:
            self.point(slot, None)
        self.forget_others(set(), set())
        for path in self.metadata.rglob("*"):
            if not path.is_dir():
                path.unlink(missing_ok=True)

    def _read(self, path: Path) -> bytes:
        most = 4 * limit("targets_bytes") + limit("index_bytes")
        try:
            with path.open("rb") as file:
                data = file.read(most + 1)
        except OSError as error:
            raise damaged() from error
        if len(data) > most:
            raise damaged()
        return data


def damaged() -> TrustError:
    """The kept list is not what it was when it was checked."""
    return TrustError("network-cache-damaged", "The kept network list is damaged or was altered.")
