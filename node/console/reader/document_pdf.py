"""A document on paper: where it is from, when it came and what is missing, then its sections. Pure.

The letters are Noto Sans (Latin, Greek, Cyrillic and more). A character that it does not have is
printed as a box, and the first page says how many those are: the original has them.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from importlib import resources
from typing import Final

from fontTools.ttLib import TTFont
from fpdf import FPDF
from fpdf.enums import TextMode, XPos, YPos
from fpdf.fonts import FontFace

from node.console.reader.provenance import Provenance
from node.console.reader.view import empty_words, left_out_sentences, named
from node.wire.reader.document import Kind, ReadableDocument, SectionState, texts
from node.wire.reader.tree import Branch, Node, texts_of, tree

_FONT: Final = "Noto Sans"
_MISSING: Final = "\N{REPLACEMENT CHARACTER}"
_MOST_COLUMNS: Final = 16
_SIZE: Final = 9.0
_OUTLINE: Final = 0.12
_HEADER: Final = 235
_MOST_INDENT: Final = 40
_HEADERS: Final = frozenset({Kind.COLUMN_HEADER, Kind.ROW_HEADER})
_BLOCKS: Final = frozenset({Kind.PARAGRAPH, Kind.LIST, Kind.NUMBERED, Kind.TABLE})


class _Paper(FPDF):
    """Pages with their source and number at the foot."""

    foot = ""

    def footer(self) -> None:
        self.set_y(-12)
        self.set_font(_FONT, size=7)
        self.cell(0, 5, self.foot)
        self.set_x(-40)
        self.cell(30, 5, f"Page {self.page_no()} of {{nb}}", align="R")


def to_pdf(document: ReadableDocument, title: str, origin: Provenance, *, made: datetime) -> bytes:
    """The document on letter paper.

    Args:
        document: what can be shown of it.
        title: its heading.
        origin: where it is from.
        made: when this is printed.
    """
    paper = _Paper(format="letter")
    # one weight: making others of a variable font takes seconds; bold is drawn with an outline
    paper.add_font(_FONT, fname=_font_file())
    paper.set_creation_date(made.astimezone(UTC))
    paper.set_lang("en")
    paper.set_title("Clinical document of another organization")
    paper.set_auto_page_break(auto=True, margin=18)
    paper.foot = _printable(
        f"{origin.organization}, came {origin.fetched}. Printed by {origin.printed_by},"
        f" {origin.node}, {made.astimezone(UTC):%-d %b %Y, %H:%M} UTC."
    )
    paper.add_page()
    _line(paper, title, size=16, bold=True)
    for name, words in origin.lines():
        _line(paper, f"{name}: {words}")
    _line(paper, "What is not here", size=11, bold=True, above=3)
    for sentence in _missing(document, title, origin):
        _line(paper, sentence)
    for section in document.sections:
        if section.state is SectionState.EMPTY:
            continue
        _line(paper, section.title or "Section without a title", size=12, bold=True, above=4)
        if section.state is SectionState.ENTRIES:
            _line(paper, "The author wrote no text: this node's list of the coded entries.")
        if section.state is SectionState.TOO_LARGE:
            _line(paper, "This section is too large to be printed here.")
        _blocks(paper, tree(section.content))
    return bytes(paper.output())


def _missing(document: ReadableDocument, title: str, origin: Provenance) -> Iterator[str]:
    yield (
        "This is a reader's view of one document. It is not the original, and not all that the"
        " organization or others may hold about the person."
    )
    yield from left_out_sentences(document)
    empty = empty_words(named(document.empty_sections))
    if empty:
        yield empty
    if document.images:
        yield f"{len(document.images)} pictures are not printed."
    if document.body is not None:
        yield "The body of the document is a file of its own, which is not printed here."
    if document.problem is not None:
        yield document.problem.sentence
    said = [title, *(words for _, words in origin.lines())]
    for section in document.sections:
        said += [section.title or "", *texts(section.content)]
    lost = sum(not _has(sign) for text in said if not text.isascii() for sign in text)
    if lost:
        yield f"Characters that could not be printed (a mark stands for each): {lost}."


def _blocks(paper: _Paper, content: tuple[Branch, ...], indent: float = 0) -> None:
    """Blocks in their order; runs of text between them are paragraphs."""
    run: list[Branch] = []

    def flush() -> None:
        words = _words(tuple(run))
        run.clear()
        if words:
            _line(paper, words, indent=indent)

    for part in content:
        if isinstance(part, str) or not _holds_block(part):
            run.append(part)
            continue
        flush()
        if part.kind is Kind.TABLE:
            _table(paper, part, indent)
        elif part.kind in (Kind.LIST, Kind.NUMBERED):
            _list(paper, part, indent)
        else:
            _blocks(paper, part.children, indent)
    flush()


def _list(paper: _Paper, node: Node, indent: float) -> None:
    for number, item in enumerate(node.children, start=1):
        if isinstance(item, str):
            continue
        mark = f"{number}. " if node.kind is Kind.NUMBERED else "\N{EN DASH} "
        _blocks(paper, (mark, *item.children), indent + 4)


def _rows_of(node: Node) -> Iterator[tuple[bool, list[Node]]]:
    """The cells of each row, and whether it is a head."""
    for group in node.children:
        if isinstance(group, Node) and group.kind is not Kind.CAPTION:
            for row in group.children:
                if isinstance(row, Node):
                    cells = [cell for cell in row.children if isinstance(cell, Node)]
                    yield group.kind is Kind.HEAD, cells


def _table(paper: _Paper, node: Node, indent: float) -> None:
    for part in node.children:
        if isinstance(part, Node) and part.kind is Kind.CAPTION:
            _line(paper, _words(part.children), bold=True, indent=indent)
    rows = list(_rows_of(node))
    widest = max((sum(cell.columns for cell in cells) for _, cells in rows), default=0)
    if widest > _MOST_COLUMNS or any(c.rows > 1 for _, cells in rows for c in cells):
        # no room for it side by side, or cells that span rows: one line for each row
        for _, cells in rows:
            _line(paper, "  |  ".join(_words(c.children) for c in cells), indent=indent)
        return
    heads = next((n for n, (is_head, _) in enumerate(rows) if not is_head), len(rows))
    paper.set_font(_FONT, size=8)
    header = FontFace(fill_color=_HEADER)
    with paper.table(
        text_align="LEFT", line_height=4, num_heading_rows=heads if heads < len(rows) else 0,
        headings_style=header, first_row_as_headings=0 < heads < len(rows),
    ) as table:  # fmt: skip
        for _, cells in rows:
            made = table.row()
            left = widest
            for cell in cells:
                style = header if cell.kind in _HEADERS else None
                made.cell(_printable(_words(cell.children)), colspan=cell.columns, style=style)
                left -= cell.columns
            for _ in range(left):
                made.cell("")
    paper.ln(1.5)


def _holds_block(part: Node) -> bool:
    return part.kind in _BLOCKS or any(
        isinstance(child, Node) and _holds_block(child) for child in part.children
    )


def _words(content: tuple[Branch, ...]) -> str:
    return " ".join("".join(texts_of(content)).split())


def _line(
    paper: _Paper,
    words: str,
    *,
    size: float = _SIZE,
    bold: bool = False,
    above: float = 0,
    indent: float = 0,
) -> None:
    if above:
        paper.ln(above)
    paper.set_font(_FONT, size=size)
    mode = TextMode.FILL_STROKE if bold else TextMode.FILL
    with paper.local_context(text_mode=mode, line_width=_OUTLINE):
        paper.set_x(paper.l_margin + min(indent, _MOST_INDENT))
        paper.multi_cell(
            0, size * 0.5, _printable(words), new_x=XPos.LMARGIN, new_y=YPos.NEXT, align="L"
        )


def _printable(text: str) -> str:
    if text.isascii():
        return text
    return "".join(sign if _has(sign) else _MISSING for sign in text)


def _has(sign: str) -> bool:
    return sign.isspace() or ord(sign) in _letters()


@cache
def _letters() -> frozenset[int]:
    """The characters that the font has."""
    with TTFont(_font_file(), lazy=True) as font:
        return frozenset(font.getBestCmap())


@cache
def _font_file() -> str:
    path = resources.files("fontpkg_noto_sans").joinpath("files", "NotoSans[wdth,wght].ttf")
    return str(path)
