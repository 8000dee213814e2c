"""Breaking the glass: a case that opens by itself, a grant, and word to who reviews.

The case comes first, so that there is no grant without one; it is the node that opens it, the
person is its subject and does not act on it, and it is due after the days that the settings say.
Reviewers see it on their start page and in the queue; the node's log has a warning with the case's
number, and mail goes to whom the settings name.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from importlib import resources
from typing import Final
from uuid import uuid4

import structlog

from node.governance.access.grants import Grant, Grants
from node.governance.access.patient_marks import AskedPatient, patient_marks
from node.governance.case_model import NODE, Person, Refusal
from node.governance.case_rows import Opening
from node.governance.cases import Actor, Cases
from node.ledger import review
from node.ledger.private import LedgerKey
from node.ledger.trust_change import Author

KIND: Final = "break-glass"
"""The kind of the cases."""

MOST_TEXT: Final = 1000

_NOBODY: Final = (
    "Search again with name and day of birth, or with the record number: without them a grant"
    " cannot be bound to one patient."
)
_NODE: Final = Author(by="node", who={"process": "node"})
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class GlassReason:
    """Why the glass is broken; ``text``: it has to be said in words as well."""

    code: str
    title: str
    text: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class GlassRules:
    """How long a grant lasts, and after how many business days its case is due."""

    lasts: timedelta
    review_days: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Breaking:
    """What somebody asks for.

    Attributes:
        login, name: who.
        author: the same, for the log.
        patient: whom it is about.
        token: keyed token (hex) of the patient for the log's private part, where there is one.
        exchange_id: the exchange that is asked under the grant.
        reason: a code.
        text: in words.
    """

    login: str
    name: str
    author: Author
    patient: AskedPatient
    token: str | None
    exchange_id: str
    reason: str
    text: str


@cache
def glass_reasons() -> Mapping[str, GlassReason]:
    """The reasons, in the order of the table."""
    path = resources.files("node.governance").joinpath("data", "break_glass.toml")
    read = tomllib.loads(path.read_text(encoding="utf-8"))["reasons"]
    return {
        code: GlassReason(code=code, title=row["title"], text=row.get("text", False))
        for code, row in read.items()
    }


class BreakGlass:
    """Usable from several threads."""

    def __init__(
        self,
        cases: Cases,
        grants: Grants,
        key: LedgerKey,
        rules: GlassRules,
        *,
        tell: Callable[[str, str, datetime], None] = lambda _login, _case, _at: None,
    ) -> None:
        """``tell`` is told of login, case and time before the grant is given; it hinders nobody."""
        self._tell = tell
        self._cases = cases
        self.grants = grants
        self._key = key
        self.rules = rules

    def lacking(self, asked: Breaking) -> Refusal | None:
        """What is missing in the form, ``None`` for nothing."""
        reason, text = glass_reasons().get(asked.reason), asked.text.strip()
        if reason is None:
            return Refusal(code="glass-reason", sentence="Choose a reason.", field="reason")
        if reason.text and not text:
            return Refusal(code="glass-text", sentence="Write the reason in words.", field="text")
        if len(text) > MOST_TEXT:
            most = f"A reason has at most {MOST_TEXT:,} characters."
            return Refusal(code="glass-text", sentence=most, field="text")
        if not patient_marks(self._key, asked.patient):
            return Refusal(code="glass-patient", sentence=_NOBODY)
        return None

    def give(self, asked: Breaking, *, now: datetime) -> Grant | Refusal:
        """Break the glass; the grant, or what is missing in the form.

        Raises:
            OurFault: when the log cannot take an entry; nothing is given then.
        """
        refused = self.lacking(asked)
        if refused is not None:
            return refused
        reason, text = glass_reasons()[asked.reason], asked.text.strip()
        marks = patient_marks(self._key, asked.patient)
        until = now + self.rules.lasts
        said = f"{asked.name} ({asked.login}) broke the glass: {reason.title}."
        number = self._cases.open(
            Actor(person=Person(login=NODE), author=_NODE),
            Opening(
                kind=KIND,
                text=f"{said}\n{text}".strip(),
                due=review.due_after(now, self.rules.review_days),
                subjects=(asked.login,),
                to_come=(asked.exchange_id,),
            ),
            now=now,
        )
        if isinstance(number, Refusal):
            return number
        self._tell(asked.login, number, now)  # before: there is no grant without word of it
        grant = Grant(
            id=str(uuid4()),
            login=asked.login,
            reason=reason.code,
            began=now,
            until=until,
            case=number,
        )
        about: dict[str, object] = {"text": text, "exchange": asked.exchange_id}
        if asked.token:
            about["patient"] = f"~{asked.token}"
        self.grants.give(grant, marks, author=asked.author, about=about)
        _log.warning("access.glass-broken", reason=reason.code, where=f"case {number}")
        return grant
