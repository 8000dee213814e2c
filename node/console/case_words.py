"""Words for cases: states, verbs, outcomes, clocks; the same ones on every page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from node.console.wording import counted
from node.governance.case_model import NODE, State, Verb
from node.governance.case_reading import Said
from node.governance.case_rows import DETECTOR, FLAG
from node.governance.detectors.catalogue import detectors
from node.ledger import review
from node.ledger.differences import Difference, meanings

STATES: Final = {
    State.NEW: "new",
    State.WORKING: "working",
    State.WAITING: "waiting",
    State.RESOLVED: "to confirm",
    State.CLOSED: "closed",
    State.MERGED: "merged",
}
VERBS: Final = {
    Verb.TAKE: "Take it",
    Verb.ASSIGN: "Assign",
    Verb.HAND_OVER: "Hand over",
    Verb.MERGE: "Merge",
    Verb.ASK: "Ask someone",
    Verb.ANSWER: "Write down the answer",
    Verb.RESOLVE: "Resolve",
    Verb.CONFIRM: "Confirm and close",
    Verb.SEND_BACK: "Send back",
    Verb.DISMISS: "Dismiss",
    Verb.REOPEN: "Reopen",
    Verb.COMMENT: "Comment",
    Verb.COLLECT: "Add evidence",
    Verb.SNOOZE: "Snooze",
    Verb.WAKE: "Wake it",
}
"""What a person can do, in the order of a page."""

REFUSALS: Final = {
    "case-state": "the case was in another state",
    "case-own": "nobody may act on a case about themselves",
    "case-not-yours": "somebody else had the case",
    "case-same-person": "who resolved a case does not confirm it",
    "case-needs-lead": "a lead confirms such an outcome",
    "case-expired": "the request for a second person had expired",
    "case-clock": "the clock alone does this",
    "right-missing": "the role lacks the right",
}
_DONE: Final = {
    Verb.OPEN: "opened the case",
    Verb.TAKE: "took the case",
    Verb.ASSIGN: "gave the case to {about}",
    Verb.HAND_OVER: "handed the case over to {about}",
    Verb.MERGE: "merged the case into {about} as a duplicate",
    Verb.ASK: "asked {whom}",
    Verb.ANSWER: "wrote down the answer",
    Verb.LAPSE: "took the case back: no answer came in time",
    Verb.RESOLVE: "resolved it: {outcome}",
    Verb.CONFIRM: "confirmed it, and closed the case",
    Verb.SEND_BACK: "sent it back",
    Verb.DISMISS: "dismissed it: {outcome}",
    Verb.REOPEN: "reopened the case",
    Verb.COMMENT: "commented",
    Verb.COLLECT: "put {exchanges} into the evidence basket",
    Verb.SNOOZE: "snoozed the case",
    Verb.WAKE: "woke the case",
}
_FIRST_LINE: Final = 160
_GONE: Final = "somebody (not readable any more)"


def heading(text: str | None) -> str:
    """A case's first line, as its name."""
    if text is None:
        return "Why it was opened is not readable any more"
    line = text.strip().partition("\n")[0]
    return line if len(line) <= _FIRST_LINE else f"{line[: _FIRST_LINE - 1]}…"


def kind_word(kind: str) -> str:
    """What raised a case, in words."""
    if kind.startswith(DETECTOR):
        found = detectors().get(kind.removeprefix(DETECTOR).upper())
        return found.title.lower() if found else kind.replace("-", " ")
    return "flagged" if kind == FLAG else kind.replace("-", " ")


def item_sentence(item: review.Item) -> str:
    """What a review item means."""
    if item.source == "promise":
        return "The peer promised that its log would have the entry, and did not show it."
    return meanings()[Difference(item.kind)].sentence


def outcome_sentence(code: str | None) -> str:
    """What an outcome means, without its full stop."""
    return review.outcomes().get(code or "", "").removesuffix(".") or (code or "")


def said(message: Said, names: Mapping[str, str]) -> str:
    """What somebody did, as the rest of a sentence that begins with their name."""
    verb = Verb(message.verb)
    if message.refusal:
        why = REFUSALS.get(message.refusal, message.refusal)
        return f"tried “{VERBS.get(verb, verb.value).lower()}” and was refused: {why}"
    about = names.get(message.about or "", message.about or _GONE)
    if verb is Verb.MERGE:
        about = f"case {message.about}"
    words = _DONE[verb].format(
        about=about,
        whom=message.words("whom") or _GONE,
        outcome=f"{message.outcome}. {outcome_sentence(message.outcome)}",
        exchanges=counted(len(message.list("exchanges")), "exchange"),
    )
    if verb is Verb.COLLECT and message.about:
        words += f", from case {message.about}"
    return words


def who_word(message: Said, names: Mapping[str, str]) -> str:
    """Who did it: the name that the log has, or that the login has now."""
    if message.who == NODE:
        return "The node"
    return message.name or names.get(message.who, message.who)


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """How much time is left: words, and ``late``, ``soon`` or nothing as the class."""

    words: str
    level: str
    mark: str


_SOON: Final = timedelta(days=2)


def clock(due: datetime, now: datetime, *, open_: bool = True) -> Clock:
    """The clock of a due date; one that is not open any more has none."""
    left = due - now
    if not open_:
        return Clock(words="none", level="", mark="")
    if left < timedelta():
        days = (-left).days
        words = f"overdue {days} d" if days else "overdue"
        return Clock(words=words, level="late", mark="failed")
    words = f"{left.days} d" if left.days else "today" if due.date() == now.date() else "1 d"
    soon = left <= _SOON
    return Clock(words=words, level="soon" if soon else "", mark="timed-out" if soon else "")
