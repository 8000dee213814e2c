"""Rows of a list for programs: JSON, lines of JSON, or CSV, a page at a time with where to go on.

A page that is not the last says so: in ``next``, in the last line, in a comment after the last row,
and in the Link header. What is in a row is what the page of the list shows to the same person.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import orjson
from starlette.responses import Response

from node.console.rendering import SECURITY_HEADERS
from node.governance.spreadsheet import csv_of

MEDIA: Final = {
    "json": "application/json",
    "ndjson": "application/x-ndjson",
    "csv": "text/csv; charset=utf-8",
}
PAGE: Final = 100
"""Rows of one page."""

Row = Mapping[str, str | int | bool | None]


def row_file(
    how: str, rows: Sequence[Row], *, noun: str, columns: Sequence[str], following: str | None
) -> Response:
    """The rows as a file.

    Args:
        how: a key of ``MEDIA``.
        rows: each with a value for some of the columns.
        noun: what they are.
        columns: all that rows have, in their order.
        following: the address of the next page.
    """
    headers = {"cache-control": "no-store", **SECURITY_HEADERS}
    if following:
        headers["link"] = f'<{following}>; rel="next"'
    made = {"json": _json, "ndjson": _lines, "csv": _csv}[how](rows, noun, columns, following)
    return Response(made, media_type=MEDIA[how], headers=headers)


def _json(rows: Sequence[Row], noun: str, columns: Sequence[str], following: str | None) -> bytes:
    whole = [{name: row.get(name) for name in columns} for row in rows]
    return orjson.dumps({noun: whole, "next": following})


def _lines(rows: Sequence[Row], _noun: str, columns: Sequence[str], following: str | None) -> bytes:
    lines = [orjson.dumps({name: row.get(name) for name in columns}) for row in rows]
    lines.append(orjson.dumps({"rows": len(rows), "next": following}))
    return b"\n".join(lines) + b"\n"


def _csv(rows: Sequence[Row], noun: str, columns: Sequence[str], following: str | None) -> bytes:
    data = csv_of([columns, *([row.get(name) for name in columns] for row in rows)])
    end = f"more at {following}" if following else "end"
    return data + f"# {len(rows)} {noun}; {end}\r\n".encode()
