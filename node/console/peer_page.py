"""One peer: what the directory says, what of theirs runs out, and what the log says of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, Final

from starlette.responses import Response

from directory.model import Endpoint, Organization
from node.console.case_words import kind_word
from node.console.exchange_list import purpose_word
from node.console.guard import missing
from node.console.parts import Visit
from node.console.peer_list import end_clock, purposes_of, state_of
from node.console.rendering import page, see
from node.console.second_person import REINSTATE, SUSPEND, ask
from node.console.wording import transaction_word
from node.errors import WireError
from node.governance.case_model import Refusal
from node.governance.changes import DECIDED, Change, changes
from node.governance.peer_states import peer_standing
from node.governance.scorecard import (
    CONDUCT,
    FEW,
    MEASURES,
    MOST,
    WINDOWS,
    Conditions,
    Measure,
    Tallies,
    last_exchange,
    tallies,
)
from node.governance.two_person_model import MOST_TEXT
from node.ledger.filter_text import to_query
from node.peer_ends import peer_ends
from node.wire.identifiers import home_community_id
from trust.expiry import Expiring

_CHANGES: Final = 10
_MOST_PURPOSES: Final = 12


def peer_page(visit: Visit, *, asking: Refusal | None = None) -> Response:
    """``GET /peers/{hcid}``; the HCID with or without ``urn:oid:``."""
    console = visit.console
    try:
        hcid = home_community_id(str(visit.request.path_params["hcid"]))
    except WireError:
        return missing(visit, "This is no home community id.")
    found = console.directory.by_home_community_id(hcid)
    if not found:
        return missing(visit, "The directory has no organization with this home community id.")
    organization, *others = found
    decided = changes(console.engine, console.key, limit=_CHANGES, peer=hcid, acts=DECIDED)
    counted = [tallies(console.engine, hcid, each, now=visit.now) for each in WINDOWS]
    manager = console.directory.managing_organization(organization)
    ends = peer_ends(console.home, [organization.id], now=visit.now).get(organization.id, ())
    return page(
        visit,
        "peer.html",
        title=organization.name,
        at="/peers",
        status=400 if asking else 200,
        asking=asking,
        typed=visit.form.get("text", "")[:MOST_TEXT],
        peer=organization,
        hcid=hcid,
        others=[each.id for each in others],
        state=state_of(organization),
        standing=peer_standing(
            console.engine,
            hcid,
            suspended=organization.suspended,
            now=visit.now,
            reader=visit.mark,
        ),
        kind_word=kind_word,
        suspension=_suspension(organization, decided),
        through=manager.name if manager and manager.id != organization.id else None,
        declared=sorted(purpose_word(code) for code in purposes_of(organization)),
        seen=sorted(purpose_word(code) for code in counted[-1].purposes_asked),
        endpoints=[_endpoint(each) for each in organization.endpoints],
        pins=console.directory.local.pins(organization.id),
        ends=[(_end_words(each.item), end_clock(each)) for each in ends],
        windows=[each.days for each in WINDOWS],
        groups=scorecard_groups(hcid, counted),
        capped=any(each.capped for each in counted),
        most=MOST,
        few=FEW,
        last=last_exchange(console.engine, hcid),
        changes=decided,
    )


def peer_ask(visit: Visit) -> Response:
    """``POST /peers/{hcid}/ask``: ask a second person to suspend the peer, or to reinstate it."""
    organization = organization_of(visit)
    if organization is None:
        return missing(visit, "The directory has no organization with this home community id.")
    hcid = str(organization.home_community_id)
    text = visit.form.get("text", "").strip()
    verb = REINSTATE if organization.suspended else SUSPEND
    what = {"organization": organization.id, "hcid": hcid, "reason": text[:MOST_TEXT]}
    asked = ask(visit, verb, what, hcid)
    if isinstance(asked, Refusal):
        return peer_page(visit, asking=asked)
    return see(f"/requests/{asked.number}")


def organization_of(visit: Visit) -> Organization | None:
    """The organization of the page's address."""
    try:
        hcid = home_community_id(str(visit.request.path_params["hcid"]))
    except WireError:
        return None
    return next(iter(visit.console.directory.by_home_community_id(hcid)), None)


def _suspension(organization: Organization, decided: Sequence[Change]) -> Mapping[str, Any] | None:
    """Who suspended it, when and why; the directory keeps the reason, the log the person."""
    if not organization.suspended:
        return None
    entry = next((each for each in decided if each.act == "peer-suspend"), None)
    return {"why": organization.suspended_reason or "", "entry": entry}


def _end_words(item: Expiring) -> str:
    """Its use and digits: whose it is, the page says already."""
    return item.name.rpartition(") ")[2]


def _endpoint(endpoint: Endpoint) -> Mapping[str, Any]:
    return {
        "words": ", ".join(transaction_word(each) for each in sorted(endpoint.transactions)),
        "address": endpoint.address or "",
        "responds": sorted(purpose_word(code) for code in endpoint.responds),
        "status": endpoint.status or "active",
        "active": endpoint.active,
    }


def scorecard_groups(
    hcid: str, counted: Sequence[Tallies]
) -> list[tuple[str, list[tuple[str, list[Mapping[str, Any]]]]]]:
    """The scorecard: groups of rows, each with a cell for every window."""
    rows = [(each.group, each.words, _cells(hcid, each, counted)) for each in _measures(counted)]
    return [
        (group, [(words, cells) for _, words, cells in of])
        for group, of in groupby(rows, key=lambda row: row[0])
    ]


def _measures(counted: Sequence[Tallies]) -> Iterator[Measure]:
    yield from MEASURES
    longest = counted[-1]
    for purpose in longest.purposes_asked[:_MOST_PURPOSES]:
        asked = longest.asked_for(purpose)
        yield Measure(group=CONDUCT, words=f"Asked of us: {purpose_word(purpose)}", part=asked.part)


def _cells(hcid: str, measure: Measure, counted: Sequence[Tallies]) -> list[Mapping[str, Any]]:
    return [_cell(hcid, measure, each) for each in counted]


def _cell(hcid: str, measure: Measure, counted: Tallies) -> Mapping[str, Any]:
    part = counted.number(measure.part)
    more = "+" if counted.capped else ""
    if measure.whole is None:
        return {
            "words": f"{part:,}{more}",
            "address": _address(hcid, counted, measure.part),
            "n": None,
            "few": False,
        }
    whole = counted.number(measure.whole)
    return {
        "words": f"{100 * part / whole:.1f} %" if whole else "none",
        "address": _address(hcid, counted, measure.part if whole else measure.whole),
        "n": f"n {whole:,}{more}",
        "n_address": _address(hcid, counted, measure.whole),
        "few": whole < FEW,
    }


def _address(hcid: str, counted: Tallies, conditions: Conditions) -> str:
    return f"/exchanges?{to_query(counted.filter_of(hcid, conditions))}"
