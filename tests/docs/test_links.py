"""Every link of the documentation leads to something: a file, and the heading that it names."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs.manual import ROOT, headings, pages

DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


def links(text: str) -> list[str]:
    """Targets of links and pictures that are files or headings of ours."""
    found = re.findall(
        r"\]\(([^)\s]+)\)", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    )
    return [target for target in found if "://" not in target]


def anchor(heading: str) -> str:
    """The name that a heading is linked by, as GitHub makes it."""
    words = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading.lstrip("#").strip()).lower()
    return re.sub(r"[^\w\- ]", "", words).replace(" ", "-")


@pytest.mark.parametrize("page", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_relative_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    wrong = []
    for target in links(page.read_text(encoding="utf-8")):
        name, _, part = target.partition("#")
        file = (page.parent / name).resolve() if name else page
        if not file.exists() or (
            part and part not in map(anchor, headings(file.read_text(encoding="utf-8")))
        ):
            wrong.append(target)
    assert wrong == []


def test_every_page_of_the_manual_is_linked_from_the_readme() -> None:
    linked = {target.partition("#")[0] for target in links((ROOT / "README.md").read_text("utf-8"))}
    assert {str(path.relative_to(ROOT)) for path in pages()} - linked == {"README.md"}


def test_every_picture_is_shown_by_a_page() -> None:
    shown = {
        (page.parent / target).resolve()
        for page in DOCUMENTS
        for target in links(page.read_text(encoding="utf-8"))
    }
    assert set((ROOT / "docs" / "screenshots").iterdir()) - shown == set()


def test_a_heading_stands_once_in_readme_and_manual() -> None:
    every = [heading for text in pages().values() for heading in headings(text)]
    assert sorted({heading for heading in every if every.count(heading) > 1}) == []
