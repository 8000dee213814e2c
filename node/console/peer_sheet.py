"""The scorecard of a peer on one page, neutral enough to be sent to the peer: numbers alone."""

from __future__ import annotations

from starlette.responses import Response

from node.console.guard import missing
from node.console.parts import Visit
from node.console.peer_page import organization_of, scorecard_groups
from node.console.rendering import page
from node.governance.scorecard import FEW, MOST, WINDOWS, tallies


def peer_sheet(visit: Visit) -> Response:
    """``GET /peers/{hcid}/sheet``: without cases, flags, people, reasons and links to rows."""
    organization = organization_of(visit)
    if organization is None:
        return missing(visit, "The directory has no organization with this home community id.")
    hcid = str(organization.home_community_id)
    counted = [tallies(visit.console.engine, hcid, each, now=visit.now) for each in WINDOWS]
    return page(
        visit,
        "peer-sheet.html",
        title=f"{organization.name}: sheet",
        at="/peers",
        peer=organization,
        hcid=hcid,
        windows=[each.days for each in WINDOWS],
        groups=scorecard_groups(hcid, counted),
        capped=any(each.capped for each in counted),
        few=FEW,
        most=MOST,
    )
