"""Golden files of reports: what was made once, read, and committed."""

from __future__ import annotations

import io
import os
from pathlib import Path

from pypdf import PdfReader

GOLDEN = Path(__file__).parent / "data"


def golden(name: str, made: bytes) -> None:
    """Compare with the file; ``GOLDEN=write`` writes it anew, to be read before it is committed."""
    path = GOLDEN / name
    if os.environ.get("GOLDEN") == "write":
        path.write_bytes(made)
    assert made == path.read_bytes()


def text_of(data: bytes) -> str:
    """The text of a PDF."""
    pages = PdfReader(io.BytesIO(data)).pages
    return "\n".join(page.extract_text() for page in pages) + "\n"
