"""The checkpoint: which log, how many entries, which root (C2SP tlog-checkpoint)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from node.errors import LogError
from node.ledger.tlog.merkle import EMPTY_ROOT, HASH_BYTES, MAX_SIZE
from node.ledger.tlog.note import from_base64, to_base64

_DECIMAL: Final = re.compile(r"0|[1-9][0-9]{0,18}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """The statement that a log's signature makes.

    Attributes:
        origin: the log's name, a URL without scheme.
        size: entries of the tree.
        root: its root hash.
        extensions: further lines; we write none, and nothing here trusts them.
    """

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    @property
    def text(self) -> bytes:
        """The text that is signed."""
        lines = (self.origin, str(self.size), to_base64(self.root), *self.extensions)
        return "".join(f"{line}\n" for line in lines).encode()


def parse_decimal(text: str) -> int | None:
    """A number up to 2^63-1 in its one spelling, without leading zeros; else ``None``."""
    value = int(text) if _DECIMAL.fullmatch(text) else None
    return value if value is not None and value <= MAX_SIZE else None


def parse_checkpoint(text: bytes) -> Checkpoint:
    """Read the text of a note as a checkpoint.

    Raises:
        LogError: ``log-checkpoint-invalid``, ``log-note-invalid`` for the root's base64.
    """
    try:
        whole = text.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _invalid("A checkpoint is not UTF-8.") from error
    if not whole.endswith("\n"):
        raise _invalid("A checkpoint does not end with a newline.")
    origin, *rest = whole[:-1].split("\n")
    if not origin or len(rest) < 2:  # noqa: PLR2004  # size and root
        raise _invalid("A checkpoint has fewer than three lines.")
    size, root = parse_decimal(rest[0]), from_base64(rest[1])
    if size is None:
        raise _invalid("The size of a checkpoint is not a plain number.")
    if len(root) != HASH_BYTES:
        raise _invalid(f"The root of a checkpoint is not {HASH_BYTES} bytes long.")
    if size == 0 and root != EMPTY_ROOT:
        raise _invalid("The checkpoint of an empty log has another root than the empty one.")
    extensions = tuple(rest[2:])
    if not all(extensions):
        raise _invalid("A checkpoint has an empty line.")
    return Checkpoint(origin=origin, size=size, root=root, extensions=extensions)


def _invalid(sentence: str) -> LogError:
    return LogError("log-checkpoint-invalid", sentence)
