"""Looking through files: the text that a PDF has, and in words what could not be looked through."""

from __future__ import annotations

import pytest

from node.console.reader.looking import Looked, looked_for
from node.console.reader.page_pictures import MOST_PAGES
from node.wire.reader.document import Unreadable
from node.wire.reader.read import read
from tests.console.test_page_pictures import locked, pdf, tiff

PNG = b"\x89PNG\r\n\x1a\n" + bytes(20)


def looked(data: bytes) -> Looked:
    return looked_for(read(data), "metoprolol")


def test_a_pdf_is_looked_through_page_by_page() -> None:
    assert looked(pdf("Keep Metoprolol", "metoprolol\nmetoprolol")) == Looked(count=3)
    assert looked(pdf("nothing of it")) == Looked(count=0)


def test_a_plain_text_is_looked_through() -> None:
    assert looked(b"Keep METOPROLOL, twice metoprolol") == Looked(count=2)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (tiff(), "picture"),
        (PNG, "picture"),
        (pdf("", ""), "Its pages are pictures"),
        (locked(), "locked by a password"),
        (b"%PDF-1.7\n%%EOF", "damaged"),
        (b"{\\rtf1 metoprolol}", "no text that can be looked through"),
        (b"<ClinicalDocument xmlns='urn:hl7-org:v3'>", "."),
    ],
)
def test_what_cannot_be_looked_through_says_why(data: bytes, why: str) -> None:
    found = looked(data)
    assert found.count is None
    assert why in found.why


def test_a_part_that_was_not_looked_through_is_said() -> None:
    assert looked(pdf("metoprolol", "")) == Looked(
        count=1, why="1 page is a picture without a text."
    )
    many = looked(pdf(*["metoprolol"] * (MOST_PAGES + 2)))
    assert many.count == MOST_PAGES
    assert f"first {MOST_PAGES} of {MOST_PAGES + 2} pages" in many.why


def test_without_time_no_pdf_is_read() -> None:
    found = looked_for(read(pdf("metoprolol")), "metoprolol", may_draw=False)
    assert found.count is None
    assert "took too long" in found.why


def test_what_is_no_document_says_so() -> None:
    nothing = Unreadable(reason="document-kind-unknown", sentence="The document is empty.")
    assert looked_for(nothing, "metoprolol") == Looked(count=None, why="The document is empty.")
