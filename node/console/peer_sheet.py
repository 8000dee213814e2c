"""The scorecard of a peer on one page, neutral enough to be sent to the peer: numbers alone."""

from __future__ import annotations

from starlette.responses import Response

from node.console.guard import missing
from node.console.parts import Visit
from node.console.peer_page import organization_of
from node.console.peer_score import brought_up, scorecard, scorecard_groups
from node.console.rendering import page
from node.governance.durations import ERROR
from node.governance.scorecard import FEW, WINDOWS


def peer_sheet(visit: Visit) -> Response:
    """``GET /peers/{hcid}/sheet``: without cases, flags, people, reasons and links to rows."""
    organization = organization_of(visit)
    if organization is None:
        return missing(visit, "The directory has no organization with this home community id.")
    hcid = str(organization.home_community_id)
    whole = brought_up(visit)
    return page(
        visit,
        "peer-sheet.html",
        title=f"{organization.name}: sheet",
        at="/peers",
        peer=organization,
        hcid=hcid,
        windows=WINDOWS,
        groups=scorecard_groups(scorecard(visit, hcid)),
        behind=not whole,
        few=FEW,
        error=round(ERROR * 100),
    )
