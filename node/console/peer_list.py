"""The list of peers: who there is, how exchanging with each goes, and what of theirs runs out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

from starlette.responses import Response

from directory.errors import DirectoryError
from directory.model import Organization
from node.console.case_words import Clock
from node.console.exchange_list import purpose_word
from node.console.parts import Visit
from node.console.peer_score import brought_up
from node.console.rendering import page
from node.governance.scorecard import last_exchange, tallies
from node.ledger.filter_text import to_query
from node.peer_ends import peer_ends
from node.policy.purposes import purpose_register
from trust.expiry import Due, Level

PAGE: Final = 25
_ROUNDS: Final = 20
"""Pages of the directory that are looked through for one page of the list."""

_MOST_SUSPENDED: Final = 100
_DAYS: Final = 30
_STATES: Final = {
    "active": "Active",
    "suspended": "Suspended by us",
    "inactive": "Not active in the directory",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the list is narrowed to."""

    text: str = ""
    state: str = ""
    purpose: str = ""

    def fits(self, organization: Organization) -> bool:
        """Whether state and purpose are those asked for."""
        return (not self.state or state_of(organization) == self.state) and (
            not self.purpose or self.purpose in purposes_of(organization)
        )

    def address(self, **more: str) -> str:
        """The list's address with these conditions."""
        given = {"q": self.text, "state": self.state, "purpose": self.purpose, **more}
        query = urlencode([(name, value) for name, value in given.items() if value])
        return f"/peers?{query}" if query else "/peers"


def peer_list(visit: Visit) -> Response:
    """``GET /peers``."""
    asked, after = asked_peers(visit)
    brought_up(visit)
    found: list[Organization] = []
    problem = following = None
    try:
        found, following = found_peers(visit, asked, after)
    except DirectoryError as error:
        problem = error.sentence
    in_all = sum(source.organizations for source in visit.console.directory.sources())
    return page(
        visit,
        "peers.html",
        title="Peers",
        at="/peers",
        asked=asked,
        states=_STATES,
        purposes=[(code, purpose_word(code)) for code in purpose_register().purposes],
        chips=_chips(asked),
        rows=peer_rows(visit, found),
        problem=problem,
        in_all=in_all,
        never=not _others(visit),
        older=asked.address(after=following) if following else None,
        newest=asked.address() if after else None,
    )


def asked_peers(visit: Visit) -> tuple[Asked, str | None]:
    """What an address narrows the list to, and after whom it begins."""
    given = visit.request.query_params
    asked = Asked(
        text=given.get("q", "").strip(),
        state=s if (s := given.get("state", "")) in _STATES else "",
        purpose=p if (p := given.get("purpose", "")) in purpose_register().purposes else "",
    )
    return asked, given.get("after") or None


def state_of(organization: Organization) -> str:
    """``suspended`` by us, else as the directory says."""
    if organization.suspended:
        return "suspended"
    return "active" if organization.active else "inactive"


def purposes_of(organization: Organization) -> frozenset[str]:
    """The purposes that an entry declares, asking or answering."""
    return organization.initiates.union(*(each.responds for each in organization.endpoints))


def end_clock(due: Due | None) -> Clock | None:
    """How long something lasts, with its mark; coloured where somebody has to act."""
    if due is None:
        return None
    if due.level is Level.EXPIRED:
        days = (-due.left).days
        return Clock(
            words=f"expired {days} d ago" if days else "expired", level="late", mark="failed"
        )
    words = f"{due.left.days} d left" if due.left.days else "under a day left"
    if due.in_order:
        return Clock(words=words, level="", mark="")
    return Clock(words=words, level="soon", mark="timed-out")


def found_peers(
    visit: Visit, asked: Asked, after: str | None
) -> tuple[list[Organization], str | None]:
    """A page of the directory's organizations, and after whom the next one begins."""
    directory, own = visit.console.directory, visit.console.own.organization_id
    if asked.state == "suspended":
        return [each for each in _suspended(visit, asked) if each.id != own], None
    found: list[Organization] = []
    for _ in range(_ROUNDS):
        read = directory.search(asked.text, limit=PAGE, after=after)
        found += [each for each in read.organizations if each.id != own and asked.fits(each)]
        after = read.after
        if after is None or len(found) >= PAGE - 1:
            break
    return found, after


def _suspended(visit: Visit, asked: Asked) -> Iterator[Organization]:
    """They are few: read all, and look for the text in their names and identifiers."""
    directory, text = visit.console.directory, asked.text.casefold()
    for organization_id in directory.local.suspended(limit=_MOST_SUSPENDED):
        found = directory.by_id(organization_id)
        if found is None or not asked.fits(found):
            continue
        if text in f"{found.name} {found.id} {found.home_community_id}".casefold():
            yield found


def peer_rows(visit: Visit, found: list[Organization]) -> list[Mapping[str, Any]]:
    """Organizations as the table shows them."""
    console = visit.console
    ends = peer_ends(console.home, [each.id for each in found], now=visit.now)
    return [_row(visit, each, ends.get(each.id, ())) for each in found]


def _row(visit: Visit, organization: Organization, ends: tuple[Due, ...]) -> Mapping[str, Any]:
    engine, hcid = visit.console.engine, organization.home_community_id
    outcomes: list[tuple[str, str, str]] = []
    if hcid:
        counted = tallies(engine, hcid, _DAYS, now=visit.now)
        outcomes = [
            (
                outcome,
                f"{number:,}",
                to_query(counted.filter_of(hcid, {"outcome": (outcome,)})),
            )
            for outcome, number in counted.by_outcome.items()
        ]
    purposes = sorted(purpose_word(code) for code in purposes_of(organization))
    return {
        "name": organization.name,
        "id": organization.id,
        "hcid": hcid,
        "state": state_of(organization),
        "state_words": _STATES[state_of(organization)],
        "purposes": purposes[:3],
        "more_purposes": len(purposes) - 3,
        "last": last_exchange(engine, hcid) if hcid else None,
        "outcomes": outcomes,
        "clock": end_clock(ends[0] if ends else None),
    }


def _others(visit: Visit) -> bool:
    """Whether the directory has anybody but us."""
    read = visit.console.directory.search("", limit=2).organizations
    return any(each.id != visit.console.own.organization_id for each in read)


def _chips(asked: Asked) -> list[tuple[str, str]]:
    """Each condition in words, and the address of the list without it."""
    given = {
        "text": (f"“{asked.text}”", Asked(state=asked.state, purpose=asked.purpose)),
        "state": (
            _STATES.get(asked.state, ""),
            Asked(text=asked.text, purpose=asked.purpose),
        ),
        "purpose": (
            purpose_word(asked.purpose) if asked.purpose else "",
            Asked(text=asked.text, state=asked.state),
        ),
    }
    return [
        (words, without.address())
        for name, (words, without) in given.items()
        if getattr(asked, name)
    ]
