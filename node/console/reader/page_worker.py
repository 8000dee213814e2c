"""A program of its own: one page of a peer's PDF or TIFF as a PNG, or the texts of its pages.

Run by ``page_pictures`` as a file, never imported by the node: what a peer sent is read where
nothing else is. Before a byte of it is looked at, the program gives up what it does not need:
memory, time, new files and processes are limited, and the network is taken away where the system
lets a user do so. It imports nothing of ours. The file comes on standard input; the answer goes to
standard output: one line of JSON, and after it the bytes of the PNG.

``page_worker.py texts MOST_PAGES MOST_CHARACTERS`` or ``page_worker.py picture PAGE WIDTH``.
Ends with 0, or with 3 where the file cannot be read, 4 where it needs a password.
"""

from __future__ import annotations

import ctypes
import io
import json
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

MEMORY = 1024 * 1024 * 1024
SECONDS = 10
OUTPUT = 32 * 1024 * 1024
FILES = 16
MOST_PIXELS = 40_000_000
_NEW_USER, _NEW_NETWORK, _NO_NEW_PRIVILEGES = 0x10000000, 0x40000000, 38
_UNREADABLE, _LOCKED = 3, 4
_PASSWORD = "password"  # noqa: S105 - a word of PDFium's message


def give_up() -> None:
    """Have no more than what reading one file needs."""
    library = ctypes.CDLL(None)
    library.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    library.unshare(_NEW_USER | _NEW_NETWORK)  # refused in some containers: the limits stand alone
    limits = (
        (resource.RLIMIT_AS, MEMORY),
        (resource.RLIMIT_CPU, SECONDS),
        (resource.RLIMIT_FSIZE, OUTPUT),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, FILES),
        (resource.RLIMIT_NPROC, 0),
    )
    for which, most in limits:
        resource.setrlimit(which, (most, most))


def main(words: list[str]) -> int:
    """Answer once."""
    import pypdfium2  # noqa: PLC0415 - before the limits forbid to open its library
    from PIL import Image  # noqa: PLC0415

    Image.MAX_IMAGE_PIXELS = MOST_PIXELS
    Image.preinit()
    give_up()
    data = sys.stdin.buffer.read()
    first, second = int(words[1]), int(words[2])
    pages: Any = _Pdf(pypdfium2, data) if data.startswith(b"%PDF-") else _Tiff(Image, data)
    if words[0] == "texts":
        write({"pages": pages.count(), **pages.texts(first, second)}, b"")
    else:
        picture = pages.picture(first, second)
        into = io.BytesIO()
        picture.save(into, "PNG")
        write({"width": picture.width, "height": picture.height}, into.getvalue())
    return 0


class _Pdf:
    """Pages by PDFium, which is built without scripts."""

    def __init__(self, library: Any, data: bytes) -> None:
        self._file = library.PdfDocument(data)

    def count(self) -> int:
        return len(self._file)

    def texts(self, most_pages: int, most_characters: int) -> dict[str, Any]:
        texts: list[str] = []
        sizes: list[tuple[float, float]] = []
        left = most_characters
        for number in range(min(self.count(), most_pages)):
            page = self._file[number]
            words = page.get_textpage().get_text_range()[:left]
            left -= len(words)
            texts.append(words)
            sizes.append(page.get_size())
        return {"texts": texts, "sizes": sizes}

    def picture(self, number: int, width: int) -> Any:
        page = self._file[number]
        wide, high = page.get_size()
        scale = min(width / max(wide, 1), (MOST_PIXELS / max(wide * high, 1)) ** 0.5)
        return page.render(scale=scale).to_pil()


class _Tiff:
    """The pictures of a TIFF, which have no text."""

    def __init__(self, library: Any, data: bytes) -> None:
        self._file = library.open(io.BytesIO(data), formats=["TIFF"])

    def count(self) -> int:
        return int(getattr(self._file, "n_frames", 1))

    def texts(self, most_pages: int, most_characters: int) -> dict[str, Any]:  # noqa: ARG002
        shown = min(self.count(), most_pages)
        return {"texts": [""] * shown, "sizes": [self._size(number) for number in range(shown)]}

    def picture(self, number: int, width: int) -> Any:
        self._file.seek(number)
        picture = self._file.convert("RGB")
        picture.thumbnail((width, 4 * width))
        return picture

    def _size(self, number: int) -> tuple[int, int]:
        self._file.seek(number)
        return (self._file.width, self._file.height)


def write(head: dict[str, Any], body: bytes) -> None:
    """The answer."""
    sys.stdout.buffer.write(json.dumps(head).encode() + b"\n" + body)
    sys.stdout.buffer.flush()


@contextmanager
def told() -> Iterator[None]:
    """End with a number that says why; nothing of the file's is written anywhere."""
    try:
        yield
    except MemoryError:
        sys.exit(_UNREADABLE)
    except Exception as error:  # noqa: BLE001 - the libraries raise what they like
        sys.exit(_LOCKED if _PASSWORD in str(error).lower() else _UNREADABLE)


if __name__ == "__main__":
    with told():
        sys.exit(main(sys.argv[1:]))
