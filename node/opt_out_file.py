"""The opt-out list in force: the file is read again when it changes."""

from __future__ import annotations

from pathlib import Path

from node.errors import SettingsError
from node.policy.opt_out import OptOuts, parse_opt_outs


class OptOutFile:
    """Gives the list of a file; a changed file counts from the next request on."""

    def __init__(self, path: Path | None) -> None:
        """``None``: nobody opted out. Raises ``SettingsError`` when the file cannot be read."""
        self._path = path
        self._stamp: tuple[int, int] | None = None
        self._opt_outs = OptOuts()
        self.current()

    def current(self) -> OptOuts:
        """The list now.

        Raises:
            SettingsError: when the file has become unreadable or wrong. Then requests fail rather
                than being answered as if nobody had opted out.
        """
        if self._path is None:
            return self._opt_outs
        try:
            status = self._path.stat()
            stamp = (status.st_mtime_ns, status.st_size)
            if stamp != self._stamp:
                self._opt_outs = parse_opt_outs(self._path.read_text(encoding="utf-8"))
                self._stamp = stamp
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(
                "opt-out-file-invalid", "The opt-out file cannot be read.", where=str(self._path)
            ) from error
        return self._opt_outs
