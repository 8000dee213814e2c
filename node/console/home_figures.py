"""The numbers of the start page: what is due, overdue, near its limit, or waits for this person.

Each comes with the address of its rows and with the right to read them: whoever may not read the
rows is not told how many there are (a test opens each address with each role).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from node.console.parts import Visit
from node.expiry_calendar import expiring
from node.governance.access.break_glass import KIND
from node.governance.case_model import State
from node.governance.case_queue import NOBODY, QueueFilter, counted
from node.governance.denials import NEAR, waiting
from node.governance.two_person_model import verbs
from node.ledger.filter_text import to_query
from node.ledger.find import LedgerFilter, count
from node.listed_facts import listed_facts
from node.ops.health import Status
from trust.errors import TrustError
from trust.expiry import calendar

_DAY: Final = timedelta(hours=24)
_DISCLOSURE: Final = timedelta(days=14)
_ENDING: Final = timedelta(hours=24)
"""Before the end of a request for a second person, in which it is near its limit."""

_REFUSED: Final = ("page-refuse", "two-person-stop", "case-refuse", "person-prove-refuse")
_MOST: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A number, in words, with the address of its rows; ``urgent`` where it is late or nearly."""

    words: str
    number: int
    address: str
    urgent: bool = False
    more: bool = False


Counted = Callable[[Visit], Iterator[Figure]]


def figures(visit: Visit) -> tuple[Figure, ...]:
    """What concerns this person, those that are urgent first."""
    found = [figure for right, counting in _ALL if visit.may(right) for figure in counting(visit)]
    return tuple(sorted(found, key=lambda each: not (each.urgent and each.number)))


def _requests(visit: Visit) -> Iterator[Figure]:
    """Requests of others that this person may decide about, and own ones that still wait."""
    asked = visit.console.two_person.waiting(now=visit.now)
    mine = sum(each.asker == visit.user.login for each in asked)
    theirs = [
        each
        for each in asked
        if each.asker != visit.user.login and verbs()[each.verb].decide in visit.user.rights
    ]
    ending = sum(each.until - visit.now < _ENDING for each in theirs)
    if any(verb.decide in visit.user.rights for verb in verbs().values()):
        yield Figure(words="wait for you as second person", number=len(theirs), address="/requests")
    if ending:
        yield Figure(
            words="of these over within 24 hours", number=ending, address="/requests", urgent=True
        )
    if mine:
        yield Figure(words="you asked, undecided", number=mine, address="/requests")


def _cases(visit: Visit) -> Iterator[Figure]:
    of = visit.user.login
    wanted = [
        ("cases overdue", QueueFilter(due="late"), "due=late", True),
        ("due within 7 days", QueueFilter(due="soon"), "due=soon", False),
        ("with nobody on it", QueueFilter(assignee=NOBODY), f"assignee={NOBODY}", False),
        ("to be confirmed", QueueFilter(state=State.RESOLVED), "state=resolved", False),
        ("snoozed", QueueFilter(snoozed=True), "snoozed=on", False),
    ]
    if visit.may("review"):
        late = QueueFilter(assignee=of, due="late")
        wanted[:0] = [
            ("with you, overdue", late, f"assignee={of}&due=late", True),
            ("with you", QueueFilter(assignee=of), f"assignee={of}", False),
        ]
    for words, chosen, query, urgent in wanted:
        number = counted(visit.console.engine, chosen, now=visit.now, reader=visit.mark)
        yield Figure(words=words, number=number, address=f"/review?{query}", urgent=urgent)
    broken = visit.console.break_glass.grants.count_since(visit.now - _DAY)
    yield Figure(words="glass broken in 24 hours", number=broken, address=f"/review?kind={KIND}")


def _denials(visit: Visit) -> Iterator[Figure]:
    owed = waiting(visit.console.engine, now=visit.now)
    yield Figure(words="refusals to explain", number=len(owed), address="/denials")
    near = sum(each.due is not None and each.due - visit.now < NEAR for each in owed)
    if near:
        words = "written answers near their limit"
        yield Figure(words=words, number=near, address="/denials", urgent=True)


def _disclosures(visit: Visit) -> Iterator[Figure]:
    soon = visit.console.duties.due_soon(now=visit.now, within=_DISCLOSURE)
    if soon:
        words = "patients' requests due within 14 days"
        yield Figure(words=words, number=soon, address="/patients", urgent=True)


def _watched(visit: Visit) -> Iterator[Figure]:
    suspended = visit.console.directory.local.suspended(limit=_MOST)
    number = len(list(suspended))
    yield Figure(words="peers suspended by us", number=number, address="/peers?state=suspended")


def _trust(visit: Visit) -> Iterator[Figure]:
    home = visit.console.home
    try:
        dues = calendar(expiring(home, now=visit.now), now=visit.now)
        listed = listed_facts(home)
    except TrustError:
        return  # the page says what cannot be read
    late = sum(not each.in_order for each in dues)
    yield Figure(
        words="certificates and lists to renew", number=late, address="/trust", urgent=True
    )
    if listed is not None and listed.waiting is not None:
        yield Figure(words="network list to approve", number=1, address="/trust#dir", urgent=True)


def _checks(visit: Visit) -> Iterator[Figure]:
    found = [each.found.status for each in visit.console.machine.checks(visit.now)]
    for status, words in (
        (Status.FAIL, "checks fail"),
        (Status.WARN, "checks warn"),
        (Status.UNKNOWN, "checks that could not look"),
    ):
        number = found.count(status)
        yield Figure(
            words=words, number=number, address="/operations", urgent=status is Status.FAIL
        )
    for depth in visit.console.machine.depths():
        if depth.number:
            yield Figure(words=depth.words, number=depth.number, address="/operations")


def _looks(visit: Visit) -> Iterator[Figure]:
    chosen = LedgerFilter(since=_DAY, act=_REFUSED).at(visit.now)
    found = count(visit.console.engine, chosen, key=visit.console.key, limit=_MOST)
    words = "attempts stopped in 24 hours"
    address = f"/access?{to_query(LedgerFilter(since=_DAY, act=_REFUSED))}"
    yield Figure(words=words, number=found.number, address=address, more=found.capped)


_ALL: Final[Sequence[tuple[str, Counted]]] = (
    ("home", _requests),
    ("cases", _cases),
    ("denials", _denials),
    ("disclosures", _disclosures),
    ("peers", _watched),
    ("trust", _trust),
    ("operations", _checks),
    ("access-log", _looks),
)
