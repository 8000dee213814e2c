"""The rows of a peer's scorecard: each a part, the whole it is a share of, or how long it took.

Every row is a pair of conditions on legs, by the names of the log's filter: the same conditions
count (``scorecard.Tallies``) and open the rows behind the number. Words say "they" of the peer
(facts: governance-ux 6.7).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from node.governance import marks
from node.model import Direction, Outcome, Transaction
from trust.errors import Party

Conditions = Mapping[str, tuple[str, ...]]
"""The values that fields of a leg may have, by the filter's names; ``-mark``: may not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """One row of the scorecard: a part, and the whole it is a share of; a count has no whole.

    ``code`` names it in addresses. Of a ``timed`` one it is said how long the part took.
    """

    code: str
    group: str
    words: str
    part: Conditions
    whole: Conditions | None = None
    timed: bool = False


REACH: Final = "Reach"
FOUND: Final = "Match and documents"
FORM: Final = "Form and security"
TIMES: Final = "Time to answer, half within and 95 % within"
RECIPROCITY: Final = "Reciprocity"
CONDUCT: Final = "Conduct"

_HELD: Final = (Outcome.OK.value, Outcome.PARTIAL.value)
_ANSWERED: Final = tuple(sorted(each.value for each in marks.ANSWERED))
_EVERY_OUT: Final[Conditions] = {"direction": (Direction.INITIATING.value,)}
_OUT: Final[Conditions] = {**_EVERY_OUT, "-mark": (marks.NOT_SENT,)}
_IN: Final[Conditions] = {"direction": (Direction.RESPONDING.value,)}


def _ended(base: Conditions, *outcomes: str) -> Conditions:
    return {**base, "outcome": outcomes}


def _did(base: Conditions, transaction: str) -> Conditions:
    return {**base, "transaction": (transaction,)}


def _marked(base: Conditions, mark: str) -> Conditions:
    return {**base, "-mark": (), "mark": (mark,)}


_DISCOVERED: Final = _did(_OUT, Transaction.ITI_55.value)
_QUERIED: Final = _did(_OUT, Transaction.ITI_38.value)
_RETRIEVED: Final = _did(_OUT, Transaction.ITI_39.value)
_BROUGHT: Final = _ended(_RETRIEVED, *_HELD)
_DECLINED: Final = _ended(_OUT, Outcome.DECLINED.value)
_RETRIED: Final = _marked(_OUT, marks.RETRIED)


def _row(
    group: str, code: str, words: str, part: Conditions, whole: Conditions | None = None
) -> Measure:
    return Measure(group=group, code=code, words=words, part=part, whole=whole)


MEASURES: Final = (
    _row(REACH, "asked", "Asked by us", _OUT),
    _row(
        REACH,
        "reached",
        "Reached",
        {**_EVERY_OUT, "-mark": (marks.NOT_SENT, marks.NOT_REACHED)},
        _OUT,
    ),
    _row(
        REACH,
        "answered",
        "Answered within the deadline, refusals included",
        _ended(_OUT, *_ANSWERED),
        _OUT,
    ),
    *(
        _row(REACH, mark, f"Failed or not answered, {words}", _marked(_OUT, mark), _OUT)
        for party, words in (
            (Party.THEIRS, "at their side"),
            (Party.NETWORK, "between us"),
            (Party.OURS, "at our side"),
        )
        if (mark := marks.FAULTS[party])
    ),
    _row(REACH, "timed-out", "Timed out", _ended(_OUT, Outcome.TIMED_OUT.value), _OUT),
    _row(
        REACH,
        "recovered",
        "Second and later attempts that were answered",
        _ended(_RETRIED, *_ANSWERED),
        _RETRIED,
    ),
    _row(
        REACH,
        "not-sent",
        "Never sent: our own policy, or no way there",
        _marked(_OUT, marks.NOT_SENT),
    ),
    _row(
        FOUND,
        "found",
        "Patient found, of discoveries answered",
        _ended(_DISCOVERED, *_HELD),
        _ended(_DISCOVERED, *_HELD, Outcome.OK_EMPTY.value),
    ),
    _row(
        FOUND,
        "brought",
        "Retrieves that brought all",
        _ended(_RETRIEVED, Outcome.OK.value),
        _RETRIEVED,
    ),
    _row(
        FOUND,
        "duplicate",
        "Retrieves with a document under a second id, byte for byte",
        _marked(_BROUGHT, marks.DUPLICATE),
        _BROUGHT,
    ),
    _row(
        FOUND,
        "unreadable",
        "Retrieves with a document that a reader could not be shown",
        _marked(_BROUGHT, marks.UNREADABLE),
        _BROUGHT,
    ),
    _row(FOUND, "declined", "Declined by them", _DECLINED, _OUT),
    _row(
        FOUND,
        "declined-queries",
        "Declined by them, of document queries",
        _ended(_QUERIED, Outcome.DECLINED.value),
        _QUERIED,
    ),
    _row(
        FOUND,
        "no-reason",
        "Declined by them without a usable reason",
        _marked(_DECLINED, marks.NO_REASON),
        _DECLINED,
    ),
    _row(FORM, "tls", "TLS or certificate chain at fault", _marked({}, marks.TLS)),
    _row(FORM, "signature", "SAML, token or signature at fault", _marked({}, marks.SIGNATURE)),
    _row(FORM, "deviation", "With a tolerated deviation", _marked({}, marks.DEVIATION), {}),
    _row(
        RECIPROCITY,
        "given",
        "Retrieves by them that we served",
        _ended(_did(_IN, Transaction.ITI_39.value), *_HELD),
    ),
    _row(RECIPROCITY, "taken", "Retrieves by us that they served", _BROUGHT),
    _row(CONDUCT, "asked-us", "Asked of us", _IN),
    _row(CONDUCT, "given-them", "Given to them", _ended(_IN, *_HELD), _IN),
    _row(CONDUCT, "declined-us", "Declined by us", _ended(_IN, Outcome.DECLINED.value), _IN),
    _row(
        CONDUCT,
        "failed-us",
        "Failed or timed out at our side",
        _ended(_IN, Outcome.FAILED.value, Outcome.TIMED_OUT.value),
        _IN,
    ),
)

EVERY: Final = _row(REACH, "every", "All legs", {})


def of_purpose(purpose: str) -> Measure:
    """How often the peer asked us for a purpose."""
    part = {**_IN, "purpose": (purpose,)}
    return _row(CONDUCT, f"purpose.{purpose}", f"Asked of us: {purpose}", part)


def of_deviation(name: str) -> Measure:
    """How many legs have a tolerated deviation."""
    return _row(FORM, f"dev.{name}", f"Deviation {name}", _marked({}, name))


def of_time(direction: str, transaction: str) -> Measure:
    """How long a transaction takes until it is answered, by them or by us."""
    theirs = direction == Direction.INITIATING.value
    side, words = (_OUT, "them") if theirs else (_IN, "us")
    return Measure(
        code=f"took.{direction}.{transaction}",
        group=TIMES,
        words=f"{transaction}, by {words}",
        part=_ended(_did(side, transaction), *_ANSWERED),
        timed=True,
    )
