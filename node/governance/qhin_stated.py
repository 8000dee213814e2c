"""Numbers that people state for a report, since the node does not know them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

from node.errors import SettingsError
from node.governance.qhin_model import stated_names

MOST: Final = 1_000_000_000
_NUMBER: Final = re.compile(r"[0-9]{1,10}", re.ASCII)


def read_stated(given: Iterable[tuple[str, str]]) -> Mapping[str, int]:
    """The numbers by their codes; an empty text states nothing.

    Raises:
        SettingsError: ``report-number-invalid`` for an unknown code, or no number.
    """
    names = stated_names()
    found = {}
    for code, text in given:
        if code not in names:
            raise SettingsError(
                "report-number-invalid", f"A report has these numbers: {', '.join(names)}."
            )
        if not text.strip():
            continue
        if not _NUMBER.fullmatch(text.strip()) or int(text) > MOST:
            raise SettingsError(
                "report-number-invalid", f"{names[code]} is a whole number from 0 to {MOST:,}."
            )
        found[code] = int(text)
    return found
