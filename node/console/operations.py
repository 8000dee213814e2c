"""The Operations page: does the node run well, and if not, what is the next step."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Any, Final

from starlette.responses import Response

from node.console.exchange_list import peer_word
from node.console.hours_drawing import hours_chart
from node.console.machine import Depth, LastDone
from node.console.parts import Visit
from node.console.rendering import SECURITY_HEADERS, page
from node.errors import CodedError
from node.governance.case_queue import QueueFilter, counted
from node.governance.changes import changes
from node.governance.denials import waiting
from node.governance.traffic import FaultGroup, PeerHours, Traffic, faults, traffic
from node.ledger.filter_text import to_query
from node.ledger.find import LedgerFilter
from node.ledger.trust_change import TrustChange
from node.ops.health import Status

FAULT_DAYS: Final = timedelta(days=7)

_ROUNDS: Final = (
    ("Directory and network list", ("list-apply", "list-follow", "directory-import")),
    ("Revocation lists", ("crl-accept",)),
    ("Sweep of the detectors", ("detector-sweep",)),
    ("Entries dropped for their age", ("log-retain",)),
    ("Kept messages deleted", ("body-purge",)),
)
"""What the node does by itself and writes down, by the acts of its entries."""


def operations(visit: Visit) -> Response:
    """``GET /operations``."""
    console, now = visit.console, visit.now
    checks = console.machine.checks(now)
    numbers = Counter(each.found.status for each in checks)
    hours = traffic(console.engine, now=now)
    bad = faults(console.engine, window=FAULT_DAYS, now=now)
    return page(
        visit,
        "operations.html",
        title="Operations",
        at="/operations",
        sentence=_sentence(numbers),
        checks=checks,
        marks={Status.OK: "ok", Status.WARN: "timed-out", Status.FAIL: "failed",
               Status.UNKNOWN: "cancelled"},
        depths=_depths(visit),
        rounds=_rounds(visit),
        faults=bad,
        fault_rows=[_fault(visit, each) for each in bad.groups],
        fault_days=FAULT_DAYS.days,
        traffic=hours,
        peers=_peers(visit, hours),
        digest=_digest(visit),
    )  # fmt: skip


def bug_report(visit: Visit) -> Response:
    """``POST /operations/report``: the redacted report as a file; taking it is an entry."""
    data = visit.console.machine.bug_report(visit.now)
    visit.console.recorder(visit.user).fact(TrustChange(act="bug-report"))
    headers = {
        "content-type": "application/json",
        "content-disposition": f'attachment; filename="bug-report-{visit.now:%Y%m%d-%H%M}.json"',
        "cache-control": "no-store",
        **SECURITY_HEADERS,
    }
    return Response(data, headers=headers)


def _sentence(numbers: Counter[Status]) -> str:
    """What the checks say, the worst first."""
    words = {
        Status.FAIL: ("check fails", "checks fail"),
        Status.WARN: ("warns", "warn"),
        Status.UNKNOWN: ("could not be looked at", "could not be looked at"),
        Status.OK: ("is in order", "are in order"),
    }
    parts = [
        f"{numbers[status]} {one if numbers[status] == 1 else many}"
        for status, (one, many) in words.items()
        if numbers[status]
    ]
    return f"{', '.join(parts)}."


def _depths(visit: Visit) -> list[Depth]:
    """What waits, in the node and for people; a number leads to its rows where they may be seen."""
    console, now = visit.console, visit.now
    of_people = (
        ("open cases", counted(console.engine, QueueFilter(), now=now), "/review", "cases"),
        ("refusals to explain", len(waiting(console.engine, now=now)), "/denials", "denials"),
        (
            "requests for a second person",
            len(console.two_person.waiting(now=now)),
            "/requests",
            "home",
        ),
    )
    return [
        *console.machine.depths(),
        *(
            Depth(words=words, number=number, address=address if visit.may(right) else "")
            for words, number, address, right in of_people
        ),
    ]


def _rounds(visit: Visit) -> list[LastDone]:
    console = visit.console
    found = []
    for words, acts in _ROUNDS:
        newest = next(iter(changes(console.engine, console.key, limit=1, acts=acts)), None)
        found.append(
            LastDone(
                words=words,
                when=newest.time if newest else None,
                what=newest.sentence if newest else "none yet",
            )
        )
    return [*console.machine.last_done(), *found]


def _fault(visit: Visit, group: FaultGroup) -> dict[str, Any]:
    chosen = LedgerFilter(since=FAULT_DAYS, peer=group.peer, outcome=group.outcome)
    has_code = group.code != group.outcome
    if has_code:
        chosen = LedgerFilter(since=FAULT_DAYS, peer=group.peer, reason=group.code)
    return {
        "group": group,
        "code": group.code if has_code else "",
        "peer": peer_word(visit, group.peer),
        "address": f"/exchanges?{to_query(chosen)}" if visit.may("exchanges") else "",
    }


def _peers(visit: Visit, hours: Traffic) -> list[dict[str, Any]]:
    most = max((hour.number for each in hours.peers for hour in each.hours), default=1) or 1
    slowest = max((each.slowest or 0 for each in hours.peers), default=1) or 1
    return [_peer(visit, each, most, slowest, place) for place, each in enumerate(hours.peers)]


def _peer(visit: Visit, hours: PeerHours, most: int, slowest: int, place: int) -> dict[str, Any]:
    name = peer_word(visit, hours.peer)
    return {
        "name": name,
        "hours": hours,
        "chart": hours_chart(hours, name=name, most=most, slowest=slowest, place=place),
        "address": f"/peers/{hours.peer}" if visit.may("peers") else "",
    }


def _digest(visit: Visit) -> str | None:
    try:
        return visit.console.machine.settings_digest()
    except CodedError:
        return None
