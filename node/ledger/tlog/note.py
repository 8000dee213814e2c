"""Signed notes: a text, a blank line, and signature lines; the verifier keys that name signers.

A note looks so (C2SP signed-note)::

    log.node-a.example/exchange/2026
    300
    roKuhaD/7GPvssK5e2GlWjyBVK07dfLex4YzLpBdpBE=

    — log.node-a.example/exchange/2026 iliz57aQ7Ne1…

Base64 is taken in its one canonical form only: decoders ignore stray bits before the padding, and
a note with such a bit flipped would still verify.
"""

from __future__ import annotations

import binascii
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from hashlib import sha256
from typing import Final

from node.errors import LogError

MAX_NOTE: Final = 512 * 1024
"""Bytes of the longest note."""

MAX_SIGNATURES: Final = 64
"""Signatures of a note; C2SP asks for 16 at least."""

_KEY_ID: Final = 4
_MARK: Final = "\u2014 "  # an em dash and a space begin a signature line
_SPACE: Final = 0x20
_HEX: Final = 8


class KeyType(IntEnum):
    """What a key signs, the first byte of a verifier key; other types are not used here."""

    ED25519_NOTE = 0x01
    ED25519_COSIGNATURE = 0x04
    MLDSA44_COSIGNATURE = 0x06


_PUBLIC_BYTES: Final = {
    KeyType.ED25519_NOTE: 32,
    KeyType.ED25519_COSIGNATURE: 32,
    KeyType.MLDSA44_COSIGNATURE: 1312,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifierKey:
    """Who signs (``name``), how (``kind``), and the public key's bytes."""

    name: str
    kind: KeyType
    public: bytes

    @property
    def key_id(self) -> bytes:
        """Four bytes that name the key in a signature line."""
        named = self.name.encode() + b"\n" + bytes([self.kind]) + self.public
        return sha256(named).digest()[:_KEY_ID]

    def __str__(self) -> str:
        body = to_base64(bytes([self.kind]) + self.public)
        return f"{self.name}+{self.key_id.hex()}+{body}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """One signature line."""

    name: str
    key_id: bytes
    value: bytes

    @property
    def line(self) -> str:
        """As it stands in a note, without its end of line."""
        return f"{_MARK}{self.name} {to_base64(self.key_id + self.value)}"

    def is_of(self, key: VerifierKey) -> bool:
        """Whether it says to be of a key."""
        return self.name == key.name and self.key_id == key.key_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """A text that ends with a newline, and its signatures in order; nothing is verified yet."""

    text: bytes
    signatures: tuple[Signature, ...]

    def __bytes__(self) -> bytes:
        lines = "".join(f"{signature.line}\n" for signature in self.signatures)
        return self.text + b"\n" + lines.encode()


def to_base64(value: bytes) -> str:
    """Canonical base64 (RFC 4648 section 4)."""
    return binascii.b2a_base64(value, newline=False).decode("ascii")


def from_base64(text: str) -> bytes:
    """Bytes of canonical base64.

    Raises:
        LogError: ``log-note-invalid`` for any other spelling of the same bytes as well.
    """
    try:
        value = binascii.a2b_base64(text.encode("ascii"), strict_mode=True)
    except (binascii.Error, UnicodeEncodeError) as error:
        raise _invalid("A value is not base64.") from error
    if to_base64(value) != text:
        raise _invalid("A value is not canonical base64.")
    return value


def parse_verifier_key(text: str) -> VerifierKey:
    """A verifier key: ``name+hex8+base64(type ‖ public key)``.

    Raises:
        LogError: ``log-key-invalid``.
    """
    name, _, rest = text.partition("+")
    key_id, _, body = rest.partition("+")
    if not _is_name(name):
        raise _bad_key("A verifier key has no name.")
    try:
        data = from_base64(body)
    except LogError as error:
        raise _bad_key("A verifier key is not canonical base64.") from error
    try:
        kind = KeyType(data[0] if data else 0)
    except ValueError as error:
        raise _bad_key("A verifier key is of a type that is not used here.") from error
    if len(data) - 1 != _PUBLIC_BYTES[kind]:
        raise _bad_key("A verifier key has another length than its type.")
    key = VerifierKey(name=name, kind=kind, public=data[1:])
    if key.key_id.hex() != key_id:
        raise _bad_key("A verifier key and its key id do not belong together.")
    return key


def parse_note(data: bytes) -> Note:
    """Split a note; nothing is verified.

    Raises:
        LogError: ``log-note-invalid``.
    """
    if len(data) > MAX_NOTE:
        raise _invalid(f"A signed note is longer than {MAX_NOTE} bytes.")
    try:
        whole = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _invalid("A signed note is not UTF-8.") from error
    # SPEC: no ASCII control characters (below U+0020) other than newline
    if any(ord(character) < _SPACE and character != "\n" for character in whole):
        raise _invalid("A signed note has a control character.")
    # SPEC: the text and the signatures part at the last blank line
    body, blank, lines = whole.rpartition("\n\n")
    if not (blank and body and lines.endswith("\n")):
        raise _invalid("A signed note has no blank line before its signatures.")
    signatures = tuple(_signature(line) for line in lines[:-1].split("\n"))
    if len(signatures) > MAX_SIGNATURES:
        raise _invalid(f"A signed note has more than {MAX_SIGNATURES} signatures.")
    return Note(text=f"{body}\n".encode(), signatures=signatures)


def _signature(line: str) -> Signature:
    name, blank, body = line.removeprefix(_MARK).partition(" ")
    if not (line.startswith(_MARK) and blank and _is_name(name)):
        raise _invalid("A signed note has a line that is no signature.")
    value = from_base64(body)
    if len(value) <= _KEY_ID:
        raise _invalid("A signed note has an empty signature.")
    return Signature(name=name, key_id=value[:_KEY_ID], value=value[_KEY_ID:])


def _is_name(name: str) -> bool:
    # SPEC: non-empty, without Unicode spaces and plus
    return bool(name) and "+" not in name and not any(character.isspace() for character in name)


Check = Callable[[VerifierKey, bytes, bytes], bool]
"""Whether a key made a signature over a text: ``check(key, text, signature)``."""


def verified(note: Note, keys: Iterable[VerifierKey], check: Check) -> tuple[Signature, ...]:
    """The signatures of known keys, each verified; those of unknown keys are passed over.

    Raises:
        LogError: ``log-signature-invalid`` when a known key's signature is wrong, or when no
            signature is of a known key.
    """
    found: list[Signature] = []
    known = tuple(keys)
    for signature in note.signatures:
        for key in known:
            if not signature.is_of(key):
                continue
            # SPEC: a signature of a known key that does not verify makes the note invalid
            if not check(key, note.text, signature.value):
                raise LogError(
                    "log-signature-invalid", f"The signature of {key.name} does not verify."
                )
            found.append(signature)
    if not found:
        raise LogError("log-signature-invalid", "The note has no signature of a known key.")
    return tuple(found)


def signed(text: bytes, signing: Sequence[tuple[VerifierKey, Callable[[bytes], bytes]]]) -> Note:
    """A note signed by each key; the functions get the text and give the signature."""
    return Note(
        text=text,
        signatures=tuple(
            Signature(name=key.name, key_id=key.key_id, value=sign(text)) for key, sign in signing
        ),
    )


def with_others(note: Note, before: bytes | None, name: str) -> Note:
    """A note, with the signatures of others than ``name`` from an earlier note of the same text.

    Raises:
        LogError: ``log-note-invalid`` for the earlier note.
    """
    earlier = parse_note(before) if before is not None else None
    if earlier is None or earlier.text != note.text:
        return note
    others = tuple(each for each in earlier.signatures if each.name != name)
    return Note(text=note.text, signatures=(*note.signatures, *others))


def _invalid(sentence: str) -> LogError:
    return LogError("log-note-invalid", sentence)


def _bad_key(sentence: str) -> LogError:
    return LogError("log-key-invalid", sentence)
