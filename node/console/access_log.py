"""The access log: who looked at what on the console, from the entries that say so."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import select
from starlette.responses import Response

from node.console.parts import Visit
from node.console.rendering import page
from node.ledger.find import Cursor, Entry, LedgerFilter, find
from node.ledger.leaf import Kind
from node.ledger.row_check import open_group
from node.ledger.trust_change import acts
from node.storage.tables import PRIVATE

PAGE: Final = 50
_CURSOR: Final = re.compile(r"([0-9]{1,15})\.([0-9]{1,15})", re.ASCII)


def access_log(visit: Visit) -> Response:
    """``GET /access``: newest first."""
    rows, following = access_rows(visit, limit=PAGE)
    return page(
        visit,
        "access.html",
        title="Access log",
        at="/access",
        rows=rows,
        newest="/access" if "after" in visit.request.query_params else None,
        older=f"/access?after={following.t}.{following.seq}" if following else None,
    )


def access_rows(visit: Visit, *, limit: int) -> tuple[list[dict[str, Any]], Cursor | None]:
    """Who looked at what, newest first, from where an address says; and where it goes on."""
    console = visit.console
    at = _CURSOR.fullmatch(visit.request.query_params.get("after", ""))
    found = find(
        console.engine,
        LedgerFilter(kind=Kind.ADMIN.value),
        key=console.key,
        limit=limit,
        after=Cursor(t=int(at[1]), seq=int(at[2])) if at else None,
    )
    rows = []
    opened = _opened(visit, found.entries)
    for entry in found.entries:
        groups = opened.get(entry.seq, {})
        who, wire = groups.get("who"), groups.get("wire")
        about = wire if isinstance(wire, dict) else {}
        rows.append(
            {
                "time": entry.time,
                "who": str(who.get("user_id", "")) if isinstance(who, dict) else "",
                "by": str(entry.fields["by"]),
                "what": acts()[str(entry.fields["act"])].done,
                "page": str(about.get("page") or about.get("exchange") or about.get("login") or ""),
                "why": str(about.get("why") or ""),
                "reason": str(entry.fields.get("reason", "")),
                "seq": entry.seq,
            }
        )
    return rows, found.following


def _opened(visit: Visit, entries: Sequence[Entry]) -> dict[int, dict[str, object]]:
    """Who it was and what it was about, of all entries at once; what does not open is left out."""
    known = {entry.seq: entry for entry in entries}
    query = select(PRIVATE.c.seq, PRIVATE.c.who, PRIVATE.c.wire).where(PRIVATE.c.seq.in_(known))
    with visit.console.engine.connect() as connection:
        rows = connection.execute(query).all()
    found: dict[int, dict[str, object]] = {}
    for seq, who, wire in rows:
        entry = known[seq]
        for group, blob in (("who", who), ("wire", wire)):
            commitment = entry.fields.get(f"c_{group}")
            _, held = open_group(entry.entry_id, group, commitment, blob, visit.console.key)
            if held is not None:
                found.setdefault(seq, {})[group] = held.value
    return found
