"""What sections say: whether anything, and the hash of their words. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Final

from node.wire.reader.document import Content, Embedded, Kind, Section, SectionState, texts

_FEWEST_CHARACTERS: Final = 200
"""Below, "same content" would mean little: two documents that say only "none known" differ."""


def says_anything(content: Iterable[Content]) -> bool:
    """Whether there is a word, a sign or a picture in it."""
    return any(
        not part.isspace() and part != "" if isinstance(part, str) else part.kind is Kind.IMAGE
        for part in content
    )


def content_hash(sections: Sequence[Section], body: Embedded | None) -> str | None:
    """SHA-256 over the words of all sections, whatever the mark-up; ``None`` where they are few."""
    if body is not None:
        return hashlib.sha256(body.data).hexdigest()
    words = "\n".join(
        " ".join(f"{section.title or ''} {''.join(texts(section.content))}".split())
        for section in sections
    )
    if len(words) < _FEWEST_CHARACTERS:
        return None
    # what is not shown would make two documents the same that are not
    if any(section.state is SectionState.TOO_LARGE for section in sections):
        return None
    return hashlib.sha256(words.encode()).hexdigest()
