"""How old a network list may be and still be used (facts pki B3.3 rule 4, A10). Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from trust.network_list.listing import NetworkList, QhinPart
from trust.network_list.names import numbers


class Level(StrEnum):
    """What an age allows.

    ``fresh`` and ``warn`` allow everything; ``degraded`` keeps the partners there are: no new one,
    no change of keys; ``refused`` allows no new exchange.
    """

    FRESH = "fresh"
    WARN = "warn"
    DEGRADED = "degraded"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """The age of a list at a moment.

    Attributes:
        level: what it allows.
        since: when the first of its roles expired or will expire.
        sentence: what a person reads.
        reason_code: ``None`` while fresh, else a row of ``data/errors.toml``.
    """

    level: Level
    since: datetime
    sentence: str
    reason_code: str | None = None

    @property
    def allows_exchange(self) -> bool:
        """Whether partners of the list may be talked to."""
        return self.level is not Level.REFUSED

    @property
    def allows_changes(self) -> bool:
        """Whether new partners and other keys may be taken from it."""
        return self.level in (Level.FRESH, Level.WARN)


def level_at(expires: datetime, now: datetime) -> Level:
    """The level of something that expires at a moment."""
    hours = numbers()["staleness_hours"]
    late = now - expires
    if late < timedelta(0):
        return Level.FRESH
    if late <= timedelta(hours=hours["warn"]):
        return Level.WARN
    if late <= timedelta(hours=hours["degraded"]):
        return Level.DEGRADED
    return Level.REFUSED


def standing(listed: NetworkList, now: datetime) -> Standing:
    """The standing of a list: the role that expires first decides.

    A clock that is earlier than the list's own signature cannot judge an age: refused.
    """
    role, since = min(listed.expires.items(), key=lambda item: item[1])
    skew = timedelta(seconds=numbers()["clock"]["skew_seconds"])
    if listed.signed_at is not None and now < listed.signed_at - skew:
        return Standing(
            level=Level.REFUSED,
            since=listed.signed_at,
            sentence="This machine's clock is earlier than the network list's signature.",
            reason_code="network-clock-behind",
        )
    level = level_at(since, now)
    if level is Level.FRESH:
        until = f"{since:%Y-%m-%d %H:%M} UTC"
        return Standing(
            level=level, since=since, sentence=f"The network list is fresh until {until}."
        )
    meaning = {
        Level.WARN: "it is still used",
        Level.DEGRADED: "partners stay, but no new partner and no other key is accepted",
        Level.REFUSED: "no exchange with its members is begun",
    }[level]
    return Standing(
        level=level,
        since=since,
        sentence=f"The network list expired at {since:%Y-%m-%d %H:%M} UTC ({role}): {meaning}.",
        reason_code="network-list-stale",
    )


def part_level(part: QhinPart, now: datetime) -> Level:
    """The level of one QHIN's entries by its own role's expiry."""
    return level_at(part.expires, now)
