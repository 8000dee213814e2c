"""The written answer to a requester whose request was refused: the letter, as text and PDF. Pure.

The node sends no letter. It says what the log has of the request, the exception that the refusal
stands on, what a person writes, and until when it is due (facts: tefca 9.1, governance-ux 6.4). It
has nothing about a patient: the requester knows the request by its message id.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from node.governance.denials import Denial
from node.governance.disclosures import Recipient, purpose_words
from node.governance.exceptions import Exemption
from node.governance.paper import Paper
from node.governance.qhin_files import Made
from node.ledger.trust_change import TrustChange

ACT: Final = "denial-letter"
MEDIA: Final = {"pdf": "application/pdf", "txt": "text/plain; charset=utf-8"}
LEAST: Final = 20
MOST: Final = 4000
"""Characters that a person writes in one field."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """What a letter says.

    Attributes:
        about: the refusal; ``exemption`` is what it stands on.
        to: the requester.
        why: why each condition of the exception is met, in a person's words.
        alternative: what is offered instead; empty for nothing.
        contact: whom to ask.
    """

    about: Denial
    exemption: Exemption
    to: Recipient
    own_name: str
    own_id: str
    why: str
    alternative: str
    contact: str
    made: datetime
    by: str


def make(notice: Notice, how: str) -> Made:
    """The letter (``pdf`` or ``txt``), and the act of making it as the log has it."""
    data = to_pdf(notice) if how == "pdf" else to_text(notice)
    fields = notice.about.entry.fields
    peer = fields.get("peer")
    change = TrustChange(
        act=ACT,
        thing=hashlib.sha256(data).hexdigest(),
        home_community_id=None if peer is None else str(peer),
        reason=notice.exemption.code,
        counts={"first": notice.about.entry.seq},
        private={
            "entry": notice.about.entry.seq,
            "format": how,
            "text": notice.why,
            "alternative": notice.alternative,
            "contact": notice.contact,
        },
    )
    return Made(data=data, change=change)


def title_of(notice: Notice) -> str:
    """What the letter is called."""
    return f"Notice: a request was not met ({notice.exemption.title})"


def parts_of(notice: Notice) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Headings with their lines."""
    fields, to = notice.about.entry.fields, notice.to
    purpose = fields.get("purpose")
    message = fields.get("msg")
    request = [
        f"Received: {_moment(notice.about.entry.time)}",
        f"Transaction: {fields['txn']}",
        f"Purpose: {purpose_words(None if purpose is None else str(purpose))}",
        f"Message: {message}" if message else "Message: its id is not of the usual form",
        f"Our exchange: {fields['exch']}",
    ]
    due = notice.about.due
    if due is not None:
        request.append(f"Answer due: {due:%-d %B %Y}")
    return (
        ("To", tuple(each for each in (to.name, to.address, to.home_community_id) if each)),
        ("From", (f"{notice.own_name} ({notice.own_id})", f"Date: {_moment(notice.made)}")),
        ("Your request", tuple(request)),
        (
            "Our answer",
            (
                f"We did not meet it: {notice.exemption.title} ({notice.exemption.cite}).",
                *_paragraphs(notice.why),
            ),
        ),
        ("What we offer instead", _paragraphs(notice.alternative) or ("Nothing.",)),
        ("Whom to ask", _paragraphs(notice.contact)),
    )


def to_text(notice: Notice) -> bytes:
    """The letter as plain text."""
    lines = [title_of(notice), ""]
    for heading, said in parts_of(notice):
        lines += [heading, *(f"  {line}" for line in said), ""]
    return "\n".join(lines).encode()


def to_pdf(notice: Notice) -> bytes:
    """The letter on paper."""
    paper = Paper(title_of(notice), made=notice.made)
    for heading, said in parts_of(notice):
        paper.heading(heading)
        for line in said:
            paper.text(line)
    return paper.data()


def _paragraphs(text: str) -> tuple[str, ...]:
    return tuple(line.strip() for line in text.splitlines() if line.strip())


def _moment(instant: datetime) -> str:
    return f"{instant.astimezone(UTC):%-d %B %Y, %H:%M} UTC"
