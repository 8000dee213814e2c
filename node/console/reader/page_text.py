"""The text of a PDF's page as lines that can be shown and looked through. Pure."""

from __future__ import annotations

from node.wire.reader.characters import seen


def lines_of(text: str) -> tuple[str, ...]:
    """The lines that say something, without what nobody sees."""
    lines = (
        "".join(sign if sign.isprintable() else " " for sign in line).strip()
        for line in seen(text)[0].splitlines()
    )
    return tuple(line for line in lines if line)
