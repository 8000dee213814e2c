"""Whether a page of a request opens: it has to be this person's, and they have to be let in.

A request that nobody may be asked for (no treatment relationship, the glass whole) is kept all the
same, so that the page can say so and the glass be broken for it; a grant that has ended shuts the
pages of a request that was asked under it. The page of one that is shut has the form by which the
glass is broken (``breaking``).
"""

from __future__ import annotations

from typing import Final

from starlette.responses import Response

from node.console.clinic.glass import access_of
from node.console.clinic.person_words import name_of
from node.console.clinic.request import ClinicRequest
from node.console.guard import missing
from node.console.parts import Visit
from node.console.rendering import page
from node.governance.access.relationships import Access
from node.governance.case_model import Refusal

_GONE: Final = (
    "This request is not here: it is too old, or it is not yours. How each organization answered is"
    " in the log; to see records, search again."
)


def asked_of(visit: Visit) -> ClinicRequest | None:
    """The request of a page's address, if it is this person's and still here."""
    token = str(visit.request.path_params["token"])
    return visit.console.clinic.requests.of(visit.user.login, token, visit.now)


def opened(visit: Visit) -> ClinicRequest | Response:
    """The request of a page's address, or the page that says why it does not open."""
    asked = asked_of(visit)
    if asked is None:
        return gone(visit)
    access = access_of(visit, asked.demographics, asked.patient)
    return asked if access.allowed else barred(visit, asked, access)


def barred(
    visit: Visit, asked: ClinicRequest, access: Access, problem: Refusal | None = None
) -> Response:
    """The page of a request that is shut; ``problem`` is why the glass was not broken."""
    return page(
        visit,
        "records-barred.html",
        title="Outside records",
        at="/records",
        status=403 if problem is None else 400,
        asked=asked,
        access=access,
        problem=problem,
        name=name_of(asked.demographics),
    )


def gone(visit: Visit) -> Response:
    """The page of a request that is not here, whatever the reason."""
    return missing(visit, _GONE)
