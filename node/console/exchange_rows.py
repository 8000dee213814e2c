"""Exchanges for programs, as pages show them: the list, one of them, how many came since."""

from __future__ import annotations

import re
from typing import Final

import orjson
from starlette.responses import Response

from node.console.exchange_list import (
    asked_filter,
    cursor_of,
    exchanges_only,
    purpose_word,
    who_of,
)
from node.console.guard import missing
from node.console.parts import Visit
from node.console.rendering import SECURITY_HEADERS
from node.console.row_files import MEDIA, PAGE, Row, row_file
from node.governance.exchanges import Exchange, exchange_page, read_exchange
from node.ledger.filter_text import to_query
from node.ledger.find import tail
from node.model import Outcome

COLUMNS: Final = (
    "exchange", "began", "direction", "outcome", "who", "purpose", "purpose_words", "patient",
    "legs", "answered", "documents", "took_ms", "peers", "reasons",
)  # fmt: skip
MOST_NEWER: Final = 100

_ID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)
_SEQ: Final = re.compile(r"-?[0-9]{1,15}", re.ASCII)
NO_FORM: Final = "There is no such form of this list: json, ndjson and csv are."


def exchange_rows(visit: Visit) -> Response:
    """``GET /exchanges.json`` (``.ndjson``, ``.csv``): a page of the rows that a filter chooses.

    Raises:
        OurFault: for a filter that is not understood.
    """
    how = str(visit.request.path_params["how"])
    if how not in MEDIA:
        return missing(visit, NO_FORM)
    chosen, console = asked_filter(visit), visit.console
    found = exchange_page(
        console.engine,
        console.key,
        exchanges_only(chosen).at(visit.now),
        limit=PAGE,
        after=cursor_of(visit.request.query_params.get("after", "")),
    )
    base = f"/exchanges.{how}?{to_query(chosen)}"
    at = found.following
    return row_file(
        how,
        [_row(visit, each) for each in found.exchanges],
        noun="exchanges",
        columns=COLUMNS,
        following=f"{base}&after={at.t}.{at.seq}" if at else None,
    )


def exchange_object(visit: Visit) -> Response:
    """``GET /exchanges/{id}.json``: one exchange with its legs."""
    exchange_id = str(visit.request.path_params["exchange_id"])
    console = visit.console
    found = (
        read_exchange(console.engine, console.key, exchange_id)
        if _ID.fullmatch(exchange_id)
        else None
    )
    if found is None:
        return missing(visit, "The log has no exchange with this id.")
    legs = [
        {
            "entry": leg.entry.seq,
            "leg": leg.entry.entry_id,
            "began": leg.entry.time.isoformat(timespec="milliseconds"),
            "peer": leg.text("peer"),
            "transaction": leg.text("txn"),
            "outcome": leg.outcome.value,
            "reason": leg.text("reason"),
            "rules": leg.text("pol"),
            "documents": leg.documents,
            "took_ms": leg.took,
        }
        for leg in found.legs
    ]
    whole = {**_row(visit, found), "legs": legs, "more_legs": found.more_legs}
    headers = {"cache-control": "no-store", **SECURITY_HEADERS}
    return Response(orjson.dumps(whole), media_type=MEDIA["json"], headers=headers)


def newer(visit: Visit) -> Response:
    """``GET /exchanges/newer``: how many exchanges that fit were written since an entry's number.

    It says a number and shows nothing, so that a page which waits for new rows does not fill the
    log; at most ``MOST_NEWER`` are counted.
    """
    given = visit.request.query_params.get("seq", "")
    if not _SEQ.fullmatch(given):
        return missing(visit, "Say since which entry.")
    fixed = exchanges_only(asked_filter(visit)).at(visit.now)
    console = visit.console
    found = tail(console.engine, fixed, key=console.key, after=int(given), limit=MOST_NEWER)
    number = len({str(entry.fields["exch"]) for entry in found})
    headers = {"cache-control": "no-store", **SECURITY_HEADERS}
    body = {"newer": number, "more": len(found) == MOST_NEWER}
    return Response(orjson.dumps(body), media_type=MEDIA["json"], headers=headers)


def _row(visit: Visit, exchange: Exchange) -> Row:
    peers = sorted({peer for leg in exchange.main if (peer := leg.text("peer"))})
    bad = [leg for leg in exchange.legs if leg.outcome not in (Outcome.OK, Outcome.OK_EMPTY)]
    reasons = sorted({reason for leg in bad if (reason := leg.text("reason"))})
    return {
        "exchange": exchange.exchange_id,
        "began": exchange.began.isoformat(timespec="milliseconds"),
        "direction": exchange.direction.value,
        "outcome": exchange.outcome.value,
        "who": who_of(visit, exchange),
        "purpose": exchange.purpose,
        "purpose_words": purpose_word(exchange.purpose),
        "patient": f"~{exchange.patient}" if exchange.patient else None,
        "legs": len(exchange.legs),
        "answered": exchange.answered,
        "documents": exchange.documents,
        "took_ms": exchange.took,
        "peers": " ".join(peers),
        "reasons": " ".join(reasons),
    }
