"""From a thing's page to the previous and the next one of the list that it was opened from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from node.console.parts import Visit
from node.console.wording import counted

EXCHANGES: Final = "exchanges"
REVIEW: Final = "review"
_WORDS: Final = {EXCHANGES: "exchange", REVIEW: "case"}
_PAGES: Final = {EXCHANGES: "/exchanges/", REVIEW: "/cases/"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps:
    """Addresses, empty where there is none, and where the thing stands on its page of the list."""

    before: str
    after: str
    address: str
    words: str


def steps(visit: Visit, view: str, thing: str) -> Steps | None:
    """The way on from a thing; ``None`` where the person saw it in no list lately.

    At either end of the list's page the way leads to the list itself: back to this page, on to the
    following one.
    """
    near = visit.console.lists.near(visit.user.login, view, thing, now=visit.now)
    if near is None:
        return None
    path = _PAGES[view]
    return Steps(
        before=f"{path}{near.before}" if near.before else near.address,
        after=f"{path}{near.after}" if near.after else near.following,
        address=near.address,
        words=f"{near.place} of {counted(near.count, _WORDS[view])} on the page of the list",
    )
