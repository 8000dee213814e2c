"""Rows as CSV (RFC 4180, UTF-8) that a spreadsheet can be given: no cell of others is a formula."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from typing import Final

_FORMULA: Final = tuple("=+-@\t\r\uff1d\uff0b\uff0d\uff20")


def csv_of(rows: Iterable[Iterable[object]]) -> bytes:
    """The rows; ``None`` is an empty cell."""
    held = io.StringIO()
    writer = csv.writer(held)
    for row in rows:
        writer.writerow([_cell(value) for value in row])
    return held.getvalue().encode()


def _cell(value: object) -> str:
    """A cell; names come from others, and a spreadsheet must not compute them."""
    text = "" if value is None else str(value)
    return f"'{text}" if text.startswith(_FORMULA) else text
