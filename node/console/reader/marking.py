"""Finding words in a document: on the server, so that it works without script."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from node.wire.reader.document import ReadableDocument

LONGEST_TERM = 100
FEWEST_LETTERS = 2


@dataclass(slots=True)
class Finder:
    """Marks a term in texts and counts how often it was there.

    A term is found inside one run of text; words that the author's mark-up cuts are not joined.
    """

    pattern: re.Pattern[str] | None
    found: int = field(default=0)
    word: str = field(default="")
    """In ASCII and lower case, of which every hit in a text in ASCII has one; or nothing."""

    def is_in(self, text: str) -> bool:
        """Whether the term is in a text. A plain look first: most texts do not have it."""
        if self.pattern is None or (self.word and text.isascii() and self.word not in text.lower()):
            return False
        return self.pattern.search(text) is not None

    def pieces(self, text: str) -> list[tuple[str, int]]:
        """The text cut into (piece, number): the number of the hit, or 0 between hits."""
        if self.pattern is None:
            return [(text, 0)]
        cut: list[tuple[str, int]] = []
        at = 0
        for hit in self.pattern.finditer(text):
            if hit.start() > at:
                cut.append((text[at : hit.start()], 0))
            self.found += 1
            cut.append((hit.group(), self.found))
            at = hit.end()
        if at < len(text):
            cut.append((text[at:], 0))
        return cut


def term_of(typed: str) -> str | None:
    """What is looked for, or ``None`` where it is too short to mean anything."""
    term = " ".join(typed.split())[:LONGEST_TERM]
    return term if len(term) >= FEWEST_LETTERS else None


def finder(term: str | None) -> Finder:
    """A finder of a term, whatever its case and the blanks between its words."""
    if term is None:
        return Finder(None)
    words = term.split()
    pattern = re.compile(r"\s+".join(map(re.escape, words)), re.IGNORECASE)
    return Finder(pattern, word=words[0].lower() if words[0].isascii() else "")


def hits(document: ReadableDocument, term: str) -> int:
    """How often a term is in a document's sections and their titles."""
    return hits_in(
        (
            text
            for section in document.sections
            for text in (section.title or "", *section.content)
            if isinstance(text, str)
        ),
        term,
    )


def hits_in(texts: Iterable[str], term: str) -> int:
    """How often a term is in texts."""
    wanted = finder(term)
    assert wanted.pattern is not None  # noqa: S101 - a term was given
    return sum(len(wanted.pattern.findall(text)) for text in texts if wanted.is_in(text))
