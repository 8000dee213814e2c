"""Reporting a problem with an organization's answer or a document: a case that opens by itself.

The case has the exchange as evidence; which leg and which document it is stands in its text, which
is sealed. Whoever asked in the exchange does not review it.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Final

from starlette.responses import Response

from node.console.clinic.document_list import title_of
from node.console.clinic.door import gone, opened
from node.console.clinic.request import AskedLeg, ClinicRequest, FoundDocument, Held
from node.console.guard import missing
from node.console.parts import Visit
from node.console.rendering import page, see
from node.governance.case_model import NODE, Person, Refusal
from node.governance.case_rows import Opening
from node.governance.cases import Actor
from node.ledger.qualifiers import CASE_NUMBER
from node.ledger.trust_change import Author

KIND: Final = "reported-problem"
MOST_TEXT: Final = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class _About:
    """What is reported: the request, the organization, and the document where it is one."""

    asked: ClinicRequest
    leg: AskedLeg
    document: FoundDocument | None

    @property
    def address(self) -> str:
        """The page of the form."""
        token = self.asked.token
        if self.document is None:
            return f"/records/{token}/legs/{self.leg.number}/report"
        return f"/records/{token}/documents/{self.document.number}/report"

    @property
    def back(self) -> str:
        """Where the person came from."""
        return self.address.removesuffix("/report")

    @property
    def title(self) -> str:
        """What the document is called, unless it is held back; empty where none is reported."""
        if self.document is None:
            return ""
        is_open = self.document.held is Held.OPEN
        return title_of(self.document) if is_open else "A document"


@cache
def problem_kinds() -> Mapping[str, str]:
    """What can be reported, in the order of the table."""
    path = resources.files("node.governance").joinpath("data", "problem_kinds.toml")
    read: Mapping[str, str] = tomllib.loads(path.read_text(encoding="utf-8"))["kinds"]
    return read


def report_form(visit: Visit) -> Response:
    """``GET /records/{token}/legs/{number}/report``, and the same of a document."""
    about = _about(visit)
    return about if isinstance(about, Response) else _form(visit, about, None)


def report_post(visit: Visit) -> Response:
    """``POST`` to the same addresses: open the case."""
    about = _about(visit)
    if isinstance(about, Response):
        return about
    kind, text = visit.form.get("kind", ""), visit.form.get("text", "").strip()
    if kind not in problem_kinds():
        wrong = Refusal(code="report-kind", sentence="Choose what is wrong.", field="kind")
        return _form(visit, about, wrong)
    if not 0 < len(text) <= MOST_TEXT:
        sentence = f"Write in 1 to {MOST_TEXT:,} characters what you saw."
        return _form(visit, about, Refusal(code="report-text", sentence=sentence, field="text"))
    number = visit.console.clinic.reports.once(
        (visit.user.login, about.address, kind, text),
        visit.now,
        lambda: _open_case(visit, about, kind, text),
    )
    if isinstance(number, Refusal):
        return _form(visit, about, number)
    return see(f"/records/{about.asked.token}/reported/{number}")


def _open_case(visit: Visit, about: _About, kind: str, text: str) -> str | Refusal:
    user = visit.user
    return visit.console.cases.open(
        Actor(
            person=Person(login=NODE),
            author=Author(by="user", who={"user_id": user.login, "name": user.name}),
        ),
        Opening(
            kind=KIND,
            text=_text(visit, about, kind, text),
            subjects=(user.login,),
            to_come=(about.asked.exchange_id,),
        ),
        now=visit.now,
    )


def reported(visit: Visit) -> Response:
    """``GET /records/{token}/reported/{case}``: what happens next."""
    asked = opened(visit)
    if isinstance(asked, Response):
        return asked
    number = str(visit.request.path_params["case"])
    if not CASE_NUMBER.fullmatch(number):
        return missing(visit, "There is no such case.")
    return page(
        visit, "records-reported.html", title="Thank you", at="/records", asked=asked, case=number,
        contacts=visit.console.contacts,
    )  # fmt: skip


def _form(visit: Visit, about: _About, problem: Refusal | None) -> Response:
    return page(
        visit,
        "records-report.html",
        title="Report a problem",
        at="/records",
        status=400 if problem else 200,
        asked=about.asked,
        about=about,
        kinds=problem_kinds(),
        problem=problem,
    )


def _about(visit: Visit) -> _About | Response:
    asked = opened(visit)
    if isinstance(asked, Response):
        return asked
    text = str(visit.request.path_params["number"])
    number = int(text) if text.isdecimal() and len(text) < 7 else 0  # noqa: PLR2004
    document = None
    if "/documents/" in visit.request.url.path:
        document = next((each for each in asked.documents if each.number == number), None)
        if document is None:
            return gone(visit)
        number = document.leg
    leg = asked.leg(number)
    return gone(visit) if leg is None else _About(asked=asked, leg=leg, document=document)


def _text(visit: Visit, about: _About, kind: str, text: str) -> str:
    """The case's text: what is wrong, what was seen, and where it is."""
    user, leg = visit.user, about.leg
    what = "a document" if about.document else "the answer"
    wrong = problem_kinds()[kind].lower()
    lines = [
        f"{user.name} ({user.login}) reports a problem with {what} of {leg.name}: {wrong}.",
        text,
        f"Organization {leg.home}.",
        *(f"Leg {step.leg_id} ({step.step.value}, {step.outcome.value})." for step in leg.steps[-4:]
          if step.leg_id),
    ]  # fmt: skip
    if about.document is not None:
        entry = about.document.entry
        brought = visit.console.clinic.documents.brought_by(about.asked, about.document.number)
        if brought is not None:
            lines.append(f"Leg {brought} (retrieve of the document).")
        lines.append(f"Document {entry.unique_id} of repository {entry.repository_unique_id}.")
    return "\n".join(lines)[:4000]
