"""Small files of ours (keys, certificates, anchors), written whole or not at all."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from trust.errors import TrustError


def write_file(path: Path, data: bytes, *, mode: int = 0o644, replace: bool = False) -> None:
    """Writes a file durably under a temporary name, then gives it its name.

    Args:
        path: the final name; its folder must exist.
        data: the whole content.
        mode: permission bits, set before the first byte is written.
        replace: whether an existing file may be overwritten.

    Raises:
        TrustError: ``file-exists`` or ``file-not-written``.
    """
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        try:
            with os.fdopen(descriptor, "wb") as file:
                os.fchmod(descriptor, mode)  # the umask must not decide
                file.write(data)
                file.flush()
                os.fsync(descriptor)
            if replace:
                draft.replace(path)
            else:
                path.hardlink_to(draft)  # unlike a rename, fails when the name is taken
        finally:
            draft.unlink(missing_ok=True)
        _sync_folder(path.parent)
    except FileExistsError as error:
        raise TrustError(
            "file-exists", "A file exists already and was left as it is.", where=str(path)
        ) from error
    except OSError as error:
        raise TrustError(
            "file-not-written",
            "A file cannot be written.",
            detail=error.strerror,
            where=str(path),
        ) from error


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
