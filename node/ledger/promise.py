"""The promise of a log: "what I just answered is an entry of mine within a day". Pure.

The responding gateway gives one with every answer whose entry is durable (facts: tamper-evident-log
C8), as a header of the HTTP answer::

    Exchange-Log-Promise: <name> <msg> <t> <sig>

========== ======================================================================================
``name``   of the log without the year: what is answered in the year's last seconds may be sealed
           in either year's log
``msg``    the MessageID of the request that was answered: ``urn:uuid:`` and a UUID, lower case
``t``      when it was promised: RFC 3339, UTC, exactly milliseconds
``sig``    base64 of the key id (4 bytes, of the verifier key under ``name``) and the Ed25519
           signature (64 bytes) over the text below
========== ======================================================================================

What is signed, each line ending with a newline; no checkpoint begins like this, since its first
line is an origin, which has no blank::

    exchange log promise v1
    <name>
    <msg>
    <t>

An *absence statement* is the log's own word that it has no entry of a message; its text begins with
``exchange log absence v1`` and says also the size and root of the log at that time::

    exchange log absence v1
    <origin>
    <msg>
    <t>
    <size>
    <root>
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Final

from node.errors import LogError
from node.ledger import leaf
from node.ledger.tlog.checkpoint import parse_decimal
from node.ledger.tlog.cosignature import Sign, checks
from node.ledger.tlog.note import KeyType, VerifierKey, from_base64, to_base64

HEADER: Final = "Exchange-Log-Promise"
MAX_HEADER: Final = 512
"""Characters of the longest promise."""

_PROMISE: Final = "exchange log promise v1"
_ABSENCE: Final = "exchange log absence v1"
_NAME: Final = re.compile(r"[!-*,-~]{1,256}", re.ASCII)
_KEY_ID: Final = 4
_SIGNATURE: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Promise:
    """A promise as it came; nothing is verified yet."""

    name: str
    message_id: str
    t: str
    signature: bytes

    @property
    def text(self) -> bytes:
        """What is signed."""
        return _lines(_PROMISE, self.name, self.message_id, self.t)

    @property
    def time(self) -> datetime:
        """When it was given."""
        return datetime.fromisoformat(self.t)

    def __str__(self) -> str:
        return f"{self.name} {self.message_id} {self.t} {to_base64(self.signature)}"

    @property
    def digest(self) -> str:
        """SHA-256 (base64) of the header's value: what a leaf holds of it."""
        return leaf.from_bytes(sha256(str(self).encode()).digest())


@dataclass(frozen=True, slots=True, kw_only=True)
class Absence:
    """A log's word that it has no entry of a message."""

    origin: str
    message_id: str
    t: str
    size: int
    root: bytes
    signature: bytes = b""

    @property
    def text(self) -> bytes:
        """What is signed."""
        return _lines(
            _ABSENCE, self.origin, self.message_id, self.t, str(self.size), to_base64(self.root)
        )

    @property
    def time(self) -> datetime:
        """When it was said."""
        return datetime.fromisoformat(self.t)


def promised(name: str, message_id: str, now: datetime, key: VerifierKey, sign: Sign) -> Promise:
    """A promise, signed by the key whose verifier key under the log's name is ``key``."""
    t = leaf.from_time(now)
    text = _lines(_PROMISE, name, message_id, t)
    return Promise(name=name, message_id=message_id, t=t, signature=key.key_id + sign(text))


def parse_promise(value: str) -> Promise:
    """Read a header's value; nothing is verified.

    Raises:
        LogError: ``log-promise-invalid``.
    """
    parts = value.split(" ")
    if len(value) > MAX_HEADER or len(parts) != 4:  # noqa: PLR2004 - its four parts
        raise _invalid("A log promise does not have its four parts.")
    name, message_id, t, encoded = parts
    if not (_NAME.fullmatch(name) and leaf.fits("msg", message_id) and _is_time(t)):
        raise _invalid("A log promise has a part of another form.")
    return Promise(name=name, message_id=message_id, t=t, signature=_signature(encoded))


def verify_promise(promise: Promise, keys: Iterable[VerifierKey]) -> None:
    """Check a promise by the keys of a log, under its name without the year.

    Raises:
        LogError: ``log-promise-invalid``.
    """
    if not _signed(promise.signature, promise.name, promise.text, keys):
        raise _invalid("The signature of a log promise is not of a key of that log.")


def absence_signed(absence: Absence, key: VerifierKey, sign: Sign) -> bytes:
    """The statement as it is sent: its text, a blank line, its signature in base64."""
    signature = key.key_id + sign(absence.text)
    return absence.text + b"\n" + to_base64(signature).encode() + b"\n"


def parse_absence(data: bytes) -> Absence:
    """Read a statement; nothing is verified.

    Raises:
        LogError: ``log-promise-invalid``, ``log-note-invalid`` for a value's base64.
    """
    try:
        label, origin, message_id, t, size, root, blank, encoded, rest = data.decode("ascii").split(
            "\n"
        )
    except ValueError as error:
        raise _invalid("An absence statement does not have its lines.") from error
    number = parse_decimal(size)
    if label != _ABSENCE or blank or rest or number is None:
        raise _invalid("An absence statement has another form.")
    if not (_NAME.fullmatch(origin) and leaf.fits("msg", message_id) and _is_time(t)):
        raise _invalid("An absence statement has a part of another form.")
    return Absence(
        origin=origin,
        message_id=message_id,
        t=t,
        size=number,
        root=from_base64(root),
        signature=_signature(encoded),
    )


def verify_absence(absence: Absence, keys: Iterable[VerifierKey]) -> None:
    """Check a statement by the keys of that year's log.

    Raises:
        LogError: ``log-promise-invalid``.
    """
    if not _signed(absence.signature, absence.origin, absence.text, keys):
        raise _invalid("The signature of an absence statement is not of a key of that log.")


def _signed(signature: bytes, name: str, text: bytes, keys: Iterable[VerifierKey]) -> bool:
    return any(
        key.name == name
        and key.kind is KeyType.ED25519_NOTE
        and key.key_id == signature[:_KEY_ID]
        and checks(key, text, signature[_KEY_ID:])
        for key in keys
    )


def _signature(encoded: str) -> bytes:
    try:
        signature = from_base64(encoded)
    except LogError as error:
        raise _invalid("The signature of a log promise is not canonical base64.") from error
    if len(signature) != _KEY_ID + _SIGNATURE:
        raise _invalid("The signature of a log promise has another length.")
    return signature


def _is_time(text: str) -> bool:
    if not leaf.fits("t", text):
        return False
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True


def _lines(*lines: str) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode("ascii")


def _invalid(sentence: str) -> LogError:
    return LogError("log-promise-invalid", sentence)
