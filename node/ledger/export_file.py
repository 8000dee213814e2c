"""The file of an export: under its name only when it is whole, and honest where it is not.

It is written as ``NAME.partial`` and keeps that name unless it has everything. Whole pieces only
count: when a write fails or is interrupted, the file goes back to the end of the last whole piece,
and further back if there is no room even for the line that says so. No file is ever overwritten.
"""

from __future__ import annotations

import errno
import hashlib
import os
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import orjson

from node.errors import SettingsError

_OWN: Final = 0o600
_USUAL: Final = 0o666  # less what the umask takes away
_PIECES: Final = 4
_NO_LINKS: Final = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """What the file holds up to the end of a piece."""

    size: int = 0
    entries: int = 0
    first: int | None = None
    last: int | None = None
    digest: Any = field(default_factory=hashlib.sha256)

    @property
    def sha256(self) -> str:
        """SHA-256 of these bytes, hex."""
        return str(self.digest.hexdigest())


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where an export goes: the file, its manifest, and both while they are partial."""

    file: Path

    @property
    def manifest(self) -> Path:
        """Beside the file."""
        return self.file.with_name(f"{self.file.name}.manifest.json")

    @property
    def partial(self) -> Path:
        """The file's name until it is whole."""
        return self.file.with_name(f"{self.file.name}.partial")

    @property
    def partial_manifest(self) -> Path:
        """The manifest's name until then."""
        return self.file.with_name(f"{self.file.name}.partial.manifest.json")

    def check(self) -> None:
        """See that nothing is there.

        Raises:
            SettingsError: ``export-exists``; ``export-place-invalid`` for a terminal, a pipe or
                another thing that is no file.
        """
        if self.file.name in ("", "-", "..") or (
            self.file.exists() and not (self.file.is_file() or self.file.is_dir())
        ):
            raise SettingsError(
                "export-place-invalid",
                "An export is written to a file, never to a terminal or a pipe.",
                where=str(self.file),
            )
        for path in (self.file, self.manifest, self.partial, self.partial_manifest):
            if path.exists() or path.is_symlink():
                raise SettingsError("export-exists", "There is a file already.", where=str(path))

    def hand_over(self) -> None:
        """Give both files their names; the manifest first, so that the file never lacks it.

        Raises:
            SettingsError: ``export-exists`` when something came there meanwhile.
            OSError: when a name cannot be given.
        """
        _rename(self.partial_manifest, self.manifest)
        _rename(self.partial, self.file)
        _sync(self.file.parent)


class PartialFile:
    """The file while it is written."""

    def __init__(
        self, path: Path, *, own: bool, write: Callable[[int, bytes], int] = os.write
    ) -> None:
        """Make it; ``own`` lets nobody but its owner read it.

        Raises:
            SettingsError: ``export-exists``.
            OSError: when it cannot be made.
        """
        self._write = write
        self._handle = _created(path, own=own)
        self._marks = deque([Mark()], maxlen=_PIECES)

    @property
    def mark(self) -> Mark:
        """What is whole by now."""
        return self._marks[-1]

    def append(self, data: bytes, *, seqs: tuple[int, ...] = ()) -> None:
        """Add a piece with these entries.

        Raises:
            OSError: when it cannot be written; the piece does not count then.
        """
        self._all(data)
        self._marks.append(_after(self.mark, data, seqs))

    def cut(self, line: Callable[[Mark], bytes]) -> Mark:
        """End it where it is whole, with a line that says so; where that fits nowhere, without."""
        marks = list(self._marks)
        for mark in reversed(marks):
            try:
                self._back(mark)
                said = line(mark)
                self._all(said)
                os.fsync(self._handle)
            except OSError:
                continue
            self._marks.append(_after(mark, said, ()))
            return self.mark
        with suppress(OSError):
            self._back(marks[-1])
        return marks[-1]

    def finish(self) -> Mark:
        """See that it is on the disk.

        Raises:
            OSError: when it is not.
        """
        os.fsync(self._handle)
        return self.mark

    def close(self) -> None:
        """Nothing is written any more."""
        os.close(self._handle)

    def _back(self, mark: Mark) -> None:
        os.ftruncate(self._handle, mark.size)
        os.lseek(self._handle, mark.size, os.SEEK_SET)

    def _all(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            rest = rest[self._write(self._handle, rest) :]  # type: ignore[arg-type]


def write_manifest(path: Path, manifest: dict[str, object], *, own: bool) -> None:
    """Write a manifest to a new file.

    Raises:
        SettingsError: ``export-exists``.
        OSError: when it cannot be written.
    """
    with os.fdopen(_created(path, own=own), "wb") as file:
        try:
            file.write(orjson.dumps(manifest, option=orjson.OPT_INDENT_2) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        except OSError:
            path.unlink()  # half of one says nothing
            raise


def _after(mark: Mark, data: bytes, seqs: tuple[int, ...]) -> Mark:
    digest = mark.digest.copy()
    digest.update(data)
    return Mark(
        size=mark.size + len(data),
        entries=mark.entries + len(seqs),
        first=seqs[0] if mark.first is None and seqs else mark.first,
        last=seqs[-1] if seqs else mark.last,
        digest=digest,
    )


def _created(path: Path, *, own: bool) -> int:
    try:
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _OWN if own else _USUAL)
    except FileExistsError as error:
        raise SettingsError("export-exists", "There is a file already.", where=str(path)) from error


def _rename(old: Path, new: Path) -> None:
    """A rename that fails where something is: a second name, then the first one goes."""
    try:
        os.link(old, new)
    except FileExistsError as error:
        raise SettingsError("export-exists", "There is a file already.", where=str(new)) from error
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        # this file system has no links: what was looked for at the beginning is all there is
        old.rename(new)
        return
    old.unlink()


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
