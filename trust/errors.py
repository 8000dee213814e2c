"""The one shape of every error in the project: a code, a sentence, whose side it is on, what to do.

Each package keeps a table ``data/errors.toml`` beside its code::

    [key-mismatch]
    party = "ours"          # ours | theirs | network
    retryable = false
    advice = "Import the certificate that was issued for this key, or make a new key."

and one exception family that names it. A code that is not in the table cannot be raised, so the
advice a person reads always exists. A refusal or an empty answer is a value, never an error.
"""

from __future__ import annotations

import tomllib
from enum import StrEnum
from functools import lru_cache
from importlib import resources
from typing import ClassVar


class Party(StrEnum):
    """Whose side a fault is on."""

    OURS = "ours"
    THEIRS = "theirs"
    NETWORK = "network"


@lru_cache
def error_table(package: str) -> dict[str, dict[str, str | bool]]:
    """The error codes of a package, read from its ``data/errors.toml``.

    Raises:
        FileNotFoundError: when the package has no such table.
    """
    text = resources.files(package).joinpath("data/errors.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


class CodedError(Exception):
    """An error with a code from its package's table.

    Attributes:
        code: the key in the table.
        sentence: what happened, in words that are safe to show to anybody (no PHI, no secrets).
        detail: more for our own log, or ``None``; never sent to a peer.
        where: the place in a message or file (XPath, offset, path), or ``None``.
    """

    table_package: ClassVar[str]

    def __init__(
        self, code: str, sentence: str, *, detail: str | None = None, where: str | None = None
    ) -> None:
        """Raises KeyError when the code is not in the table: an unknown code is a bug."""
        super().__init__(sentence)
        self.code = code
        self.sentence = sentence
        self.detail = detail
        self.where = where
        self._row = error_table(self.table_package)[code]

    @property
    def party(self) -> Party:
        """Whose side the fault is on."""
        return Party(str(self._row["party"]))

    @property
    def retryable(self) -> bool:
        """Whether the same attempt may succeed later without anybody changing anything."""
        return bool(self._row["retryable"])

    @property
    def advice(self) -> str:
        """The next step for the person who reads this."""
        return str(self._row["advice"])

    def __str__(self) -> str:
        return f"{self.sentence} [{self.code}]"


class TrustError(CodedError):
    """A key, certificate, signature or assertion is not acceptable, or ours cannot be used."""

    table_package = "trust"
