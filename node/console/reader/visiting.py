"""One visit to a document: whose request, may it be opened, have it here, enter that, then show it.

Every page and file of a document comes from here, so that none can forget a step: the request is
the person's own, a document that is held back is refused, what is not here is fetched (its leg is
in the log), and the look itself is durable in the log before anything of the document is answered.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from anyio import from_thread
from starlette.responses import Response

from node.console.clinic import door
from node.console.clinic.document_list import title_of
from node.console.clinic.kept import Kept
from node.console.clinic.not_opened import NotOpened
from node.console.clinic.request import ClinicRequest, FoundDocument
from node.console.guard import missing
from node.console.parts import Visit
from node.console.rendering import page
from node.errors import CodedError
from node.ledger.trust_change import TrustChange

_LONGEST_NUMBER: Final = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A document before a person; that they see it is in the log."""

    asked: ClinicRequest
    document: FoundDocument
    kept: Kept
    data: bytes = field(repr=False)

    @property
    def address(self) -> str:
        """The address of its page."""
        return f"/records/{self.asked.token}/documents/{self.document.number}"


def number_of(visit: Visit, name: str) -> int:
    """A number of a page's address; 0, which nothing has, for anything else."""
    text = str(visit.request.path_params[name])
    good = text.isascii() and text.isdecimal() and len(text) <= _LONGEST_NUMBER
    return int(text) if good else 0


def opened(visit: Visit, way: str) -> Opened | Response:
    """The document of a page's address, or the page that says why it is not here.

    Args:
        visit: who asks for it.
        way: how it is looked at, for the log: a page, the original, a picture.
    """
    asked = door.opened(visit)
    if isinstance(asked, Response):
        return asked
    number = number_of(visit, "number")
    documents = visit.console.clinic.documents
    document = asked.document(number)
    kept = documents.kept(asked, number)
    if document is None:
        return missing(visit, "There is no such document in this request.")
    if kept is None:
        problem = from_thread.run(documents.fetch, asked, [number]).get(number)
        # the person may have said meanwhile that it is somebody else
        asked = door.asked_of(visit) or asked
        kept = documents.kept(asked, number)
        if kept is None:
            return _not_opened(visit, asked, document, problem)
    try:
        data = documents.data(kept)
    except CodedError:
        return _not_opened(visit, asked, document, None)
    visit.console.recorder(visit.user).fact(
        TrustChange(
            act="document-view",
            home_community_id=document.home,
            private={
                "request": asked.token,
                "exchange": asked.exchange_id,
                "document": document.entry.unique_id,
                "repository": document.entry.repository_unique_id,
                "sha256": kept.sha256,
                "way": way,
            },
        )
    )
    documents.opened(visit.user.login, document)
    return Opened(asked=asked, document=document, kept=kept, data=data)


def _not_opened(
    visit: Visit, asked: ClinicRequest, document: FoundDocument, problem: NotOpened | None
) -> Response:
    """Why a document is not here; that it was asked for in vain is in the log too."""
    problem = problem or NotOpened(
        code="document-gone", sentence="The document is no longer here. Open it again."
    )
    private = {
        "request": asked.token,
        "exchange": asked.exchange_id,
        "document": document.entry.unique_id,
        "code": problem.code,
    }
    visit.console.recorder(visit.user).fact(
        TrustChange(act="document-refuse", home_community_id=document.home, private=private)
    )
    held = document.held.value != "open"
    return page(
        visit,
        "document-not-opened.html",
        title="Document",
        at="/records",
        status=403 if held else 502,
        asked=asked,
        document=document,
        name="Document" if held else title_of(document),
        problem=problem,
        held=held,
    )
