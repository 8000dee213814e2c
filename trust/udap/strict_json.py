"""JSON from strangers, read strictly: one object, no name twice, a bounded depth, plain values.

Python's reader keeps the last of two equal names. Whoever checks one of them and uses the other is
deceived, so a name that stands twice refuses the whole text. It also makes values that nobody can
write down again: numbers without end, and halves of characters (lone surrogates).
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, NoReturn

from trust.errors import TrustError

MAX_DEPTH = 20

JsonObject = Mapping[str, Any]
"""A JSON object; its values are what ``json`` makes of them."""


def read_object(data: bytes) -> JsonObject:
    """Reads one JSON object in UTF-8.

    Raises:
        TrustError: ``jwt-name-twice``, ``jwt-malformed``.
    """
    try:
        text = data.decode("utf-8", "strict")
        value = json.loads(
            text,
            object_pairs_hook=_unique,
            parse_constant=_refuse_constant,
            parse_float=_finite,
        )
        if "\\" in text:  # only what is written as an escape can be half a character
            json.dumps(value, ensure_ascii=False).encode("utf-8", "strict")
    except (ValueError, RecursionError) as error:
        # ValueError covers bad UTF-8, bad JSON and numbers with thousands of digits
        raise TrustError("jwt-malformed", "A JSON text cannot be read.") from error
    if not isinstance(value, dict):
        raise TrustError("jwt-malformed", "A JSON text is not an object.")
    if _depth(value) > MAX_DEPTH:
        raise TrustError("jwt-malformed", f"A JSON text is deeper than {MAX_DEPTH} levels.")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise TrustError("jwt-name-twice", "A JSON object has the same name twice.")
    return made


def _refuse_constant(_name: str) -> NoReturn:
    raise ValueError


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError
    return value


def _depth(value: object) -> int:
    deepest = 0
    waiting = [(value, 1)]
    while waiting:
        current, depth = waiting.pop()
        deepest = max(deepest, depth)
        if depth > MAX_DEPTH:
            break
        if isinstance(current, dict):
            waiting += [(each, depth + 1) for each in current.values()]
        elif isinstance(current, list):
            waiting += [(each, depth + 1) for each in current]
    return deepest
