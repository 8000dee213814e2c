"""Pages of a peer's PDF or TIFF: drawn in a process that has nothing else, and within limits."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import pytest
from fpdf import FPDF
from PIL import Image
from pypdf import PdfReader, PdfWriter

from node.console.reader import page_pictures, page_worker
from node.console.reader.page_pictures import MOST_PAGES, Pages, pages_of, picture_of
from node.wire.reader.document import Unreadable


def pdf(*texts: str) -> bytes:
    made = FPDF()
    made.set_font("helvetica", size=20)
    for text in texts:
        made.add_page()
        made.multi_cell(0, 10, text)
    return bytes(made.output())


def tiff(pages: int = 2) -> bytes:
    into = io.BytesIO()
    frames = [Image.new("1", (850, 1100), n % 2) for n in range(pages)]
    frames[0].save(into, "TIFF", save_all=True, append_images=frames[1:])
    return into.getvalue()


def locked() -> bytes:
    writer = PdfWriter(PdfReader(io.BytesIO(pdf("secret"))))
    writer.encrypt("a password", algorithm="RC4-128")
    into = io.BytesIO()
    writer.write(into)
    return into.getvalue()


def test_pages_have_their_text_and_a_picture() -> None:
    data = pdf("Discharge summary\nKeep metoprolol", "Second page")
    found = pages_of(data)
    assert isinstance(found, Pages)
    assert found.count == 2
    assert [page.number for page in found.pages] == [1, 2]
    assert "Keep metoprolol" in found.pages[0].text
    picture = picture_of(data, 2)
    assert isinstance(picture, bytes)
    drawn = Image.open(io.BytesIO(picture))
    assert (drawn.format, drawn.width) == ("PNG", 1200)
    assert round(1000 * drawn.height / drawn.width) in range(
        found.pages[1].shape - 2, found.pages[1].shape + 3
    )
    assert len(set(drawn.convert("L").tobytes())) > 1  # something is drawn


def test_the_frames_of_a_tiff_are_pages_without_text() -> None:
    found = pages_of(tiff(3))
    assert isinstance(found, Pages)
    assert (found.count, [page.text for page in found.pages]) == (3, ["", "", ""])
    assert isinstance(picture_of(tiff(3), 3), bytes)


def test_many_pages_are_counted_and_the_first_are_shown() -> None:
    found = pages_of(pdf(*["x"] * (MOST_PAGES + 5)))
    assert isinstance(found, Pages)
    assert (found.count, len(found.pages)) == (MOST_PAGES + 5, MOST_PAGES)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"%PDF-1.7\n%%EOF", "reader-damaged"),
        (b"%PDF-" + bytes(range(256)) * 50, "reader-damaged"),
        (b"II*\x00" + bytes(400), "reader-damaged"),
        (locked(), "reader-locked"),
    ],
    ids=["empty", "noise", "tiff", "locked"],
)
def test_a_file_that_cannot_be_drawn_says_so(data: bytes, reason: str) -> None:
    found = pages_of(data)
    assert isinstance(found, Unreadable)
    assert found.reason == reason
    assert isinstance(picture_of(data, 1), Unreadable)


def test_a_page_that_is_not_there_is_not_drawn() -> None:
    assert isinstance(picture_of(pdf("x"), 9), Unreadable)


def test_a_file_that_takes_too_long_is_stopped(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    endless = tmp_path / "endless.py"
    endless.write_text("while True: pass\n")
    monkeypatch.setattr(page_pictures, "_WORKER", str(endless))
    monkeypatch.setattr(page_pictures, "_SECONDS", 0.5)
    found = pages_of(pdf("x"))
    assert isinstance(found, Unreadable)
    assert found.reason == "reader-too-slow"


GREEDY = {
    "memory": "x = bytearray(2 * 1024 ** 3)",
    "output": "f = open('made', 'wb'); [f.write(bytes(2 ** 20)) for _ in range(40)]; f.flush()",
}


def limited(what: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run something after the worker gave up what it does not need."""
    code = "\n".join(
        (
            "import importlib.util as u",
            f"spec = u.spec_from_file_location('w', {page_worker.__file__!r})",
            "w = u.module_from_spec(spec); spec.loader.exec_module(w)",
            "w.give_up()",
            GREEDY[what],
        )
    )
    command = [sys.executable, "-I", "-c", code]
    return subprocess.run(
        command, check=False, capture_output=True, text=True, cwd=folder, timeout=30
    )


@pytest.mark.parametrize("what", ["memory", "output"])
def test_the_process_has_no_more_than_it_needs(what: str, tmp_path: Path) -> None:
    done = limited(what, tmp_path)
    assert done.returncode != 0, done.stdout
    made = tmp_path / "made"
    assert not made.exists() or made.stat().st_size <= page_worker.OUTPUT


def test_the_worker_needs_nothing_of_the_node_and_knows_nothing_of_it() -> None:
    source = Path(page_worker.__file__).read_text(encoding="utf-8")
    assert "import node" not in source
    assert "from node" not in source
