"""A proof in one file that an entry is in the log, to be checked offline (C2SP tlog-proof)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from node.errors import LogError
from node.ledger.tlog.checkpoint import parse_decimal
from node.ledger.tlog.merkle import HASH_BYTES, verify_inclusion
from node.ledger.tlog.note import MAX_NOTE, from_base64, to_base64
from node.ledger.tlog.policy import Accepted, Policy, accept

_FIRST: Final = "c2sp.org/tlog-proof@v1"
MAX_HASHES: Final = 63
"""Hashes of the longest inclusion proof."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TlogProof:
    """The parts of the file; nothing is verified yet.

    Attributes:
        index: of the entry in the log.
        hashes: from the leaf's sibling to the root's child.
        checkpoint: the signed checkpoint, its bytes as they are.
        extra: opaque; nothing authenticates it.
    """

    index: int
    hashes: tuple[bytes, ...]
    checkpoint: bytes
    extra: bytes | None = None

    def __bytes__(self) -> bytes:
        lines = [_FIRST]
        if self.extra is not None:
            lines.append(f"extra {to_base64(self.extra)}")
        lines.append(f"index {self.index}")
        lines.extend(to_base64(each) for each in self.hashes)
        return "".join(f"{line}\n" for line in lines).encode() + b"\n" + self.checkpoint


def parse_proof(data: bytes) -> TlogProof:
    """Read a proof; nothing is verified.

    Raises:
        LogError: ``log-proof-invalid``, ``log-note-invalid`` for a value's base64.
    """
    if len(data) > 2 * MAX_NOTE:
        raise _invalid(f"A proof is longer than {2 * MAX_NOTE} bytes.")
    head, blank, checkpoint = data.partition(b"\n\n")
    try:
        first, *lines = head.decode("ascii").split("\n")
    except UnicodeDecodeError as error:
        raise _invalid("The head of a proof is not ASCII.") from error
    if first != _FIRST or not blank:
        raise _invalid(f"A proof does not begin with {_FIRST} or has no checkpoint.")
    extra = None
    if lines and lines[0].startswith("extra "):
        extra = from_base64(lines.pop(0).removeprefix("extra "))
    if not lines or not lines[0].startswith("index "):
        raise _invalid("A proof does not say the index of its entry.")
    index = parse_decimal(lines.pop(0).removeprefix("index "))
    if index is None:
        raise _invalid("The index of a proof is not a plain number.")
    hashes = tuple(from_base64(line) for line in lines)
    if len(hashes) > MAX_HASHES or any(len(each) != HASH_BYTES for each in hashes):
        raise _invalid(f"A proof has more than {MAX_HASHES} hashes, or one of another length.")
    return TlogProof(index=index, hashes=hashes, checkpoint=checkpoint, extra=extra)


def verify_proof(proof: TlogProof, leaf: bytes, policy: Policy) -> Accepted:
    """Check that the entry with this leaf hash is in a log that a policy accepts.

    Raises:
        LogError: as ``policy.accept`` and ``merkle.verify_inclusion``.
    """
    accepted = accept(policy, proof.checkpoint)
    verify_inclusion(
        index=proof.index,
        size=accepted.checkpoint.size,
        leaf=leaf,
        proof=proof.hashes,
        root=accepted.checkpoint.root,
    )
    return accepted


def _invalid(sentence: str) -> LogError:
    return LogError("log-proof-invalid", sentence)
