"""Files of a peer as they came: to be kept, or looked at in a sandbox; never pages of ours.

The type that a browser is told is one of a closed set, recognised from the bytes; the sandbox lets
nothing run, and gives the file an origin of its own, from which it reaches no page of the console.
"""

from __future__ import annotations

from typing import Final

from starlette.responses import Response

from node.console.rendering import SECURITY_HEADERS
from node.wire.reader import media
from node.wire.reader.fhir import is_fhir

SANDBOX: Final = (
    "sandbox; default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_ENDINGS: Final = {
    "application/pdf": "pdf",
    "image/png": "png",
    "image/jpeg": "jpg",
    "image/gif": "gif",
    "image/tiff": "tif",
    "text/plain": "txt",
    "text/rtf": "rtf",
    "text/xml": "xml",
}


def file_response(data: bytes, name: str) -> Response:
    """A file to be kept. ``name`` says nothing of anybody; the ending follows the bytes."""
    kind = media.recognise(data)
    ending = "json" if is_fhir(data) else _ENDINGS.get(kind or "", "bin")
    headers = {"content-disposition": f'attachment; filename="{name}.{ending}"'}
    # a charset would be ours to guess, and XML says its own
    return _sandboxed(data, kind or "application/octet-stream", headers)


def picture_response(data: bytes) -> Response | None:
    """A picture to be looked at; ``None`` for anything else."""
    kind = media.recognise(data)
    if kind not in media.SHOWN_IMAGES:
        return None
    return _sandboxed(data, str(kind), {"content-disposition": "inline"})


def source_response(data: bytes) -> Response:
    """A document's source as plain text."""
    text = text_of(data)
    return _sandboxed(text.encode(), "text/plain; charset=utf-8", {"content-disposition": "inline"})


def text_of(data: bytes) -> str:
    """Bytes as text: by their mark, else UTF-8, else Latin-1, which every byte has."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", errors="replace")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _sandboxed(data: bytes, kind: str, headers: dict[str, str]) -> Response:
    made = Response(
        data,
        headers=SECURITY_HEADERS
        | headers
        | {"content-security-policy": SANDBOX, "cache-control": "no-store"},
    )
    made.headers["content-type"] = kind
    return made
