"""Finding words in a document: on the server, so that it works without script."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from node.wire.reader.document import Content, ReadableDocument

LONGEST_TERM = 100
FEWEST_LETTERS = 2


@dataclass(slots=True)
class Finder:
    """Marks a term in texts and counts how often it was there.

    A term is found inside one run of text; words that the author's mark-up cuts are not joined.
    """

    pattern: re.Pattern[str] | None
    found: int = field(default=0)

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
    words = r"\s+".join(re.escape(word) for word in term.split())
    return Finder(re.compile(words, re.IGNORECASE))


def hits(document: ReadableDocument, term: str) -> int:
    """How often a term is in a document's sections and their titles."""
    wanted = finder(term)
    assert wanted.pattern is not None  # noqa: S101 - a term was given
    return sum(
        sum(1 for _ in wanted.pattern.finditer(section.title or ""))
        + _hits(wanted.pattern, section.content)
        for section in document.sections
    )


def _hits(pattern: re.Pattern[str], content: tuple[Content, ...]) -> int:
    return sum(
        sum(1 for _ in pattern.finditer(part))
        if isinstance(part, str)
        else _hits(pattern, part.children)
        for part in content
    )
