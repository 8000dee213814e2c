"""The access log: who looked at what on the console, from the entries that say so.

A person, kinds of acts and a time are conditions of the log's filter. What was looked at is in the
private groups, which no index has: entries are opened one after another, some thousand for a page.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode

from sqlalchemy import select
from starlette.responses import Response

from node.console.case_filter import permitted
from node.console.exchange_list import cursor_of
from node.console.parts import Visit
from node.console.rendering import page, see
from node.console.time_windows import SPANS
from node.ledger.filter_text import format_filter, from_query, to_query
from node.ledger.find import Cursor, Entry, LedgerFilter, find
from node.ledger.leaf import Kind
from node.ledger.row_check import open_group
from node.ledger.trust_change import sentence
from node.storage.tables import PRIVATE

PAGE: Final = 50
READ: Final = 2_000
"""Entries that are opened for one page at most, in search of one thing."""

_LONGEST: Final = 200
_OWN: Final = frozenset({"after", "about"})
_KINDS: Final = {
    "Everything": (),
    "Pages": ("page-view",),
    "Names and documents": ("patient-reveal", "disclosure-look", "body-view", "document-view",
                            "glass-break"),
    "Taken out": ("case-export", "disclosure-report", "packet-export", "denial-letter",
                  "export-ask", "export-done", "export-download", "qhin-report"),
    "Refused": ("page-refuse", "sign-in-refuse", "document-refuse", "case-refuse"),
}  # fmt: skip
_EXCHANGE: Final = re.compile(r"(?:/exchanges/)?([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})")
_CASE: Final = re.compile(r"/cases/[0-9]{4}-[0-9]{4,9}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A page of it: rows, where it goes on, and how far back was read in search of one thing."""

    rows: list[dict[str, Any]]
    following: Cursor | None
    read_to: datetime | None = None


def access_log(visit: Visit) -> Response:
    """``GET /access``: newest first."""
    return _shown(visit, _asked(visit), "/access")


def access_find(visit: Visit) -> Response:
    """``POST /access``: the list of one person, or about one thing; a name is in no address."""
    form, chosen = visit.form, replace(_asked(visit), user=None)
    who, about = form.get("who", "").strip(), form.get("about", "").strip()[:_LONGEST]
    if who:
        login = next((u.login for u in visit.console.users.all() if u.name == who), who)
        chosen = replace(chosen, user=login).tokenized(visit.console.key)
    return see(_address("/access", chosen, about))


def own_access(visit: Visit) -> Response:
    """``GET /access/own``: what the log has of who is asking, for everybody."""
    return _shown(visit, replace(_asked(visit), user=f"~{visit.mark}"), "/access/own")


def _shown(visit: Visit, chosen: LedgerFilter, path: str) -> Response:
    about = _about(visit)
    found = access_rows(visit, limit=PAGE, chosen=chosen)
    base = _address(path, chosen, about)
    more = f"{base}{'&' if '?' in base else '?'}after="
    following = found.following
    return page(
        visit,
        "access.html",
        title="What the log has of you" if path != "/access" else "Access log",
        at=path,
        own_alone=path != "/access",
        rows=found.rows,
        read_to=found.read_to,
        about=about,
        person=_person(visit, chosen),
        narrowed=base != path,
        chips=_chips(visit, chosen, about),
        kinds=[
            (words, _address(path, _of_kind(chosen, acts), about), _acts(chosen) == acts)
            for words, acts in _KINDS.items()
        ],
        times=[
            (words, _address(path, replace(chosen, since=span), about), chosen.since == span)
            for words, span in SPANS.items()
        ],
        base=base,
        newest=base if "after" in visit.request.query_params else None,
        older=f"{more}{following.t}.{following.seq}" if following else None,
    )


def access_rows(visit: Visit, *, limit: int, chosen: LedgerFilter | None = None) -> Found:
    """Who looked at what, newest first, as an address says, from where it says.

    Raises:
        OurFault: ``filter-unreadable``.
    """
    console, about = visit.console, _about(visit)
    chosen = replace(chosen or _asked(visit), kind=Kind.ADMIN.value).at(visit.now)
    at = cursor_of(visit.request.query_params.get("after", ""))
    if not about:
        found = find(console.engine, chosen, key=console.key, limit=limit, after=at)
        return Found(rows=_rows(visit, found.entries), following=found.following)
    rows: list[dict[str, Any]] = []
    read_to = None
    for _ in range(0, READ, limit):
        found = find(console.engine, chosen, key=console.key, limit=limit, after=at)
        fitting = [row for row in _rows(visit, found.entries) if about in row["about"]]
        rows += fitting[: limit - len(rows)]
        if len(rows) == limit:
            last = next(e for e in found.entries if e.seq == rows[-1]["seq"])
            at = Cursor(t=int(last.fields["t"]), seq=last.seq)
            break
        if found.entries:
            read_to = found.entries[-1].time
        at = found.following
        if at is None:
            break
    return Found(rows=rows, following=at, read_to=read_to if at else None)


def _rows(visit: Visit, entries: Sequence[Entry]) -> list[dict[str, Any]]:
    rows = []
    opened = _opened(visit, entries)
    for entry in entries:
        groups = opened.get(entry.seq, {})
        who, wire = groups.get("who"), groups.get("wire")
        known = wire if isinstance(wire, dict) else {}
        where = str(known.get("page") or known.get("exchange") or known.get("login") or "")
        exchange = _EXCHANGE.fullmatch(where)
        rows.append(
            {
                "time": entry.time,
                "who": str(who.get("user_id", "")) if isinstance(who, dict) else "",
                "by": str(entry.fields["by"]),
                "what": sentence(entry.fields) or "",
                "page": where,
                "to": f"/exchanges/{exchange[1]}" if exchange and visit.may("exchanges")
                else where if _CASE.fullmatch(where) and visit.may("cases") else "",
                "about": " ".join(str(value) for name, value in known.items() if name != "why"),
                "why": str(known.get("why") or ""),
                "reason": str(entry.fields.get("reason", "")),
                "seq": entry.seq,
            }
        )  # fmt: skip
    return rows


def _asked(visit: Visit) -> LedgerFilter:
    query = [(n, v) for n, v in parse_qsl(visit.request.url.query) if n not in _OWN]
    asked = permitted(visit, from_query(urlencode(query)))
    return LedgerFilter(since=asked.since, until=asked.until, user=asked.user, act=asked.act)


def _about(visit: Visit) -> str:
    return visit.request.query_params.get("about", "").strip()[:_LONGEST]


def _address(path: str, chosen: LedgerFilter, about: str) -> str:
    if path != "/access":
        chosen = replace(chosen, user=None)
    query = "&".join(
        part for part in (to_query(chosen), urlencode({"about": about}) if about else "") if part
    )
    return f"{path}?{query}" if query else path


def _acts(chosen: LedgerFilter) -> tuple[str, ...]:
    given = next((term.any_of for row, term in chosen.terms() if row.field == "act"), ())
    return next((acts for acts in _KINDS.values() if set(acts) == set(given)), given)


def _of_kind(chosen: LedgerFilter, acts: tuple[str, ...]) -> LedgerFilter:
    return replace(chosen, act=acts or None)


def _person(visit: Visit, chosen: LedgerFilter) -> str:
    """Whose entries are shown, by the login where it is one that we know."""
    given = next((term.any_of for row, term in chosen.terms() if row.field == "user"), ())
    known = {visit.console.cases.mark(user.login): user.login for user in visit.console.users.all()}
    return ", ".join(known.get(token[1:], "somebody who has no account now") for token in given)


def _chips(visit: Visit, chosen: LedgerFilter, about: str) -> list[tuple[str, str]]:
    """What narrows the list beside the kinds and times to choose from, and the list without it."""
    found = []
    if chosen.user is not None:
        without = _address("/access", replace(chosen, user=None), about)
        found.append((f"user:{_person(visit, chosen)}", without))
    if chosen.act is not None and _acts(chosen) not in _KINDS.values():
        without = _address("/access", replace(chosen, act=None), about)
        found.append((format_filter(LedgerFilter(act=chosen.act)), without))
    if chosen.until is not None or chosen.since not in SPANS.values():
        words = format_filter(LedgerFilter(since=chosen.since, until=chosen.until))
        without = _address("/access", replace(chosen, since=None, until=None), about)
        found.append((words, without))
    if about:
        found.append((f"about {about}", _address("/access", chosen, "")))
    return found


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
