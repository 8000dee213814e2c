"""An attachment of a DocumentReference, and whether what came is what it says (FHIR R4 2.24.0.3).

Pure. A server may say the content's type, size and SHA-1; where it does, content that differs is
not what was listed, and is refused. A size of 0 says that the document is only made when it is
asked for (facts: fhir-and-udap 3.2), so that its size and hash say nothing.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

import orjson

from node.errors import LimitError, TheirFault
from node.wire.fhir_values import child, objects

MOST_ATTACHMENTS: Final = 10
"""Attachments of one DocumentReference that are looked at."""

_JSON: Final = frozenset({"application/fhir+json", "application/json"})
_XML: Final = frozenset({"text/xml", "application/xml"})
_UNSAID: Final = frozenset({"", "application/octet-stream", "binary/octet-stream"})
_SHA1, _SHA256 = 20, 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """What a DocumentReference says of one content.

    Attributes:
        url: where it is, as it was written.
        media_type: in lower case and without parameters.
        size: bytes.
        hash: as it was written.
        data: the content in base64, where it stands in the resource.
    """

    url: str | None = None
    media_type: str | None = None
    size: int | None = None
    hash: str | None = None
    data: str | None = None


def attachments(reference: Mapping[str, Any]) -> list[Attachment]:
    """Those of a DocumentReference, in its order."""
    contents = islice(objects(reference.get("content")), MOST_ATTACHMENTS)
    return [_attachment(child(content, "attachment")) for content in contents]


def attachment_at(resource: bytes, place: int) -> Attachment | None:
    """One of them by its place, from 0; ``None`` where there is none."""
    found = attachments(orjson.loads(resource))
    return found[place] if place < len(found) else None


def document_name(full_url: str, place: int) -> str:
    """What we call one of them: a digest of its resource's address, and its place."""
    return f"{hashlib.sha256(full_url.encode()).hexdigest()[:32]}.{place}"


def _attachment(said: Mapping[str, Any]) -> Attachment:
    size = said.get("size")
    media_type = bare(_text(said, "contentType") or "")
    is_size = isinstance(size, int) and not isinstance(size, bool) and size >= 0
    return Attachment(
        url=_text(said, "url"),
        media_type=media_type or None,
        size=size if is_size else None,
        hash=_text(said, "hash"),
        data=_text(said, "data"),
    )


def _text(said: Mapping[str, Any], name: str) -> str | None:
    value = said.get(name)
    return value if isinstance(value, str) and value else None


def bare(media_type: str) -> str:
    """A media type in lower case and without parameters."""
    return media_type.partition(";")[0].strip().lower()


def is_json(media_type: str) -> bool:
    """Whether an answer of this type may be a Binary resource around the content."""
    return media_type in _JSON


class StatedContent:
    """The content of an attachment as it comes, against what was said of it."""

    def __init__(self, attachment: Attachment, most: int) -> None:
        """``attachment`` says what is to come, of which ``most`` bytes are taken."""
        made_when_asked = attachment.size == 0
        self._media_type = attachment.media_type
        self._expected = None if made_when_asked else attachment.size
        self._hash = None if made_when_asked else attachment.hash
        self._most = most
        self._size = 0
        self._sha1 = hashlib.sha1(usedforsecurity=False)
        self._sha256 = hashlib.sha256()

    def check_type(self, media_type: str) -> tuple[str, ...]:
        """Compare the type that the answer has; gives tolerated deviations.

        Raises:
            TheirFault: ``fhir-attachment-type``.
        """
        if self._media_type is None or media_type == self._media_type:
            return ()
        if media_type in _UNSAID or (_is_xml(media_type) and _is_xml(self._media_type)):
            return ("attachment-media-type",)
        raise TheirFault(
            "fhir-attachment-type",
            "The peer's server gave a document of another type than it listed.",
        )

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes.

        Raises:
            TheirFault: ``fhir-attachment-changed`` past the listed size.
            LimitError: ``document-too-large``.
        """
        self._size += len(chunk)
        if self._size > self._most:
            raise LimitError("document-too-large", f"A document is larger than {self._most} bytes.")
        if self._expected is not None and self._size > self._expected:
            raise _changed("The document is longer than the peer's server listed it.")
        self._sha1.update(chunk)
        self._sha256.update(chunk)

    def close(self) -> tuple[str, ...]:
        """Compare size and hash at the end; gives tolerated deviations.

        Raises:
            TheirFault: ``fhir-attachment-changed``, ``fhir-attachment-empty``.
        """
        if self._expected is not None and self._size < self._expected:
            raise _changed("The document is shorter than the peer's server listed it.")
        if self._size == 0:
            raise TheirFault("fhir-attachment-empty", "The peer's server gave an empty document.")
        return self._check_hash() if self._hash is not None else ()

    def _check_hash(self) -> tuple[str, ...]:
        try:
            said = base64.b64decode(self._hash or "", validate=True)
        except (binascii.Error, ValueError):
            said = b""
        if said == self._sha1.digest():
            return ()
        # as digits, or by another function than FHIR's: the content is proved all the same
        digits = {self._sha1.hexdigest(), self._sha256.hexdigest()}
        as_digits = {(self._hash or "").lower(), said.decode("ascii", "replace").lower()}
        if said == self._sha256.digest() or digits & as_digits:
            return ("attachment-hash-form",)
        if len(said) in (_SHA1, _SHA256):
            raise _changed("The document is another one than the peer's server listed.")
        return ("attachment-hash-unknown",)


def binary_content(data: bytes, most: int) -> tuple[bytes, str] | None:
    """Content and type of a Binary resource; ``None`` where the JSON is something else.

    Raises:
        TheirFault: ``fhir-attachment-empty`` when it is a Binary without usable content.
    """
    try:
        content = orjson.loads(data)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(content, dict) or content.get("resourceType") != "Binary":
        return None
    found = decoded(content.get("data"), most)
    if found is None:
        raise TheirFault(
            "fhir-attachment-empty", "The peer's server gave an empty or damaged document."
        )
    return found, bare(_text(content, "contentType") or "")


def decoded(data: object, most: int) -> bytes | None:
    """What base64 stands for; ``None`` where it is none, empty, or longer than ``most`` bytes."""
    text = "".join(data.split()) if isinstance(data, str) else ""
    if len(text) > most * 4 // 3 + 4:
        return None
    try:
        return base64.b64decode(text, validate=True) or None
    except (binascii.Error, ValueError):
        return None


def _is_xml(media_type: str) -> bool:
    return media_type in _XML or media_type.endswith("+xml")


def _changed(sentence: str) -> TheirFault:
    return TheirFault("fhir-attachment-changed", sentence)
