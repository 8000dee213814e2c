"""Checks many stored leaves quickly: is each canonical, of its kind, and numbered without a gap?

``leaf.decode`` is the rule. In front of it stands one regular expression for each kind, made from
the same table, that matches the whole canonical text at once: a leaf that it matches needs only its
date looked at. One that it does not match may still be a leaf (a number of sixteen digits, say), so
``leaf.decode`` then says what it is. A property test holds the two against each other.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from typing import Final

from node.errors import OurFault
from node.ledger import leaf

_NUMBER: Final = "(?:0|[1-9][0-9]{0,14})"  # 15 digits are below 2^53


def _value(name: str, kind: str) -> str:
    form = leaf.FIELDS[name].form
    if name == "v":
        return str(leaf.VERSION)
    if name == "kind":
        return f'"{kind}"'
    if form is None:
        return f"(?P<seq>{_NUMBER})" if name == "seq" else _NUMBER
    # a form looks at a value's end, which is a quotation mark here
    text = form.pattern.replace(r"\Z", '"').replace(".{", '[^"]{').replace(".*", '[^"]*')
    return f'"(?P<t>{text})"' if name == "t" else f'"(?:{text})"'


def _pattern(kind: str) -> re.Pattern[bytes]:
    """The canonical text of a kind; each field brings the comma in front of it."""
    fields = []
    for name in sorted(leaf.FIELDS):
        field = leaf.FIELDS[name]
        if kind in field.kinds:
            needed = "" if field.required else "?"
            fields.append(f'(?:(?:(?<=\\{{)|,)"{name}":{_value(name, kind)}){needed}')
    return re.compile(f"\\{{{''.join(fields)}\\}}".encode(), re.ASCII)


_PATTERNS: Final = {kind.value.encode(): _pattern(kind.value) for kind in leaf.Kind}
_KIND: Final = b'"kind":"'


def number_of(data: bytes) -> int | None:
    """The number that a leaf says it has; ``None`` when it is no leaf."""
    if (quick := _match(data)) is not None:
        return int(quick["seq"])
    try:
        return int(leaf.decode(data)["seq"])
    except OurFault:
        return None


def _match(data: bytes) -> re.Match[bytes] | None:
    # no form admits a quotation mark, so that this can only be the field itself
    start = data.find(_KIND) + len(_KIND)
    pattern = _PATTERNS.get(data[start : data.find(b'"', start)])
    found = pattern.fullmatch(data) if pattern and len(data) <= leaf.LIMIT else None
    if found is not None:
        try:
            datetime.fromisoformat(found["t"].decode("ascii"))
        except ValueError:
            return None
    return found


def numbered_from(base: int) -> Callable[[int, Sequence[bytes]], Iterable[tuple[int, str]]]:
    """A ``tlog.audit.CheckEntries`` for a log whose first entry has the number ``base``."""

    def check(first: int, entries: Sequence[bytes]) -> Iterator[tuple[int, str]]:
        for index, data in enumerate(entries, start=first):
            quick = _match(data)
            if quick is not None:
                number = int(quick["seq"])
            else:
                try:
                    number = int(leaf.decode(data)["seq"])
                except OurFault as fault:
                    yield index, f"Entry {index}: {fault.sentence}"
                    continue
            if number != base + index:
                yield index, f"Entry {index} has the number {number} instead of {base + index}."

    return check
