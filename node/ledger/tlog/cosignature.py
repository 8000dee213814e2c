"""What a key says with its signature: a log's own, and the timed statements of witnesses.

Both forms of C2SP tlog-cosignature: Ed25519 (type 04, over the checkpoint's text) and ML-DSA-44
(type 06, over origin, range and hash). Each carries its time in eight bytes before the signature.
The Ed25519 form does not name the witness: such a key must never serve two witnesses.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PublicKey

from node.errors import LogError
from node.ledger.tlog.checkpoint import Checkpoint, parse_checkpoint
from node.ledger.tlog.note import KeyType, VerifierKey

Sign = Callable[[bytes], bytes]

MAX_TIME: Final = 2**63 - 1
_TIME_BYTES: Final = 8
_LABEL: Final = b"subtree/v1\n\x00"
_LONGEST_NAME: Final = 255


def checks(key: VerifierKey, text: bytes, signature: bytes) -> bool:
    """Whether a key made this signature over a checkpoint's text (``note.Check``)."""
    match key.kind:
        case KeyType.ED25519_NOTE:
            return _ed25519(key.public, signature, text)
        case KeyType.ED25519_COSIGNATURE:
            time, value = _timed(signature)
            return time is not None and _ed25519(key.public, value, _v1_message(time, text))
        case KeyType.MLDSA44_COSIGNATURE:
            time, value = _timed(signature)
            if time is None:
                return False
            try:
                message = subtree_message(key.name, time, parse_checkpoint(text))
            except LogError:
                return False
            return _mldsa44(key.public, value, message)


def time_of(signature: bytes) -> int:
    """The time of a cosignature that was checked, seconds since 1970."""
    return int.from_bytes(signature[:_TIME_BYTES], "big")


def cosign(text: bytes, time: int, sign: Sign) -> bytes:
    """An Ed25519 cosignature of a checkpoint's text."""
    return time.to_bytes(_TIME_BYTES, "big") + sign(_v1_message(time, text))


def cosign_mldsa44(name: str, checkpoint: Checkpoint, time: int, sign: Sign) -> bytes:
    """An ML-DSA-44 cosignature of a checkpoint by the witness of this name.

    Raises:
        LogError: ``log-checkpoint-invalid`` for a name or origin that is too long.
    """
    return time.to_bytes(_TIME_BYTES, "big") + sign(subtree_message(name, time, checkpoint))


def subtree_message(name: str, time: int, checkpoint: Checkpoint) -> bytes:
    """What an ML-DSA-44 cosignature signs, the subtree being the whole tree.

    Raises:
        LogError: ``log-checkpoint-invalid`` for a name or origin that is too long.
    """
    return b"".join(
        (
            _LABEL,
            _with_length(name),
            time.to_bytes(8, "big"),
            _with_length(checkpoint.origin),
            (0).to_bytes(8, "big"),
            checkpoint.size.to_bytes(8, "big"),
            checkpoint.root,
        )
    )


def _v1_message(time: int, text: bytes) -> bytes:
    return f"cosignature/v1\ntime {time}\n".encode() + text


def _timed(signature: bytes) -> tuple[int | None, bytes]:
    time = int.from_bytes(signature[:_TIME_BYTES], "big")
    # SPEC: the timestamp must not exceed 2^63 - 1
    return (time if time <= MAX_TIME else None), signature[_TIME_BYTES:]


def _with_length(text: str) -> bytes:
    data = text.encode()
    if len(data) > _LONGEST_NAME:
        raise LogError(
            "log-checkpoint-invalid", f"A name of more than {_LONGEST_NAME} bytes is not cosigned."
        )
    return bytes([len(data)]) + data


def _ed25519(public: bytes, signature: bytes, message: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def _mldsa44(public: bytes, signature: bytes, message: bytes) -> bool:
    try:
        MLDSA44PublicKey.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True
