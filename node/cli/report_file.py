"""Reports as files: whole and for their owner alone, or not there."""

from __future__ import annotations

from pathlib import Path

from node.ledger.export_file import PartialFile


def write_whole(out: Path, data: bytes) -> None:
    """A whole file that nobody but its owner reads, or none.

    Raises:
        SettingsError: ``export-exists``.
        OSError: when it cannot be written.
    """
    file = PartialFile(out, own=True)
    try:
        file.append(data)
        file.finish()
    except OSError:
        out.unlink()
        raise
    finally:
        file.close()
