"""The search box: any identifier, a case's number or qualifiers, and on to the thing."""

from __future__ import annotations

import re
from typing import Any, Final

from starlette.responses import Response

from node.console.case_filter import permitted
from node.console.case_forms import case_number
from node.console.exchange_list import exchanges_only
from node.console.parts import Visit
from node.console.rendering import see
from node.errors import OurFault
from node.ledger.filter_text import parse_filter, to_query
from node.ledger.find import LedgerFilter, count
from node.ledger.qualifiers import QUALIFIERS


def search(visit: Visit) -> Response:
    """``POST /search``: any identifier, a case's number or qualifiers, and on to the thing.

    By POST, so that what was typed stands in no address and in no history.

    Raises:
        OurFault: ``filter-unreadable`` when it can be no identifier of an exchange.
    """
    text = visit.form.get("q", "").strip()
    if not text:
        return see("/exchanges")
    number = case_number(text)
    if number and visit.may("cases") and visit.console.cases.standing(number):
        return see(f"/cases/{number}")
    chosen = _understood(visit, text).tokenized(visit.console.key)
    return see(f"/exchanges?{to_query(chosen)}")


_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_HCID: Final = re.compile(r"(urn:oid:)?[0-2](\.[0-9]+)+", re.ASCII)


def _understood(visit: Visit, text: str) -> LedgerFilter:
    """What a person means by an identifier: the first reading that finds something."""
    if ":" in text and not text.lower().startswith("urn:"):
        return permitted(visit, parse_filter(text))
    readings = []
    if _UUID.fullmatch(text):
        readings += ["exchange", "message", "relates-to"]
    elif text.lower().startswith("urn:uuid:"):
        readings += ["message", "relates-to"]
    elif "^^^" in text:
        readings += ["patient"]
    elif _HCID.fullmatch(text):
        readings += ["peer", "document"]
    else:
        readings += ["user", "document", "message"]
    read = []
    for name in readings:
        try:
            made = _filter_by(QUALIFIERS[name].field, text)
        except OurFault:
            continue
        read.append(made)
        fixed = exchanges_only(made).at(visit.now)
        if count(visit.console.engine, fixed, key=visit.console.key, limit=1).number:
            return made
    if read:
        return read[0]
    raise OurFault("filter-unreadable", "This is no identifier that an exchange can have.")


def _filter_by(field: str, value: str) -> LedgerFilter:
    values: dict[str, Any] = {field: value}
    return LedgerFilter(**values)
