"""How a stored query's values are written inside ``rim:Value``, and read back.

* a text stands in single quotes, a quote inside is doubled: ``'O''Neill'``;
* a number or timestamp stands bare;
* a list stands in parentheses: ``('a','b')``; several Value elements continue one list;
* one Value holds at most 256 characters, so a long list spans several.

Reading also takes unquoted texts (partners send bare UUIDs and statuses) and lists where one value
belongs.

Source: ITI TF-2 3.18.4.1.2.3.5; facts ihe-wire 3.1.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from node.errors import LimitError, OurFault, WireError
from node.wire.deviations import ContentDeviation, Deviations

__all__ = ["MAX_VALUE", "decode", "encode_list", "encode_single"]

MAX_VALUE = 256
"""Characters of one Value as we write it."""

_MAX_READ = 64 * 1024
_QUOTED = re.compile(r"'((?:[^']|'')*+)'")
_NUMBER = re.compile("[0-9]+", re.ASCII)


def encode_single(value: str, *, bare: bool) -> str:
    """One value as it stands alone.

    Raises:
        OurFault: ``query-value-invalid`` when it is longer than 256 characters as written, or is
            to stand bare and is no number.
    """
    if bare and _NUMBER.fullmatch(value) is None:
        raise OurFault("query-value-invalid", "A number in a stored query has other characters.")
    return _fitting(value if bare else _quote(value))


def encode_list(values: Sequence[str]) -> tuple[str, ...]:
    """A list as the texts of as many Value elements as it needs, in order.

    Raises:
        OurFault: ``query-value-invalid`` when one item alone is too long.
    """
    texts: list[str] = []
    items: list[str] = []
    length = 2
    for item in (_quote(value) for value in values):
        _fitting(f"({item})")
        if items and length + len(item) + 1 > MAX_VALUE:
            texts.append(f"({','.join(items)})")
            items, length = [], 2
        length += len(item) + (1 if items else 0)
        items.append(item)
    if items:
        texts.append(f"({','.join(items)})")
    return tuple(texts)


def decode(texts: Iterable[str], slot: str, deviations: Deviations) -> tuple[str, ...]:
    """The values in the Value elements of one slot.

    Raises:
        WireError: ``stored-query-value`` when quotes or parentheses do not match.
        LimitError: ``value-too-long`` past 64 KiB in one Value.
    """
    values: list[str] = []
    for text in texts:
        if len(text) > _MAX_READ:
            raise LimitError("value-too-long", "A query parameter is too long.", where=slot)
        values.extend(_decode_one(text.strip(), slot, deviations))
    return tuple(values)


def _quote(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _fitting(text: str) -> str:
    if len(text) > MAX_VALUE:
        raise OurFault(
            "query-value-invalid",
            f"A value of a stored query is longer than {MAX_VALUE} characters.",
        )
    return text


def _decode_one(text: str, slot: str, deviations: Deviations) -> list[str]:
    if not text:
        return []
    if text[0] != "(":
        value, end = _item(text, 0, slot, deviations, stop="")
        if text[end:].strip():
            raise _broken(slot)
        return [value]
    if text == "()":
        return []
    values: list[str] = []
    position = 1
    while True:
        position = _skip(text, position)
        value, position = _item(text, position, slot, deviations, stop=",)")
        values.append(value)
        position = _skip(text, position)
        sign = text[position : position + 1]
        position += 1
        if sign == ")":
            break
        if sign != ",":
            raise _broken(slot)
    if text[position:].strip():
        raise _broken(slot)
    return values


def _item(
    text: str, start: int, slot: str, deviations: Deviations, *, stop: str
) -> tuple[str, int]:
    """One quoted or bare item from a position, and where it ends."""
    if text[start : start + 1] == "'":
        found = _QUOTED.match(text, start)
        if found is None:
            raise _broken(slot)
        return found[1].replace("''", "'"), found.end()
    end = min((i for sign in stop if (i := text.find(sign, start)) >= 0), default=len(text))
    value = text[start:end].strip()
    if not value or "'" in value or (not stop and value[-1:] == ")" and "(" not in value):
        raise _broken(slot)
    if _NUMBER.fullmatch(value) is None:
        deviations.add(ContentDeviation.VALUE_UNQUOTED)
    return value, end


def _skip(text: str, position: int) -> int:
    while position < len(text) and text[position].isspace():
        position += 1
    return position


def _broken(slot: str) -> WireError:
    return WireError(
        "stored-query-value",
        "The quotes or parentheses of a query parameter do not match.",
        where=slot,
    )
