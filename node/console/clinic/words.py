"""What the page says of each organization, and of all of them. Pure.

"Declined", "none held" and "not reached" are three different words everywhere, and whoever did not
answer is never counted as holding nothing (DESIGN law 5).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from node.console.clinic.person_words import difference
from node.console.clinic.request import AskedLeg, ClinicRequest, Identity, LegState, Progress
from node.console.wording import counted, listed, took
from node.model import Outcome
from node.policy.explanations import Side, explanations
from node.policy.reasons import reasons
from trust.errors import Party, error_table

_WORDS: Final = {
    LegState.ASKING: ("in-progress", "asking"),
    LegState.FOUND: ("ok", "found"),
    LegState.CHECK: ("partial", "found, check"),
    LegState.OTHER: ("ok-empty", "not this person"),
    LegState.NONE: ("ok-empty", "none held"),
    LegState.UNSURE: ("partial", "not certain"),
    LegState.DECLINED: ("declined", "declined"),
    LegState.UNREACHED: ("failed", "not reached"),
    LegState.STOPPED: ("cancelled", "not waited for"),
}
_SIDES: Final = {
    Party.OURS: "on our side",
    Party.THEIRS: "on their side",
    Party.NETWORK: "on the network between us",
}
_WHOSE: Final = {
    Side.OURS: _SIDES[Party.OURS],
    Side.THEIRS: _SIDES[Party.THEIRS],
    Side.NETWORK: _SIDES[Party.NETWORK],
    Side.PATIENT: "the patient's choice",
}
_PACKAGES: Final = ("node", "trust", "directory")
_LONGEST: Final = 200
"""Characters of a peer's own words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """One organization's line.

    Attributes:
        mark, word: the shape, and the word beside it.
        detail: what more there is to say.
        compare: the number of an identity that somebody has to look at.
        why: whether there is something to explain.
        since_ms: of one that is asked now, for how long; ``None`` otherwise.
        usual: how long it usually takes, in words.
    """

    number: int
    name: str
    mark: str
    word: str
    detail: str
    compare: int | None = None
    why: bool = False
    since_ms: int | None = None
    usual: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Heading:
    """The sentence over the list: who answered, what became of the others, what is found."""

    answered: str
    others: str
    found: str
    running: bool


def slot_of(request: ClinicRequest, leg: AskedLeg, now: datetime) -> Slot:
    """The line of an organization."""
    mark, word = _WORDS[leg.state]
    if leg.state is LegState.UNREACHED and _timed_out(leg):
        mark = "timed-out"
    known = [each for number in leg.identities if (each := request.identity(number))]
    opened = next((each for each in known if each.is_open_question), None)
    asked = leg.state is LegState.ASKING
    return Slot(
        number=leg.number,
        name=leg.name,
        mark=mark,
        word=word,
        detail="" if asked and leg.began else _detail(request, leg, known),
        compare=_compare(known, opened),
        why=leg.state in _TO_EXPLAIN or _is_partial(leg),
        since_ms=_since(leg, now) if asked else None,
        usual=f"usually {took(leg.usual_ms)}" if asked and leg.usual_ms and not known else "",
    )


def heading_of(request: ClinicRequest) -> Heading:
    """The sentence over the list."""
    legs = request.legs
    if request.progress is Progress.BARRED:
        return Heading(answered="Nobody was asked", others="", found="none", running=False)
    asked = counted(len(legs), "organization")
    declined = len(request.of_state(LegState.DECLINED))
    silent = len(request.of_state(LegState.UNREACHED))
    stopped = len(request.of_state(LegState.STOPPED))
    asking = len(request.of_state(LegState.ASKING))
    parts = [
        (declined, "declined"),
        (silent, "not reached"),
        (stopped, "not waited for"),
        (asking, "still trying"),
    ]
    said = ", ".join(f"{number} {words}" for number, words in parts if number)
    return Heading(
        answered=f"{request.answered} of {asked} answered" if legs else "Nobody was asked",
        others=f"{said}." if said else "",
        found=_found(request),
        running=request.progress is Progress.ASKING,
    )


def empty_of(request: ClinicRequest) -> str:
    """What is said where nobody holds anything; empty while or where there is something."""
    if request.progress is Progress.ASKING or not request.legs:
        return ""
    if request.of_state(LegState.FOUND, LegState.CHECK, LegState.UNSURE) or request.documents:
        return ""
    silent = len(request.of_state(LegState.UNREACHED, LegState.STOPPED))
    declined = len(request.of_state(LegState.DECLINED))
    if not request.answered:
        start = "No organization answered, so nobody can say whether there are records."
    else:
        start = "No organization that answered holds records for this person."
    more = f" {silent} did not answer." if silent else ""
    return f"{start}{more}" + (f" {declined} declined." if declined else "")


def _found(request: ClinicRequest) -> str:
    opened = sum(leg.documents for leg in request.legs)
    held = sum(leg.held_back for leg in request.legs)
    hidden = sum(leg.hidden for leg in request.legs)
    parts = [f"{opened} to read"] if opened else []
    parts += [f"{held} held back"] if held else []
    parts += [f"{hidden} hidden"] if hidden else []
    nothing = "none yet" if request.progress is Progress.ASKING else "none"
    return ", ".join(parts) or nothing


def _detail(  # noqa: PLR0911 - one line for each state
    request: ClinicRequest, leg: AskedLeg, known: list[Identity]
) -> str:
    match leg.state:
        case LegState.ASKING:
            return "Waits for its turn" if not leg.steps else "Knows the person"
        case LegState.FOUND:
            return f"{_why_same(known)}, {counted(leg.documents, 'document')}{_partly(leg)}"
        case LegState.CHECK:
            return _to_check(request, leg, known)
        case LegState.OTHER:
            return f"By your answer; {counted(leg.hidden, 'document')} hidden"
        case LegState.NONE:
            held = "They know the person and hold no documents"
            return held if known else "They answered; no such patient there"
        case LegState.STOPPED:
            return "You stopped waiting" if leg.began or leg.steps else "Not asked any more"
        case _:
            return reason_of(leg)


def _to_check(request: ClinicRequest, leg: AskedLeg, known: list[Identity]) -> str:
    opened = [each for each in known if each.is_open_question]
    theirs = opened[0].known.demographics if opened else None
    words = difference(request.demographics, theirs) if theirs else "Nothing is said of the person"
    more = f"; {counted(leg.held_back, 'document')} held back" if leg.held_back else ""
    return f"{words}{more}{_partly(leg)}"


def _why_same(known: list[Identity]) -> str:
    return "Same person, by your answer" if any(each.said for each in known) else "Exact match"


def _partly(leg: AskedLeg) -> str:
    return "; not all of them were listed" if _is_partial(leg) else ""


def _is_partial(leg: AskedLeg) -> bool:
    """Whether somebody is known there and not all documents were listed."""
    listed_so = [s.outcome for s in leg.steps[1:]]
    bad = {Outcome.PARTIAL, Outcome.DECLINED, Outcome.FAILED, Outcome.TIMED_OUT}
    return bool(leg.identities) and not bad.isdisjoint(listed_so)


def reason_of(leg: AskedLeg) -> str:
    """Why an organization declined or was not reached, and on whose side that is."""
    step = leg.last
    if step is None:
        return "The search ended on our side before they were asked"
    code = step.reason or ""
    words = _CODE_BEHIND.sub("", (step.sentence or "").strip()).rstrip(".")[:_LONGEST]
    if leg.state is LegState.DECLINED:
        known = reasons().get(code)
        if known is not None:
            return f"We did not ask: {known.sentence.rstrip('.')}"
        return words or "They gave no reason"
    if leg.state is LegState.UNSURE:
        return words or "They hold several who may be meant"
    if step.outcome is Outcome.TIMED_OUT:
        return f"{words or 'No answer in time'} ({_EITHER})"
    side, row = side_of(code), explanations().get(code)
    if row is not None:
        words, side = row.title.rstrip("."), _WHOSE[row.side]
    return f"{words or 'It broke'} ({side})" if side else (words or "They could not answer")


_CODE_BEHIND: Final = re.compile(r"\s*\[([a-z][a-z0-9-]{0,63})\]$")
"""The code that nodes like ours write behind the sentence of a refusal."""


def code_behind(sentence: str) -> str | None:
    """The code behind a peer's sentence, where it is one that is explained here."""
    found = _CODE_BEHIND.search(sentence.strip())
    return found[1] if found and found[1] in explanations() else None


_EITHER: Final = f"{_SIDES[Party.THEIRS]}, or {_SIDES[Party.NETWORK]}"
_TO_EXPLAIN: Final = frozenset({LegState.DECLINED, LegState.UNREACHED, LegState.UNSURE})


def fault_words(code: str) -> str:
    """What a fault is and on whose side, as the answers of a search say it; empty for none."""
    row = explanations().get(code)
    side = _EITHER if code == "timeout" else _WHOSE[row.side] if row else side_of(code)
    return f"{row.title.rstrip('.')} ({side})" if row else side


def side_of(code: str) -> str:
    """On whose side an error is; of a code that a peer sent, on theirs."""
    for package in _PACKAGES:
        row = error_table(package).get(code)
        if row is not None:
            return _SIDES[Party(str(row["party"]))]
    return _SIDES[Party.THEIRS] if code else ""


def whom(request: ClinicRequest, states: tuple[LegState, ...]) -> str:
    """The organizations with which it stands so, by name."""
    return listed([leg.name for leg in request.of_state(*states)])


def _compare(known: list[Identity], opened: Identity | None) -> int | None:
    """Who is to be looked at: an open question first, else somebody who was answered about."""
    if opened is not None:
        return opened.number
    return next((each.number for each in known if each.said is not None), None)


def _since(leg: AskedLeg, now: datetime) -> int | None:
    return max(round((now - leg.began).total_seconds() * 1000), 0) if leg.began else None


def _timed_out(leg: AskedLeg) -> bool:
    return leg.last is not None and leg.last.outcome is Outcome.TIMED_OUT
