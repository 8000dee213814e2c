"""The rail: which pages there are, for whom."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from node.users.model import User


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """An entry of the rail, for who has the right, or the other one."""

    address: str
    words: str
    right: str
    or_: str = ""
    here: bool = False


_PLACES: Final = (
    Place(address="/", words="Home", right="home"),
    Place(address="/records", words="Find a patient", right="ask"),
    Place(address="/exchanges", words="Exchanges", right="exchanges"),
    Place(address="/review", words="Review", right="cases"),
    Place(address="/requests", words="Second person", right="review", or_="anchors"),
    Place(address="/denials", words="Denials", right="denials"),
    Place(address="/patients", words="Patients", right="disclosures"),
    Place(address="/peers", words="Peers", right="peers"),
    Place(address="/trust", words="Trust", right="trust"),
    Place(address="/reports", words="Reports", right="reports"),
    Place(address="/exports", words="Exports", right="exports"),
    Place(address="/operations", words="Operations", right="operations"),
    Place(address="/access", words="Access log", right="access-log"),
)


def rail(user: User, at: str) -> tuple[Place, ...]:
    """The entries that a person may open; the one with the address ``at`` is where they are."""
    return tuple(
        Place(address=place.address, words=place.words, right=place.right, here=place.address == at)
        for place in _PLACES
        if place.right in user.rights or place.or_ in user.rights
    )
