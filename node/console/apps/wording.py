"""Scopes in plain words, for the person who approves them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final
from urllib.parse import parse_qsl

from node.policy.scopes import ANY, Scope, parse_scopes

_OTHERS: Final = {
    "openid": "know who you are",
    "fhirUser": "know which practitioner you are",
    "online_access": "go on without asking you again, until the end of the day",
    "offline_access": "go on without asking you again for 90 days, also while you are away",
}
_CAPITAL: Final = re.compile(r"(?<=[a-z])(?=[A-Z])")
_WHOSE: Final = {"patient": "of this patient", "user": "of whichever patient you may see"}
_DOES: Final = {"r": "read", "s": "search", "rs": "read and search"}


def in_words(scopes: Iterable[str]) -> list[str]:
    """What an approval lets an app do, one line each, in the order asked for."""
    lines: dict[str, None] = {}
    for text in scopes:
        if text in _OTHERS:
            lines[_OTHERS[text]] = None
        for scope in parse_scopes([text]):
            lines[_resource(scope)] = None
    return list(lines)


def _resource(scope: Scope) -> str:
    does = _DOES.get(scope.operations, scope.operations)
    what = "everything" if scope.type == ANY else _CAPITAL.sub(" ", scope.type).lower()
    noun = what if scope.type == ANY else f"{what} records"
    only = ", ".join(f"{name} {value}" for name, value in parse_qsl(scope.query))
    return f"{does} {noun} {_WHOSE[scope.context]}{f', only where {only}' if only else ''}"
