"""Private groups reduced to what detectors read: counts, states, digits and digests.

Names, addresses and identifiers are reduced at once, and nothing of them is kept.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from node.governance.detectors.model import File, Question
from node.model import PatientId

_DIGITS: Final = re.compile(r"[0-9]{1,15}\Z", re.ASCII)
_DATED: Final = re.compile(r"\$XDSDocumentEntry(?:CreationTime|ServiceSt(?:art|op)Time)")
_DATES: Final = frozenset({"date", "period"})


def question_of(group: object) -> Question | None:
    """What a question was asked with, without whom it is about."""
    if not isinstance(group, dict):
        return None
    known = group.get("demographics")
    if isinstance(known, dict):
        addresses, identifiers = _dicts(known, "addresses"), _dicts(known, "identifiers")
        states = [state for each in addresses if (state := text_of(each.get("state")))]
        digits = next((d for each in identifiers if (d := _digits(each.get("id")))), None)
        return Question(
            strong=len(addresses) + len(identifiers) + len(_dicts(known, "telecoms")),
            named=bool(identifiers),
            state=states[0].strip().upper()[:2] if states else None,
            number=digits,
        )
    parameters = group.get("parameters")
    if isinstance(parameters, list):
        names = [str(each[0]) for each in parameters if isinstance(each, list) and each]
        return Question(dated=any(_DATED.match(n) or n in _DATES for n in names))
    return None


def identifiers_of(group: object) -> tuple[PatientId, ...]:
    """The identifiers that a question was asked with; they are compared and let go."""
    if not isinstance(group, dict):
        return ()
    known = group.get("demographics")
    return tuple(
        PatientId(assigning_authority=authority, id=value)
        for each in _dicts(known if isinstance(known, dict) else {}, "identifiers")
        if (authority := text_of(each.get("assigning_authority")))
        and (value := text_of(each.get("id")))
    )


def files_of(group: object) -> Iterable[File]:
    """The documents that were named or moved."""
    for row in group if isinstance(group, list) else ():
        if isinstance(row, dict) and (digest := text_of(row.get("sha256"))):
            size = row.get("size")
            yield File(digest=digest, size=size if isinstance(size, int) else None)


def text_of(value: object) -> str | None:
    """A text that says something, or ``None``."""
    return value if isinstance(value, str) and value else None


def _dicts(group: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    value = group.get(name)
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _digits(value: object) -> int | None:
    found = _DIGITS.search(value) if isinstance(value, str) else None
    return int(found[0]) if found else None
