"""``/records/why/{code}``: why there are no records, in plain words, and whom to call."""

from __future__ import annotations

import re
from typing import Any, Final

from starlette.responses import Response

from node.console.clinic.request import AskedLeg, LegState
from node.console.clinic.words import code_behind
from node.console.parts import Visit
from node.console.rendering import page
from node.policy.explanations import NO, Call, Side, explained

_CODE: Final = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,63}", re.ASCII)
_SIDES: Final = {
    Side.OURS: "On our side.",
    Side.THEIRS: "On the side of the other organization.",
    Side.NETWORK: "On the network between us.",
    Side.PATIENT: "It is the patient's choice.",
}
_DESK: Final = "your help desk"
_OFFICER: Final = "your privacy officer"


def why_page(visit: Visit) -> Response:
    """``GET /records/why/{code}``."""
    return page(
        visit,
        "records-why.html",
        title="Why can't I see this?",
        at="/records",
        **explanation(visit, str(visit.request.path_params["code"])),
    )


def explanation(visit: Visit, code: str) -> dict[str, Any]:
    """What ``records-explained.html`` says of a code."""
    found = explained(code if _CODE.fullmatch(code) else "")
    return {
        "why": found,
        "side": _SIDES[found.side],
        "again": "No." if found.again == NO else f"Yes, {found.again}.",
        "call": _call(visit, found.call),
    }


def why_code(leg: AskedLeg) -> str | None:
    """The code under which a leg is explained; ``None`` where there is nothing to explain."""
    step = leg.last
    if step is None:
        return None
    # where a peer like us names its own reason, that says more than the code of the protocol
    named = code_behind(step.sentence or "") if leg.state is LegState.DECLINED else None
    reason = named or step.reason or ""
    return reason if _CODE.fullmatch(reason) else step.outcome.value


def _call(visit: Visit, call: Call) -> str:
    desk = visit.console.contacts.help_desk or _DESK
    match call:
        case Call.PRIVACY_OFFICER:
            return visit.console.contacts.privacy_officer or _OFFICER
        case Call.ORGANIZATION:
            return f"the organization itself; {desk} knows how to reach its people"
        case Call.HELP_DESK:
            return desk
        case _:
            return ""
