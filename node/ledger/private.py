"""The private record: the PHI of an entry, sealed group by group, each group erasable on its own.

A group (``who``, ``patient``, ``query``, ``docs``, ``wire``) is one blob in its own column::

    0x01 ‖ nonce(12) ‖ wrapped DEK(48) ‖ AES-256-GCM(DEK, salt(32) ‖ JSON bytes)

* the salt of the group's commitment is inside the ciphertext: with salts in the clear a stolen
  database would let birth dates be guessed against the leaves;
* the DEK is fresh for each group and used once, hence a zero nonce there. It is wrapped by
  AES-256-GCM under a key derived from the KEK for this entry alone, so that few encryptions are
  ever made under one key however long the log gets (a random 96-bit nonce allows 2^32);
* the associated data of both is ``entry id ‖ 0x00 ‖ group``: a blob moved to another entry or group
  does not open.

Erasing a group sets its column to NULL: salt, wrapped DEK and ciphertext go together. The leaf and
every proof about it stay valid.

**Finding by person.** Tokens are HMACs, under a second key derived from the KEK, of the patient
identifiers, the user id, the document ids and message ids of unusual form in a record. They stand
in a table of their own, are erased with the group they come from, and mean nothing without the KEK.

The KEK is ``keys/ledger.kek`` of the node home: 32 random bytes in base64, readable by its owner
only. Who loses it loses the private records, never the log.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import os
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from node.errors import OurFault, SettingsError
from node.ledger.commitment import SALT_LENGTH, hmac_sha256
from node.model import PatientId

KEY_FILE: Final = Path("keys") / "ledger.kek"
"""Where a node home keeps the KEK."""

KEY_LENGTH: Final = 32
"""Bytes of the KEK and of a DEK (AES-256)."""

ENTROPY: Final = SALT_LENGTH + KEY_LENGTH + 12
"""Random bytes that sealing one group takes: salt, DEK, nonce."""

LIMIT: Final = 4 * 1024 * 1024
"""Bytes of JSON in one group."""

TOKEN_LIMIT: Final = 512
"""Tokens of one entry; the first ones in order of appearance are kept."""

_VERSION: Final = b"\x01"
_TAG: Final = 16
_WRAPPED: Final = KEY_LENGTH + _TAG
_ZERO_NONCE: Final = bytes(12)


class LedgerKey:
    """The KEK of a node home; derives the keys for its uses. Its ``repr`` is empty.

    ``page_key`` seals links to further pages of FHIR searches: the same in all processes.
    """

    __slots__ = ("_file", "_seal", "_token", "page_key")

    def __init__(self, kek: bytes) -> None:
        if len(kek) != KEY_LENGTH:
            raise SettingsError("ledger-key-invalid", "The ledger key is not 32 bytes long.")
        self._seal = hmac.digest(kek, b"tefca-node ledger seal v1", "sha256")
        self._token = hmac.digest(kek, b"tefca-node ledger token v1", "sha256")
        self._file = hmac.digest(kek, b"tefca-node files v1", "sha256")
        self.page_key = hmac.digest(kek, b"tefca-node fhir pages v1", "sha256")

    def __repr__(self) -> str:
        return "LedgerKey(…)"

    def wrapping(self, entry_id: str) -> AESGCM:
        """The cipher that wraps the DEKs of one entry."""
        return AESGCM(hmac_sha256(self._seal, entry_id.encode()))

    def of_file(self, salt: bytes) -> AESGCM:
        """The cipher of one file at rest; ``salt`` stands in it and is of it alone."""
        return AESGCM(hmac_sha256(self._file, salt))

    def token(self, subject: str, value: str) -> bytes:
        """The 16-byte token of a value, such as ``token("message", id)``."""
        text = f"{subject}\x00{value}".encode("utf-8", "surrogatepass")
        return hmac_sha256(self._token, text)[:16]

    def patient_token(self, patient: PatientId) -> bytes:
        """The token by which entries about a patient identifier are found."""
        return self.token("patient", patient.cx)


def create_key(home: Path, random_bytes: bytes, *, place: Path = KEY_FILE) -> Path:
    """Write a new KEK (32 random bytes) into a node home, mode 0600; returns its path.

    Raises:
        SettingsError: ``ledger-key-exists``: there is one already; it is never replaced, because
            every private record written with it would be lost.
    """
    path = home / place
    LedgerKey(random_bytes)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise SettingsError(
            "ledger-key-exists", "This node home has a ledger key already.", where=str(path)
        ) from error
    with os.fdopen(handle, "wb") as file:
        file.write(base64.b64encode(random_bytes) + b"\n")
        file.flush()
        os.fsync(file.fileno())
    return path


def load_key(home: Path, *, place: Path = KEY_FILE) -> LedgerKey:
    """The KEK of a node home.

    Raises:
        SettingsError: ``ledger-key-missing``, ``ledger-key-exposed`` (others than its owner may
            read it) or ``ledger-key-invalid``.
    """
    path = home / place
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            text = file.read(128)
    except OSError as error:
        raise SettingsError(
            "ledger-key-missing", "The ledger key cannot be read.", where=str(path)
        ) from error
    if mode & 0o077:
        raise SettingsError(
            "ledger-key-exposed",
            f"The ledger key may be read by others (mode {mode:04o}).",
            where=str(path),
        )
    try:
        kek = base64.b64decode(text.strip(), validate=True)
    except binascii.Error as error:
        raise SettingsError(
            "ledger-key-invalid", "The ledger key is not base64.", where=str(path)
        ) from error
    return LedgerKey(kek)


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A private group in the clear: its commitment's salt, and its JSON bytes as committed to."""

    salt: bytes
    data: bytes

    def __repr__(self) -> str:
        return f"Opened(<{len(self.data)} bytes>)"

    @property
    def value(self) -> object:
        """The JSON value."""
        return orjson.loads(self.data)


def to_json(value: object) -> bytes:
    """The JSON bytes of a group, sorted.

    Raises:
        OurFault: ``ledger-private-invalid`` when the value is not JSON-ready or too large.
    """
    try:
        data = orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except TypeError:
        # not chained: the encoder's own text may quote a value
        raise OurFault("ledger-private-invalid", "A private group is not JSON-ready.") from None
    if len(data) > LIMIT:
        raise OurFault("ledger-private-invalid", f"A private group is over {LIMIT} bytes.")
    return data


def seal(wrapping: AESGCM, entry_id: str, group: str, data: bytes, entropy: bytes) -> bytes:
    """The blob of one group; ``entropy`` is 76 fresh random bytes, the first 32 are the salt."""
    if len(entropy) != ENTROPY:
        raise OurFault("ledger-private-invalid", f"Sealing takes {ENTROPY} random bytes.")
    salt, dek, nonce = entropy[:32], entropy[32:64], entropy[64:]
    bound = _associated(entry_id, group)
    wrapped = wrapping.encrypt(nonce, dek, bound)
    return _VERSION + nonce + wrapped + AESGCM(dek).encrypt(_ZERO_NONCE, salt + data, bound)


def unseal(key: LedgerKey, entry_id: str, group: str, blob: bytes) -> Opened:
    """Open the blob of one group.

    Raises:
        OurFault: ``ledger-private-unreadable``: another key, another entry, or changed bytes.
    """
    if blob[:1] != _VERSION:
        raise _unreadable(entry_id, group)
    bound = _associated(entry_id, group)
    try:
        dek = key.wrapping(entry_id).decrypt(blob[1:13], blob[13 : 13 + _WRAPPED], bound)
        plain = AESGCM(dek).decrypt(_ZERO_NONCE, blob[13 + _WRAPPED :], bound)
    except (InvalidTag, ValueError) as error:
        raise _unreadable(entry_id, group) from error
    return Opened(salt=plain[:SALT_LENGTH], data=plain[SALT_LENGTH:])


def _unreadable(entry_id: str, group: str) -> OurFault:
    sentence = f"The private group {group} of a log entry does not open."
    return OurFault("ledger-private-unreadable", sentence, where=entry_id)


def _associated(entry_id: str, group: str) -> bytes:
    return f"{entry_id}\x00{group}".encode()


def tokens(key: LedgerKey, groups: Mapping[str, object]) -> dict[bytes, str]:
    """The search tokens of the groups of an entry, each with the group that it is erased with.

    Read are ``patient.ids`` (CX), identifiers and CX parameter values in ``query``,
    ``who.user_id``, ``docs[].id``, and ``wire.unfit.msg``: the shapes that
    ``node.exchange.private`` writes.
    """
    found: dict[bytes, str] = {}
    for group, reading in _SUBJECTS.items():
        content = groups.get(group)
        if not content:
            continue
        for subject, value in reading(content):
            if len(found) >= TOKEN_LIMIT:
                return found
            found.setdefault(key.token(subject, value), group)
    return found


def _of_patient(group: object) -> Iterator[tuple[str, str]]:
    ids = group.get("ids") if isinstance(group, dict) else None
    for value in ids if isinstance(ids, list | tuple) else ():
        if isinstance(value, str) and value:
            yield "patient", value


def _of_who(group: object) -> Iterator[tuple[str, str]]:
    value = group.get("user_id") if isinstance(group, dict) else None
    if isinstance(value, str) and value:
        yield "user", value


def _of_query(group: object) -> Iterator[tuple[str, str]]:
    """The patient identifiers (CX) that a question was asked with."""
    if not isinstance(group, dict):
        return
    demographics = group.get("demographics")
    if isinstance(demographics, dict):
        for row in demographics.get("identifiers") or ():
            if isinstance(row, dict):
                authority, identifier = row.get("assigning_authority"), row.get("id")
                if isinstance(authority, str) and isinstance(identifier, str):
                    yield "patient", PatientId(assigning_authority=authority, id=identifier).cx
    for parameter in group.get("parameters") or ():
        match parameter:
            case [str(), [*values]]:
                yield from (("patient", v) for v in values if isinstance(v, str) and "^^^&" in v)
            case _:
                continue


def _of_docs(group: object) -> Iterator[tuple[str, str]]:
    for row in group if isinstance(group, list | tuple) else ():
        value = row.get("id") if isinstance(row, dict) else None
        if isinstance(value, str) and value:
            yield "document", value


def _of_wire(group: object) -> Iterator[tuple[str, str]]:
    unfit = group.get("unfit") if isinstance(group, dict) else None
    value = unfit.get("msg") if isinstance(unfit, dict) else None
    if isinstance(value, str) and value:
        yield "message", value


_SUBJECTS: Final[Mapping[str, Callable[[object], Iterator[tuple[str, str]]]]] = {
    "patient": _of_patient,
    "who": _of_who,
    "query": _of_query,
    "docs": _of_docs,
    "wire": _of_wire,
}
"""What each group is found by, as (subject, value), in the order in which tokens are kept."""
