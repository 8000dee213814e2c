"""The flat content of a section as a tree, for what must know a part's insides before it begins."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from node.wire.reader.document import BEGIN, END, POINTS, Content, Kind


class Node(NamedTuple):
    """A part of a narrative with its insides; the numbers are those of its ``Mark``."""

    kind: Kind
    children: tuple[Branch, ...] = ()
    number: int = 0
    columns: int = 1
    rows: int = 1


Branch = str | Node
"""Characters, or a part with parts."""


def tree(content: Iterable[Content]) -> tuple[Branch, ...]:
    """The parts of a section, each with its own."""
    open_: list[list[Branch]] = [[]]
    begun = []
    for part in content:
        if isinstance(part, str):
            open_[-1].append(part)
        elif part.kind in POINTS:
            open_[-1].append(Node(part.kind, (), part.number))
        elif part.begins:
            begun.append(part)
            open_.append([])
        else:
            mark, children = begun.pop(), tuple(open_.pop())
            node = Node(mark.kind, children, mark.number, mark.columns, mark.rows)
            open_[-1].append(node)
    return tuple(open_[0])


def texts_of(branches: Iterable[Branch]) -> list[str]:
    """The texts of a tree in their order; blocks, cells and breaks are parted by a blank."""
    into: list[str] = []
    _gather(branches, into)
    return into


def _gather(branches: Iterable[Branch], into: list[str]) -> None:
    for part in branches:
        if isinstance(part, str):
            into.append(part)
            continue
        into.append(BEGIN[part.kind].gap)
        if part.kind not in POINTS:
            _gather(part.children, into)
            into.append(END[part.kind].gap)
