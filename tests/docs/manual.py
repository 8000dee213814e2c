"""Where the documentation stands: the README, and the pages of the manual by reader.

A chapter is named by its whole heading (``### Settings``), wherever it stands: headings are unique
over README and manual, so that a chapter can move to another page and no test has to know.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
_FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
_KIND = {"sh": r"^```sh\n(.*?)^```", "text": r"^```text\n(.*?)^```"}


@cache
def pages() -> dict[Path, str]:
    """The text of the README and of every page of the manual, the README first."""
    manual = sorted((ROOT / "docs" / "manual").glob("*.md"))
    return {path: path.read_text(encoding="utf-8") for path in (README, *manual)}


def headings(text: str) -> Iterator[str]:
    """The headings of a page, with their marks; a comment in a block of commands is none."""
    yield from re.findall(r"^#{1,6} .+$", _FENCE.sub("", text), re.MULTILINE)


def page_of(title: str) -> Path:
    """The page that has the chapter; an error when none has it, or several."""
    having = [path for path, text in pages().items() if title in set(headings(text))]
    assert len(having) == 1, f"{title!r} is a heading of {[path.name for path in having]}"
    return having[0]


def section(title: str) -> str:
    """The text under a heading, up to the next one of its depth or above."""
    text = pages()[page_of(title)]
    depth = len(title.split(" ", maxsplit=1)[0])
    start = text.index(f"\n{title}\n") + len(title) + 2
    # a `# comment` in a block of commands is no heading: those of one mark are never looked for
    end = re.compile(rf"^#{{2,{depth}}} ", re.MULTILINE).search(text, start)
    return text[start : end.start() if end else len(text)]


def blocks(text: str, kind: str) -> list[str]:
    return re.findall(_KIND[kind], text, re.MULTILINE | re.DOTALL)


def cells(text: str) -> list[list[str]]:
    """The rows of the first table in a text, without its head."""
    lines = text[text.index("|---") :].splitlines()[1:]
    rows = []
    for line in lines:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split(" | ")])
    return rows


def quoted(cell: str) -> str:
    return cell.strip().strip("`")
