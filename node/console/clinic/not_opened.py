"""Why a document is not here, in a code that ``explanations.toml`` has and in words. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from node.console.clinic.request import FoundDocument, Held
from node.model import Leg, Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class NotOpened:
    """Why a document is not here.

    Attributes:
        code: a code: of the leg, or of this page.
        sentence: for a person: what happened and whose turn it is.
    """

    code: str
    sentence: str


ABSENT: Final = NotOpened(
    code="document-not-listed", sentence="There is no such document in this request."
)
HELD: Final = {
    Held.HELD_BACK: NotOpened(
        code="document-held-back",
        sentence="This document is held back until you have said whether it is the same person.",
    ),
    Held.HIDDEN: NotOpened(
        code="document-of-another",
        sentence="You said that this document is of somebody else, so it is not opened.",
    ),
}
NOBODY_ASKS: Final = NotOpened(
    code="document-not-fetched", sentence="This node asks nobody, so it cannot fetch the document."
)
NOWHERE: Final = NotOpened(
    code="document-without-content",
    sentence="The organization listed the document without its content and without a link to it.",
)
_LISTED_WRONGLY: Final = {
    "fhir-attachment-absent": "{} does not have this document any more.",
    "fhir-attachment-elsewhere": "{} keeps this document on another system than its own FHIR server"
    ", which this node does not ask.",
    "answer-redirected": "{} keeps this document on another system than its own FHIR server"
    ", which this node does not ask.",
    "fhir-attachment-type": "{} gave something else than the document that it listed, so it is not"
    " shown.",
    "fhir-attachment-changed": "{} gave something else than the document that it listed, so it is"
    " not shown.",
    "fhir-attachment-empty": "{} gave this document without any content.",
    "document-too-large": "This document of {} is larger than this node takes.",
    "message-too-large": "This document of {} is larger than this node takes.",
}


def why(document: FoundDocument, legs: Sequence[Leg]) -> NotOpened:
    """Why a document did not come, by the requests to its organization."""
    leg = next((leg for leg in legs if leg.outcome is not Outcome.OK), None)
    who = document.organization
    if leg is None:
        return NotOpened(
            code="document-not-given",
            sentence=f"{who} answered, but did not give this document.",
        )
    if leg.reason in _LISTED_WRONGLY:
        words = _LISTED_WRONGLY[leg.reason].format(who)
    elif leg.outcome is Outcome.DECLINED:
        words = f"{who} declined to give this document."
    elif leg.outcome is Outcome.TIMED_OUT:
        words = f"{who} did not give this document in time. Try again in a while."
    elif leg.outcome is Outcome.FAILED:
        words = f"{who} was not reached, or broke off. Try again in a while."
    else:
        words = f"{who} does not give this document."
    return NotOpened(code=leg.reason or "document-not-given", sentence=words)
