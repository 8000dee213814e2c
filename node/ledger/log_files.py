"""The files of a sealed log on disk: read with a limit, written whole or not at all, one writer.

Writing is draft, fsync, rename, fsync of the folder (facts: tamper-evident-log C6), so that a name
never stands for half a file, and a file that is named survives a crash. Each of these steps is told
to ``step`` before it is taken: tests stop the writer at every one of them.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from node.errors import LogError, OurFault

_DRAFT: Final = ".draft"
_LOCK: Final = ".lock"


def _no_step(_name: str, _path: Path) -> None:
    """Nobody listens."""


class LogFolder:
    """A folder with the files of a log; implements ``tlog.audit.LogReader``."""

    def __init__(self, path: Path, *, step: Callable[[str, Path], None] = _no_step) -> None:
        """``path`` need not exist before something is written."""
        self.path = path
        self._step = step

    def read(self, path: str, limit: int) -> bytes:
        """A file's bytes.

        Raises:
            LogError: ``log-file-missing``, ``log-file-unreadable``.
        """
        file = self.path / path
        try:
            with file.open("rb") as opened:
                # asked for what may come, not for the limit: memory is taken for all of it
                size = os.fstat(opened.fileno()).st_size
                data = opened.read(min(limit, size) + 1)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise LogError(
                "log-file-missing", f"The log has no file {path}.", where=str(file)
            ) from error
        except OSError as error:
            raise LogError(
                "log-file-unreadable",
                f"The file {path} of the log cannot be read.",
                detail=error.strerror,
                where=str(file),
            ) from error
        if len(data) > limit:
            raise LogError(
                "log-file-unreadable",
                f"The file {path} of the log is longer than {limit} bytes.",
                where=str(file),
            )
        return data

    def kept_checkpoints(self) -> list[str]:
        """The files of earlier checkpoints, smallest first."""
        folder = self.path / "checkpoints"
        found = folder.iterdir() if folder.is_dir() else ()
        sizes = sorted(int(file.name) for file in found if file.name.isdecimal())
        return [f"checkpoints/{size}" for size in sizes]

    def write(self, path: str, data: bytes) -> None:
        """Write a file durably under its name, in place of one that was there.

        Raises:
            OSError: the file that was there before, if any, is whole.
        """
        file = self.path / path
        self._make_folder(file.parent)
        draft = file.with_name(f"{file.name}{_DRAFT}")
        self._step("draft", file)
        with draft.open("wb") as opened:
            half = len(data) // 2
            opened.write(data[:half])
            opened.flush()
            self._step("half", file)
            opened.write(data[half:])
            opened.flush()
            self._step("fsync", file)
            os.fsync(opened.fileno())
        self._step("rename", file)
        draft.replace(file)
        self._step("fsync-folder", file)
        _sync(file.parent)

    def _make_folder(self, folder: Path) -> None:
        if folder.is_dir():
            return
        self._make_folder(folder.parent)
        self._step("folder", folder)
        folder.mkdir(exist_ok=True)
        _sync(folder.parent)

    def remove_partial(self, full: str) -> None:
        """Remove the partial forms of a tile or bundle that is full now."""
        folder = self.path / f"{full}.p"
        if folder.is_dir():
            self._step("remove", folder)
            shutil.rmtree(folder)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Be the one writer.

        Raises:
            OurFault: ``log-busy`` when another process seals this log.
        """
        self._make_folder(self.path)
        descriptor = os.open(self.path / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise OurFault("log-busy", "Another process seals this log.") from error
            yield
        finally:
            os.close(descriptor)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
