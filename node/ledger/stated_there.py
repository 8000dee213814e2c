"""A peer's statement against the entry that its own log has of it, and against our statement. Pure.

The entry comes as a C2SP tlog-proof whose ``extra`` is the entry's bytes: nothing authenticates
``extra`` there, the inclusion proof of its hash does here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import date
from typing import BinaryIO, Final

from node.errors import LogError, OurFault
from node.ledger import leaf
from node.ledger.peer_log import PeerLog
from node.ledger.statement import HEAD_LINES, MAX_LINE, Head, Row, read_head, read_rows
from node.ledger.tlog.checkpoint import Checkpoint, parse_checkpoint
from node.ledger.tlog.note import parse_note
from node.ledger.tlog.policy import of_log
from node.ledger.tlog.proof import parse_proof, verify_proof

_PIECE: Final = 64 * 1024

MAX_PROOF: Final = 1024 * 1024
"""Bytes of the longest proof with its entry."""


def proved_entry(data: bytes, log: PeerLog) -> tuple[leaf.Leaf, Checkpoint]:
    """The entry that a proof shows to be in a log, and the checkpoint that it is under.

    Raises:
        LogError: as ``proof.parse_proof`` and ``proof.verify_proof``; ``log-proof-invalid`` for one
            of another log, or with bytes that are no entry.
    """
    proof = parse_proof(data)
    origin = parse_checkpoint(parse_note(proof.checkpoint).text).origin
    keys = log.of_year(origin)
    if not keys:
        raise LogError("log-proof-invalid", f"The proof is of the log {origin}, not {log.name}.")
    entry = proof.extra or b""
    accepted = verify_proof(proof, leaf.leaf_hash(entry), of_log(*keys))
    try:
        return leaf.decode(entry), accepted.checkpoint
    except OurFault as error:
        raise LogError("log-proof-invalid", f"What was proved: {error.sentence}") from error


def check_stated(fields: leaf.Leaf, *, peer: str, own: str, window: date) -> None:
    """Refuse an entry that is not the peer's of a statement for us about the window.

    Raises:
        LogError: ``log-statement-invalid``.
    """
    expected = {
        "kind": leaf.Kind.RECON.value,
        "own": peer,
        "peer": own,
        "window": window.isoformat(),
    }
    if any(fields.get(name) != value for name, value in expected.items()):
        raise _invalid("The entry that the peer shows is not that of this statement.")


class ReadStatement:
    """A statement in a file, whose text was checked against its entry."""

    def __init__(self, file: BinaryIO, entry: leaf.Leaf, *, most: int) -> None:
        """Hashes the file and reads its head.

        Raises:
            LogError: ``log-statement-invalid``; ``log-statement-limit`` past ``most`` rows.
        """
        if leaf.from_bytes(_sha256(file)) != entry.get("thing"):
            raise _invalid("The peer's log has an entry of another statement than it sent.")
        file.seek(0)
        self._lines = _lines(file)
        self.head = read_head([next(self._lines, b"") for _ in range(HEAD_LINES)])
        told = (entry.get("entries"), entry.get("root"))
        if told != (self.head.rows, leaf.from_bytes(self.head.root)):
            raise _invalid("The peer's log has another number of rows or root than its statement.")
        if self.head.rows > most:
            raise OurFault("log-statement-limit", f"A statement has {most} rows at most here.")

    def check_head(self, *, log: str, peer: str, own: str, window: date) -> Head:
        """The head, after checking whose statement it is.

        Raises:
            LogError: ``log-statement-invalid``.
        """
        head = self.head
        if (head.log, head.own, head.peer, head.window) != (log, peer, own, window):
            raise _invalid("The statement is of another log, pair or day.")
        return head

    def rows(self) -> Iterator[Row]:
        """The rows; to be read once. Raises as ``statement.read_rows``."""
        return read_rows(self._lines, self.head)


def _sha256(file: BinaryIO) -> bytes:
    file.seek(0)
    digest = hashlib.sha256()
    while piece := file.read(_PIECE):
        digest.update(piece)
    return digest.digest()


def _lines(file: BinaryIO) -> Iterator[bytes]:
    while line := file.readline(MAX_LINE + 1):
        # a line without its end, or too long, has no form that anything here takes
        yield line[:-1] if line.endswith(b"\n") else line + b"\n"


def _invalid(sentence: str) -> LogError:
    return LogError("log-statement-invalid", sentence)
