"""Breaking the glass on a clinician's page, and ending it (facts: governance-ux 5.11).

The form stands on the page of a request that is barred; it is taken only where policy finds no
relationship still, from who has just proved themselves again.
"""

from __future__ import annotations

from typing import Final

from anyio import from_thread
from starlette.responses import Response

from node.console.clinic.beginning import go_on
from node.console.clinic.door import asked_of, barred, gone
from node.console.clinic.glass import access_of, whom_of
from node.console.clinic.request import ClinicRequest, Progress
from node.console.guard import missing
from node.console.parts import Visit
from node.console.proof import unproved
from node.console.rendering import see
from node.governance.access.break_glass import Breaking
from node.governance.case_model import Refusal
from node.ledger.trust_change import Author

_BUSY: Final = "Too many searches run now. Wait for one of them to end, then ask again here."


def glass_post(visit: Visit) -> Response:
    """``POST /records/{token}/glass``: break the glass, and ask."""
    asked = asked_of(visit)
    if asked is None:
        return gone(visit)
    access = access_of(visit, asked.demographics, asked.patient)
    if not access.allowed:
        problem = _given(visit, asked)
        if problem is not None:
            return barred(visit, asked, access, problem)
    if not go_on(visit, asked) and asked.progress is Progress.BARRED:
        return missing(visit, _BUSY)
    return see(f"/records/{asked.token}")


def glass_end(visit: Visit) -> Response:
    """``POST /records/{token}/glass/end``: end one's own grant now, and what is asked under it."""
    asked = asked_of(visit)
    if asked is None:
        return gone(visit)
    grant = access_of(visit, asked.demographics, asked.patient).grant
    if grant is not None:
        searches = visit.console.clinic.searches
        if searches is not None:
            from_thread.run(searches.stop, asked.token)
        visit.console.break_glass.grants.end(
            visit.user.login, grant.id, author=_author(visit), now=visit.now
        )
    return see("/records")


def _given(visit: Visit, asked: ClinicRequest) -> Refusal | None:
    """Give the grant; or what is missing for it."""
    breaking = Breaking(
        login=visit.user.login,
        name=visit.user.name,
        author=_author(visit),
        patient=whom_of(visit, asked.demographics, asked.patient),
        token=visit.console.key.patient_token(asked.patient).hex() if asked.patient else None,
        exchange_id=asked.exchange_id,
        reason=visit.form.get("reason", ""),
        text=visit.form.get("text", ""),
    )
    glass = visit.console.break_glass
    # the form first: whoever mistypes it need not prove themselves again for each try
    refused = glass.lacking(breaking) or unproved(visit)
    if refused is not None:
        return refused
    given = glass.give(breaking, now=visit.now)
    return given if isinstance(given, Refusal) else None


def _author(visit: Visit) -> Author:
    return Author(by="user", who={"user_id": visit.user.login, "name": visit.user.name})
