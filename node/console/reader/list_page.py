"""``/records/{token}/documents``: what there is to read, and a search through all of it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Final

from anyio import from_thread
from starlette.responses import Response

from node.console.clinic import door
from node.console.clinic.document_list import title_of
from node.console.clinic.opening import MOST_AT_A_TIME
from node.console.clinic.request import ClinicRequest, Held
from node.console.parts import Visit
from node.console.reader.listing import listing
from node.console.reader.looking import Looked, looked_for
from node.console.reader.marking import LONGEST_TERM, term_of
from node.console.reader.telling import read_and_told
from node.console.rendering import page, see
from node.errors import CodedError
from node.ledger.trust_change import TrustChange

_SECONDS: Final = 20.0
"""Past them no further PDF's text is read: each takes a process, and up to 15 seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """A document that was looked through. ``count`` is ``None`` where it could not be.

    ``why`` says why, or which part was not.
    """

    number: int
    title: str
    organization: str
    count: int | None
    why: str = ""


def documents_page(visit: Visit) -> Response:
    """``GET``: the list."""
    asked = door.opened(visit)
    if isinstance(asked, Response):
        return asked
    return page(
        visit,
        "documents.html",
        title="Documents",
        at="/records",
        asked=asked,
        **listing(visit, asked, f"/records/{asked.token}/documents"),
    )


def find_documents(visit: Visit) -> Response:
    """``POST /records/{token}/find``: keep what is looked for, and go on to what is found."""
    asked = door.opened(visit)
    if isinstance(asked, Response):
        return asked
    typed = visit.form.get("find", "")[:LONGEST_TERM]
    visit.console.clinic.documents.look_for(visit.user.login, asked.token, typed)
    return see(f"/records/{asked.token}/found")


def found_everywhere(visit: Visit) -> Response:
    """``GET /records/{token}/found``: look through all documents that may be opened."""
    asked = door.opened(visit)
    if isinstance(asked, Response):
        return asked
    typed = visit.console.clinic.documents.looked_for(visit.user.login, asked.token)
    term = term_of(typed)
    numbers = [d.number for d in asked.documents if d.held is Held.OPEN]
    found = _looked_through(visit, asked, numbers[:MOST_AT_A_TIME], term) if term else []
    return page(
        visit,
        "documents-found.html",
        title="Documents",
        at="/records",
        asked=asked,
        term=typed,
        too_short=term is None,
        found=sorted(found, key=lambda hit: (hit.count is None, -(hit.count or 0))),
        total=sum(hit.count or 0 for hit in found),
        unread=sum(hit.count is None for hit in found),
        more=max(len(numbers) - MOST_AT_A_TIME, 0),
    )


def _looked_through(visit: Visit, asked: ClinicRequest, numbers: list[int], term: str) -> list[Hit]:
    documents = visit.console.clinic.documents
    failed = from_thread.run(documents.fetch, asked, numbers)
    asked = door.asked_of(visit) or asked
    kept = {number: documents.kept(asked, number) for number in numbers}
    visit.console.recorder(visit.user).fact(
        TrustChange(
            act="document-search",
            counts={"added": sum(each is not None for each in kept.values())},
            private={
                "request": asked.token,
                "exchange": asked.exchange_id,
                "sha256": [each.sha256 for each in kept.values() if each is not None],
            },
        )
    )
    found = []
    until = time.monotonic() + _SECONDS
    for number, here in kept.items():
        document = asked.document(number)
        if document is None or document.held is not Held.OPEN:
            continue
        looked = Looked(count=None, why=failed[number].sentence if number in failed else "")
        if here is not None:
            try:
                readable = read_and_told(visit, asked, document, documents.data(here))
            except CodedError:
                continue  # its time was over just now
            looked = looked_for(readable, term, may_draw=time.monotonic() < until)
        found.append(
            Hit(
                number=number,
                title=title_of(document),
                organization=document.organization,
                count=looked.count,
                why=looked.why,
            )
        )
    return found
