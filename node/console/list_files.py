"""The lists of the console for programs: the rows of a page, under its filters and its right.

One place says which lists there are as files and what their columns are; ``row_files`` writes them.
The list of exchanges has more to it, and is in ``exchange_rows``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode

from starlette.responses import Response

from node.console.access_log import access_rows
from node.console.denials_page import asked_denials
from node.console.exchange_rows import NO_FORM
from node.console.guard import Handler, missing
from node.console.parts import Visit
from node.console.peer_list import asked_peers, found_peers, peer_rows
from node.console.review_filter import asked_filter
from node.console.review_queue import queue_rows
from node.console.row_files import MEDIA, PAGE, Row, row_file
from node.console.sample_page import sample_rows
from node.console.trust_page import thing_words
from node.expiry_calendar import expiring
from node.governance.denials import Side
from node.ledger.find import Cursor
from trust.expiry import calendar

Read = Callable[[Visit], tuple[Sequence[Row], str | None]]
"""The rows that an address asks for, and what the next page's ``after`` is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListFile:
    """A list: its address, the right of its page, what it is of, its columns."""

    path: str
    right: str
    noun: str
    columns: tuple[str, ...]
    read: Read

    @property
    def handler(self) -> Handler:
        """What answers ``path.json``, ``path.ndjson`` and ``path.csv``."""

        def answer(visit: Visit) -> Response:
            how = str(visit.request.path_params["how"])
            if how not in MEDIA:
                return missing(visit, NO_FORM)
            rows, after = self.read(visit)
            kept = [(n, v) for n, v in parse_qsl(visit.request.url.query) if n != "after"]
            query = urlencode([*kept, ("after", after or "")])
            return row_file(
                how,
                rows,
                noun=self.noun,
                columns=self.columns,
                following=f"{self.path}.{how}?{query}" if after else None,
            )

        return answer


def _cases(visit: Visit) -> tuple[Sequence[Row], str | None]:
    visit.console.cases.lapse(now=visit.now)
    found, following = queue_rows(visit, asked_filter(visit), limit=PAGE)
    rows = [
        {
            "case": row.case.number,
            "due": _iso(row.case.due),
            "due_words": row.clock.words,
            "what": row.heading,
            "about": row.peer,
            "state": row.case.state.value,
            "snoozed_until": _iso(row.case.snoozed),
            "reason": row.case.kind,
            "incidents": row.case.incidents,
            "owner": row.case.assignee,
            "last": _iso(row.case.last),
        }
        for row in found
    ]
    return rows, f"{following[0]}.{following[1]}" if following else None


def _denials(visit: Visit) -> tuple[Sequence[Row], str | None]:
    side, found, following = asked_denials(visit, limit=PAGE)
    of = _turned_away if side is Side.LIMITS else _denial
    return [{"side": side.value, **of(row)} for row in found], _after(following)


def _denial(row: dict[str, Any]) -> Row:
    note = row["note"]
    return {
        "entry": row["seq"],
        "time": _iso(row["time"]),
        "exchange": row["exchange"],
        "direction": "in" if row["is_in"] else "out",
        "outcome": row["outcome"],
        "who": row["peer"],
        "asked_for": row["asked"],
        "reason": row["reason"],
        "reason_words": row["sentence"],
        "citation": row["cite"],
        "decided_by": row["by"],
        "answered": _iso(note.answered) if note else None,
        "due": _iso(row["due"]) if row["is_open"] else None,
    }


def _turned_away(row: dict[str, Any]) -> Row:
    return {
        "entry": row["seq"],
        "time": _iso(row["first"]),
        "until": _iso(row["last"]),
        "direction": "in",
        "who": row["peer"],
        "asked_for": row["listener"],
        "reason": row["code"],
        "number": row["number"],
        "limit": str(row["limit"]),
    }


def _peers(visit: Visit) -> tuple[Sequence[Row], str | None]:
    asked, after = asked_peers(visit)
    found, following = found_peers(visit, asked, after)
    rows = [
        {
            "name": row["name"],
            "id": row["id"],
            "hcid": row["hcid"],
            "state": row["state"],
            "purposes": "; ".join(row["purposes"]),
            "more_purposes": max(row["more_purposes"], 0),
            "last_exchange": _iso(row["last"]),
            "legs_30_days": "; ".join(f"{words} {code}" for code, words, _ in row["outcomes"]),
            "first_certificate_to_end": row["clock"].words if row["clock"] else None,
        }
        for row in peer_rows(visit, found)
    ]
    return rows, following


def _access(visit: Visit) -> tuple[Sequence[Row], str | None]:
    found = access_rows(visit, limit=PAGE)
    rows = [
        {
            "entry": row["seq"],
            "time": _iso(row["time"]),
            "who": row["who"] or row["by"],
            "what": row["what"],
            "reason": row["reason"],
            "why": row["why"],
            "where": row["page"],
        }
        for row in found.rows
    ]
    return rows, _after(found.following)


def _ends(visit: Visit) -> tuple[Sequence[Row], str | None]:
    home, now = visit.console.home, visit.now
    rows = [
        {
            "what": thing_words(due.item),
            "kind": due.item.kind.value,
            "owner": due.item.owner.value,
            "ends": _iso(due.item.not_after),
            "level": due.level.name.lower(),
            "in_order": due.in_order,
        }
        for due in calendar(expiring(home, now=now), now=now)
    ]
    return rows, None


LISTS: Final = (
    ListFile(
        path="/review", right="cases", noun="cases", read=_cases,
        columns=("case", "due", "due_words", "what", "about", "state", "snoozed_until", "reason",
                 "incidents", "owner", "last"),
    ),
    ListFile(
        path="/denials", right="denials", noun="denials", read=_denials,
        columns=("entry", "time", "until", "side", "exchange", "direction", "outcome", "who",
                 "asked_for", "reason", "reason_words", "citation", "decided_by", "answered", "due",
                 "number", "limit"),
    ),
    ListFile(
        path="/peers", right="peers", noun="peers", read=_peers,
        columns=("name", "id", "hcid", "state", "purposes", "more_purposes", "last_exchange",
                 "legs_30_days", "first_certificate_to_end"),
    ),
    ListFile(
        path="/trust", right="trust", noun="ends", read=_ends,
        columns=("what", "kind", "owner", "ends", "level", "in_order"),
    ),
    ListFile(
        path="/reports/sample", right="reports", noun="askers", read=sample_rows,
        columns=("asker", "name", "exchanges", "drawn", "judged", "wrong", "neither", "waiting",
                 "share", "low", "high"),
    ),
    ListFile(
        path="/access", right="access-log", noun="entries", read=_access,
        columns=("entry", "time", "who", "what", "reason", "why", "where"),
    ),
)  # fmt: skip


def _iso(instant: datetime | None) -> str | None:
    return None if instant is None else instant.isoformat(timespec="milliseconds")


def _after(following: Cursor | None) -> str | None:
    return f"{following.t}.{following.seq}" if following else None
