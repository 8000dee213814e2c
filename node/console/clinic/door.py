"""Whether a page of a request opens: it has to be this person's, and they have to be let in.

A request that nobody may be asked for (no treatment relationship, the glass whole) is kept all the
same, so that the page can say so and the glass be broken for it; a grant that has ended shuts the
pages of a request that was asked under it. The page of one that is shut includes the template
``records-glass.html`` where there is one (with ``asked`` and ``access``); whoever breaks the glass
goes on with ``beginning.go_on``.
"""

from __future__ import annotations

from typing import Final

from starlette.responses import Response

from node.console.clinic.person_words import name_of
from node.console.clinic.request import ClinicRequest
from node.console.guard import missing
from node.console.parts import Visit
from node.console.rendering import page
from node.governance.access.patient_marks import AskedPatient
from node.governance.access.relationships import Access
from node.model import Demographics, PatientId

_GONE: Final = (
    "This request is not here: it is too old, or the node was started anew since {since}, or it is "
    "not yours. How each organization answered is in the log; to see records, search again."
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
    if access.allowed:
        return asked
    return page(
        visit,
        "records-barred.html",
        title="Outside records",
        at="/records",
        status=403,
        asked=asked,
        access=access,
        name=name_of(asked.demographics),
    )


def access_of(visit: Visit, person: Demographics, patient: PatientId | None) -> Access:
    """Whether a person may ask about a patient now."""
    console, user = visit.console, visit.user
    people = console.clinic.people
    identifiers = tuple(people.identifiers(patient)) if patient is not None else ()
    whom = AskedPatient(identifiers=identifiers, person=person)
    return console.relationships.access(user.login, user.clinician, whom, now=visit.now)


def gone(visit: Visit) -> Response:
    """The page of a request that is not here, whatever the reason."""
    since = visit.shown(visit.console.clinic.began)
    return missing(visit, _GONE.format(since=f"{since:%-d %b %Y, %H:%M}"))
