"""The directory's errors; the codes are in ``directory/data/errors.toml``."""

from __future__ import annotations

from trust.errors import CodedError, Party

__all__ = ["DirectoryError", "Party"]


class DirectoryError(CodedError):
    """A directory file, mapping, import or local setting is not acceptable."""

    table_package = "directory"
