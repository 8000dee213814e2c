"""The witness protocol of C2SP tlog-witness: its request, what a witness says to it, its answer.

A log asks a witness to sign a checkpoint, with a proof that it extends the one of size ``old`` that
the witness signed last::

    old 257
    wSVcpWZ8hTEvWbGSSTNwP6lTX3lFdvYSHBl3HkDNZk8=
    (at most 63 lines of proof)

    log.node-a.example/exchange/2026
    300
    roKuhaD/7GPvssK5e2GlWjyBVK07dfLex4YzLpBdpBE=

    — log.node-a.example/exchange/2026 iliz57aQ7Ne1…

The witness answers with its signature lines alone, or with a status that says why not.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from hashlib import sha256
from http import HTTPStatus
from typing import Final

from node.errors import LogError
from node.ledger.tlog.checkpoint import Checkpoint, parse_checkpoint, parse_decimal
from node.ledger.tlog.cosignature import checks, time_of
from node.ledger.tlog.merkle import HASH_BYTES, verify_consistency
from node.ledger.tlog.note import (
    Note,
    Signature,
    VerifierKey,
    from_base64,
    parse_note,
    to_base64,
    verified,
)

MAX_REQUEST: Final = 128 * 1024
"""Bytes of the longest request; C2SP leaves it to the witness."""

MAX_ANSWER: Final = 64 * 1024
"""Bytes of the longest answer: signature lines, or a checkpoint with them."""

MAX_PROOF: Final = 63
"""Lines of proof; a tree of 2^63 entries needs no more."""

SIZE_TYPE: Final = "text/x.tlog.size"
"""Content type of the size that a witness answers with, when the log was wrong about it."""

ADD_CHECKPOINT: Final = "add-checkpoint"


@dataclass(frozen=True, slots=True, kw_only=True)
class AddCheckpoint:
    """A request: the size that the witness signed last, the proof from there, the signed note."""

    old: int
    proof: tuple[bytes, ...]
    note: bytes

    def __bytes__(self) -> bytes:
        lines = (f"old {self.old}", *map(to_base64, self.proof), "")
        return "".join(f"{line}\n" for line in lines).encode() + self.note


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What a witness signed last of a log."""

    size: int
    root: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a witness says to a request.

    Attributes:
        status: of HTTP; 200 when it may be signed once that is durable.
        sentence: why not.
        size: what the witness signed last, where the log was wrong about it.
    """

    status: HTTPStatus
    sentence: str = ""
    size: int | None = None


def checkpoint_path(origin: str) -> str:
    """Where a witness shows the checkpoint that it signed last, below its address."""
    return f"{sha256(origin.encode()).hexdigest()}/checkpoint"


def parse_add_checkpoint(data: bytes) -> AddCheckpoint:
    """Read a request; the note is not looked into.

    Raises:
        LogError: ``log-witness-request-invalid``.
    """
    head, blank, note = data.partition(b"\n\n")
    if len(data) > MAX_REQUEST or not blank:
        raise _bad_request(f"It has no blank line, or is longer than {MAX_REQUEST} bytes.")
    try:
        first, *lines = head.decode("ascii").split("\n")
    except UnicodeDecodeError as error:
        raise _bad_request("Its head is not ASCII.") from error
    word, _, number = first.partition(" ")
    old = parse_decimal(number)
    if word != "old" or old is None:
        raise _bad_request("It does not begin with the old size.")
    # SPEC: the client MUST NOT send more than 63 consistency proof lines
    if len(lines) > MAX_PROOF:
        raise _bad_request(f"It has more than {MAX_PROOF} lines of proof.")
    try:
        proof = tuple(map(from_base64, lines))
    except LogError as error:
        raise _bad_request("A line of its proof is not base64.") from error
    if any(len(each) != HASH_BYTES for each in proof):
        raise _bad_request("A line of its proof is no hash.")
    return AddCheckpoint(old=old, proof=proof, note=note)


def weigh(
    request: AddCheckpoint,
    point: Checkpoint,
    note: Note,
    keys: Collection[VerifierKey],
    seen: Seen | None,
) -> Verdict:
    """What a witness says to a request; pure, so it must be asked again when ``seen`` has changed.

    Args:
        request: as it came.
        point: the checkpoint of its note.
        note: the same with its signatures.
        keys: that the witness trusts for this origin; none when it does not know the log.
        seen: what it signed last of this log.
    """
    # SPEC: 404 when the checkpoint origin is unknown
    if not keys:
        return Verdict(status=HTTPStatus.NOT_FOUND, sentence="This witness does not know the log.")
    # SPEC: 403 when none of the signatures verify against a trusted public key
    try:
        verified(note, keys, checks)
    except LogError as error:
        return Verdict(status=HTTPStatus.FORBIDDEN, sentence=error.sentence)
    # SPEC: the old size MUST be equal to or lower than the checkpoint size, else 400
    if request.old > point.size:
        return Verdict(
            status=HTTPStatus.BAD_REQUEST, sentence="The old size is above that of the checkpoint."
        )
    # SPEC: 409 and the size, when the old size is not that of the latest cosigned checkpoint
    size = seen.size if seen else 0
    if request.old != size:
        return Verdict(status=HTTPStatus.CONFLICT, sentence="The old size is another.", size=size)
    return _weigh_proof(request, point, seen)


def _weigh_proof(request: AddCheckpoint, point: Checkpoint, seen: Seen | None) -> Verdict:
    good, bad = Verdict(status=HTTPStatus.OK), HTTPStatus.UNPROCESSABLE_ENTITY
    # SPEC: the proof MUST be empty if the old size is zero
    if request.old == 0 or seen is None:
        if request.proof:
            return Verdict(status=bad, sentence="Nothing is proved from an empty tree.")
        return good
    try:
        verify_consistency(
            size1=request.old,
            size2=point.size,
            root1=seen.root,
            root2=point.root,
            proof=request.proof,
        )
    except LogError as error:
        return Verdict(status=bad, sentence=error.sentence)
    return good


def cosignatures(
    body: bytes, text: bytes, keys: Iterable[VerifierKey], *, now: int, skew: int
) -> tuple[Signature, ...]:
    """The signatures of a witness in its answer, each verified over the checkpoint's text.

    Args:
        body: the answer.
        text: the checkpoint that it was asked to sign.
        keys: the witness's; lines of other keys are passed over.
        now: seconds since 1970.
        skew: by how many seconds the witness's clock may differ from ours.

    Raises:
        LogError: ``log-witness-invalid`` with the reason.
    """
    try:
        found = verified(parse_note(text + b"\n" + body), keys, checks)
    except LogError as error:
        raise _bad_answer(f"Its answer is no signature of this checkpoint: {error.sentence}") from (
            error
        )
    for each in found:
        away = time_of(each.value) - now
        if abs(away) > skew:
            when = "in the future" if away > 0 else "ago"
            raise _bad_answer(f"Its signature says that it was made {abs(away)} seconds {when}.")
    return found


def parse_size(body: bytes) -> int:
    """The size in the answer of a witness that signed another one last.

    Raises:
        LogError: ``log-witness-invalid``.
    """
    text = body.decode("ascii", "replace")
    size = parse_decimal(text.removesuffix("\n"))
    if size is None:
        raise _bad_answer("It says that the old size is another, and not which.")
    return size


def shown_checkpoint(
    body: bytes, origin: str, keys: Iterable[VerifierKey]
) -> tuple[Checkpoint, Note]:
    """The checkpoint that a witness shows as the last one of ours, which we must have signed.

    Raises:
        LogError: ``log-witness-invalid``: it proves nothing.
    """
    try:
        note = parse_note(body)
        point = parse_checkpoint(note.text)
        if point.origin != origin:
            raise _bad_answer("It shows a checkpoint of another log.")
        verified(note, keys, checks)
    except LogError as error:
        if error.code == "log-witness-invalid":
            raise
        raise _bad_answer(
            f"It shows a checkpoint that no key of ours signed: {error.sentence}"
        ) from error
    return point, note


def _bad_request(sentence: str) -> LogError:
    return LogError("log-witness-request-invalid", f"This is no add-checkpoint request. {sentence}")


def _bad_answer(sentence: str) -> LogError:
    return LogError("log-witness-invalid", f"The witness cannot be believed. {sentence}")
