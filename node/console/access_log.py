"""The access log: who looked at what on the console, from the entries that say so."""

from __future__ import annotations

import re
from typing import Final

from starlette.responses import Response

from node.console.parts import Visit
from node.console.rendering import page
from node.ledger.find import Cursor, LedgerFilter, find
from node.ledger.leaf import Kind
from node.ledger.show import show
from node.ledger.trust_change import acts

PAGE: Final = 50
_CURSOR: Final = re.compile(r"([0-9]{1,15})\.([0-9]{1,15})", re.ASCII)


def access_log(visit: Visit) -> Response:
    """``GET /access``: newest first."""
    console = visit.console
    at = _CURSOR.fullmatch(visit.request.query_params.get("after", ""))
    found = find(
        console.engine,
        LedgerFilter(kind=Kind.ADMIN.value),
        key=console.key,
        limit=PAGE,
        after=Cursor(t=int(at[1]), seq=int(at[2])) if at else None,
    )
    rows = []
    for entry in found.entries:
        shown = show(console.engine, entry.seq, console.key)
        groups = {name: group.value for name, group in shown.groups.items()} if shown else {}
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
    following = found.following
    return page(
        visit,
        "access.html",
        title="Access log",
        at="/access",
        rows=rows,
        newest="/access" if at else None,
        older=f"/access?after={following.t}.{following.seq}" if following else None,
    )
