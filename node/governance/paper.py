"""Paper: the PDFs of this node's reports and letters. The same content gives the same bytes.

It has the fonts that every reader has, which know Latin letters alone; what is in others is exact
in the file for machines that goes with each report, and on the page.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fpdf import FPDF

_FOOT = "Page {page} of {all}"


def _sheets(foot: str) -> FPDF:
    """Empty pages with their number at the foot, in the words of the paper's language.

    Their library is loaded here: every start of a node would load it, and most make no paper.
    """
    from fpdf import FPDF  # noqa: PLC0415

    class Sheets(FPDF):
        def footer(self) -> None:
            self.set_y(-12)
            self.set_font("Helvetica", size=8)
            words = foot.format(page=self.page_no(), all="{nb}")
            self.cell(0, 5, latin(words), align="R")

    return Sheets(format="letter")


class Paper:
    """A letter that is written from its top to its end."""

    def __init__(
        self, title: str, *, made: datetime, language: str = "en", foot: str = _FOOT
    ) -> None:
        """``made`` is the one time in it; ``foot`` has the places ``{page}`` and ``{all}``."""
        self._sheets = _sheets(foot)
        self._sheets.set_creation_date(made.astimezone(UTC))
        self._sheets.set_title(title)
        self._sheets.set_lang(language)
        self._sheets.set_auto_page_break(auto=True, margin=18)
        self._sheets.add_page()
        self.text(title, size=16, bold=True)

    def text(self, line: str, *, size: int = 10, bold: bool = False, above: float = 0) -> None:
        """A paragraph; ``above`` is the room before it in millimetres."""
        if above:
            self._sheets.ln(above)
        self._sheets.set_font("Helvetica", style="B" if bold else "", size=size)
        self._sheets.multi_cell(
            0, size * 0.5, latin(line), new_x="LMARGIN", new_y="NEXT", align="L"
        )

    def heading(self, line: str) -> None:
        """What stands above a part."""
        self.text(line, size=12, bold=True, above=3)

    def table(
        self, widths: Sequence[int], head: Iterable[str], rows: Iterable[Iterable[str]]
    ) -> None:
        """A table whose head is on each of its pages; ``widths`` are shares of the page's width."""
        self._sheets.set_font("Helvetica", size=8)
        with self._sheets.table(
            col_widths=tuple(widths), text_align="LEFT", line_height=4
        ) as table:
            table.row([latin(word) for word in head])
            for row in rows:
                table.row([latin(cell) for cell in row])

    def data(self) -> bytes:
        """The file."""
        return bytes(self._sheets.output())


def latin(text: str) -> str:
    """What the fonts have: letters without their marks where need be, else a question mark."""
    if text.isascii():
        return text
    made = []
    for sign in text:
        if not _has(sign):
            bare = "".join(s for s in unicodedata.normalize("NFKD", sign) if _has(s))
            made.append(bare or "?")
        else:
            made.append(sign)
    return "".join(made)


def _has(sign: str) -> bool:
    try:
        sign.encode("latin-1")
    except UnicodeEncodeError:
        return False
    return True
