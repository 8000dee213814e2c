"""One peer: what the directory says, what of theirs runs out, and what the log says of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from starlette.responses import Response

from directory.model import Endpoint, Organization
from node.console.case_words import kind_word
from node.console.exchange_list import purpose_word
from node.console.guard import missing
from node.console.parts import Visit
from node.console.peer_list import end_clock, purposes_of, state_of
from node.console.peer_score import (
    SPARK_DAYS,
    brought_up,
    peer_rows,
    scorecard,
    scorecard_groups,
    spark,
    spark_rows,
)
from node.console.rendering import page, see
from node.console.second_person import REINSTATE, SUSPEND, ask
from node.console.wording import transaction_word
from node.errors import WireError
from node.governance.case_model import Refusal
from node.governance.changes import DECIDED, Change, changes
from node.governance.durations import ERROR
from node.governance.peer_states import peer_standing
from node.governance.scorecard import FEW, WINDOWS, daily, last_exchange
from node.governance.two_person_model import MOST_TEXT
from node.peer_ends import peer_ends
from node.wire.identifiers import home_community_id
from trust.expiry import Expiring

_CHANGES: Final = 10


def peer_page(visit: Visit, *, asking: Refusal | None = None) -> Response:
    """``GET /peers/{hcid}``; the HCID with or without ``urn:oid:``.

    ``?n=30.answered`` leads on to the rows behind a number of the scorecard.
    """
    console = visit.console
    try:
        hcid = home_community_id(str(visit.request.path_params["hcid"]))
    except WireError:
        return missing(visit, "This is no home community id.")
    found = console.directory.by_home_community_id(hcid)
    if not found:
        return missing(visit, "The directory has no organization with this home community id.")
    if number := visit.request.query_params.get("n"):
        return peer_rows(visit, hcid, number)
    organization, *others = found
    decided = changes(console.engine, console.key, limit=_CHANGES, peer=hcid, acts=DECIDED)
    whole = brought_up(visit)
    counted = scorecard(visit, hcid)
    days = daily(console.engine, hcid, SPARK_DAYS, now=visit.now)
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
        windows=WINDOWS,
        groups=scorecard_groups(counted),
        behind=not whole,
        spark=spark(days),
        spark_rows=spark_rows(days),
        error=round(ERROR * 100),
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
        "words": ", ".join(sorted({transaction_word(each) for each in endpoint.transactions})),
        "address": endpoint.address or "",
        "responds": sorted(purpose_word(code) for code in endpoint.responds),
        "status": endpoint.status or "active",
        "active": endpoint.active,
    }
