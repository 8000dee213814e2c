"""What a file is, by its first bytes: a closed set that a browser may be given to show."""

from __future__ import annotations

import binascii
from typing import Final

PDF: Final = "application/pdf"
XML: Final = "text/xml"
TEXT: Final = "text/plain"
RTF: Final = "text/rtf"
_BEGINNINGS: Final = (
    (b"%PDF-", PDF),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"II*\x00", "image/tiff"),
    (b"MM\x00*", "image/tiff"),
    (b"{\\rtf", RTF),
)
SHOWN_IMAGES: Final = frozenset({"image/png", "image/jpeg", "image/gif"})
"""Those that every browser draws and that hold no mark-up."""
_LOOKED_AT: Final = 1024


def recognise(data: bytes) -> str | None:
    """The media type of a file, or ``None``; what a peer calls it counts for nothing here."""
    head = data[:_LOOKED_AT]
    for beginning, media_type in _BEGINNINGS:
        if head.startswith(beginning):
            return media_type
    if _looks_like_xml(head):
        return XML
    if b"\x00" not in head and _is_text(data):
        return TEXT
    return None


def _looks_like_xml(head: bytes) -> bool:
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        head = head.decode("utf-16", errors="replace").encode()
    bare = head.removeprefix(b"\xef\xbb\xbf").replace(b"\x00", b"").lstrip()
    return bare.startswith(b"<")


def _is_text(data: bytes) -> bool:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return bool(data.strip())


def base64_bytes(text: str, most: int) -> bytes | None:
    """The bytes of a base64 text; ``None`` where it is none, empty, or longer than ``most``."""
    bare = "".join(text.split())
    if len(bare) > most * 4 // 3 + 4:
        return None
    try:
        return binascii.a2b_base64(bare, strict_mode=True) or None
    except (binascii.Error, ValueError):
        return None
