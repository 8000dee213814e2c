"""From the form of a case's page to what the rules are asked: dates, people, other cases."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, time
from typing import Final

from node.console.parts import Visit
from node.governance.case_model import Given, Person, Standing, State, actions
from node.governance.cases import Actor
from node.ledger.qualifiers import CASE_NUMBER
from node.ledger.trust_change import Author
from node.users.model import User

EXCHANGE: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)
REVIEW: Final = "review"


def actor_of(visit: Visit) -> Actor:
    """Who is looking, for the rules and for the log."""
    user = visit.user
    who = {"user_id": user.login, "name": user.name}
    return Actor(person=person_of(visit, user), author=Author(by="user", who=who))


def person_of(visit: Visit, user: User) -> Person:
    """A user as the rules see one."""
    mark = visit.console.cases.mark(user.login)
    return Person(login=user.login, rights=user.rights, mark=mark)


def reviewers(visit: Visit) -> dict[str, User]:
    """Who may get a case, by login."""
    return {
        user.login: user
        for user in visit.console.users.all()
        if user.active and REVIEW in user.rights
    }


def case_number(text: str) -> str | None:
    """A case's number as typed, with or without the word before it."""
    found = CASE_NUMBER.fullmatch(text.strip())
    return found[1] if found else None


def given_of(visit: Visit, form: Mapping[str, str]) -> Given:
    """What a form gives; what cannot be read is as not given, and the rules name it."""
    chosen = reviewers(visit).get(form.get("assignee", ""))
    target = case_number(form.get("target", ""))
    evidence = form.get("evidence", "").strip().lower()
    return Given(
        text=form.get("text", "").replace("\r\n", "\n"),
        outcome=form.get("outcome") or None,
        actions=tuple(code for code in actions() if f"action-{code}" in form),
        assignee=person_of(visit, chosen) if chosen else None,
        whom=form.get("whom", ""),
        due=day_end(visit, form.get("due", "")),
        # the state is read again inside the transaction
        target=Standing(number=target, state=State.NEW) if target else None,
        evidence=(evidence,) if EXCHANGE.fullmatch(evidence) else (),
    )


def day_end(visit: Visit, text: str) -> datetime | None:
    """The last second of a day in the console's time zone."""
    try:
        day = date.fromisoformat(text.strip())
    except ValueError:
        return None
    end = datetime.combine(day, time(23, 59, 59), tzinfo=visit.console.zone)
    try:
        return end.astimezone(UTC)
    except OverflowError:
        return None
