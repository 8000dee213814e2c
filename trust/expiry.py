"""One calendar of everything that runs out, and the ladder of alarms before it does (pki A2, A5).

Whatever has an end is an ``Expiring``: our certificates and their chains, anchors, what is known of
peers, CRLs (nextUpdate), the roles of the network list, log keys. The rungs stand in
``data/expiry.toml``. Times are aware; ``now`` is an argument.
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum, StrEnum
from functools import lru_cache
from importlib import resources
from typing import Final


class Kind(StrEnum):
    """What runs out."""

    CERTIFICATE = "certificate"
    CHAIN = "chain"
    ANCHOR = "anchor"
    PEER = "peer"
    SHOWN = "shown"
    LISTED_KEY = "listed-key"
    CRL = "crl"
    NETWORK_ROLE = "network-role"
    LOG_KEY = "log-key"


class Owner(StrEnum):
    """Who has to act."""

    OURS = "ours"
    PEER = "peer"
    NETWORK = "network"


class Level(IntEnum):
    """How urgent it is; the order is that of urgency."""

    OK = 0
    NOTICE = 1
    WARNING = 2
    CRITICAL = 3
    EXPIRED = 4

    @property
    def word(self) -> str:
        """As people read it."""
        return self.name.lower()


@dataclass(frozen=True, slots=True, kw_only=True)
class Expiring:
    """Something with an end.

    Attributes:
        kind: what it is.
        name: which one, without anything secret or personal.
        not_after: its end.
        lifetime: how long it lives in all; ``None`` when only its end is known.
        owner: who has to act.
        renewable: whether it is renewed before its end by the rule of facts pki A2.
        others: how many more it stands for, which end with it or later.
    """

    kind: Kind
    name: str
    not_after: datetime
    lifetime: timedelta | None = None
    owner: Owner = Owner.OURS
    renewable: bool = False
    others: int = 0

    @property
    def renew_from(self) -> datetime | None:
        """When its renewal is due, if it is for us to renew."""
        if not self.renewable or self.lifetime is None:
            return None
        start = self.not_after - self.lifetime
        return renewal_due(start, self.not_after, spread=spread_of(self.name))


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """How something stands at a moment.

    Attributes:
        item: what.
        level: how urgent.
        rung: the rung it is below, such as ``30 days`` or ``20 %``; ``None`` above the ladder.
        left: time to its end, negative after it.
        renew_from: when its renewal is due.
        renewal_due: whether that moment has come.
    """

    item: Expiring
    level: Level
    rung: str | None
    left: timedelta
    renew_from: datetime | None
    renewal_due: bool

    @property
    def in_order(self) -> bool:
        """Whether nobody needs to do anything yet."""
        return self.level <= _USUAL.get(self.item.kind, Level.OK) and not self.renewal_due


_USUAL: Final = {
    # Whoever runs the network signs its roles anew when half of their life is left.
    Kind.NETWORK_ROLE: Level.NOTICE,
    # Among many peers one is always about to renew: only one that is late is for us to ask about.
    Kind.LISTED_KEY: Level.WARNING,
    Kind.SHOWN: Level.WARNING,
}
"""Up to which level nobody needs to do anything, where that is not the first."""


def judge(item: Expiring, *, now: datetime) -> Due:
    """Where one thing stands on the ladder."""
    left = item.not_after - now
    level, rung = _rung(item, left)
    renew_from = item.renew_from
    return Due(
        item=item,
        level=level,
        rung=rung,
        left=left,
        renew_from=renew_from,
        renewal_due=renew_from is not None and now >= renew_from,
    )


def calendar(items: Iterable[Expiring], *, now: datetime) -> tuple[Due, ...]:
    """All things, the first to end first."""
    found = (judge(item, now=now) for item in items)
    return tuple(sorted(found, key=lambda d: (d.item.not_after, d.item.kind, d.item.name)))


def renewal_due(
    not_before: datetime,
    not_after: datetime,
    *,
    window: tuple[datetime, datetime] | None = None,
    spread: float = 0.0,
) -> datetime:
    """When to renew (facts pki A2): in the CA's window if it gave one, else after 2/3 of the life.

    Args:
        not_before: start of validity.
        not_after: end of validity.
        window: what the CA suggests (RFC 9773), if it does.
        spread: 0 to 1; picks the moment in the window, or moves the date up to 5 % of the life
            earlier.

    Raises:
        ValueError: when ``spread`` is not from 0 to 1.
    """
    if not 0.0 <= spread <= 1.0:
        raise ValueError
    if window is not None:
        start, end = window
        return start + spread * (end - start)
    life = not_after - not_before
    ladder = _ladder()
    return not_before + (ladder.renew_after - spread * ladder.jitter) * life


def log_key_lifetime() -> timedelta:
    """How long a key that signs the log is to be used."""
    return _ladder().log_key


def spread_of(name: str) -> float:
    """A number from 0 to 1 that is always the same for one name, and differs between names."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big") / 0xFFFFFFFF


def _rung(item: Expiring, left: timedelta) -> tuple[Level, str | None]:
    if left <= timedelta(0):
        return Level.EXPIRED, "expired"
    ladder = _ladder()
    reached: tuple[Level, str | None] = (Level.OK, None)
    if item.kind is Kind.CRL and item.lifetime is not None:
        # Its CA renews it by itself, mostly late in its life: only the last part is news.
        for part, level in ladder.crl:
            if left <= part * item.lifetime:
                reached = level, f"{part:.0%}".replace("%", " %")
        return reached
    if item.lifetime is None or item.lifetime >= ladder.long_lived:
        for days, level in ladder.long:
            if left <= timedelta(days=days):
                reached = level, f"{days:g} days" if days != 1 else "1 day"
        return reached
    for part, level in ladder.short:
        if left <= part * item.lifetime:
            reached = level, f"{part:.0%}".replace("%", " %")
    return reached


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ladder:
    long_lived: timedelta
    long: tuple[tuple[float, Level], ...]
    short: tuple[tuple[float, Level], ...]
    crl: tuple[tuple[float, Level], ...]
    renew_after: float
    jitter: float
    log_key: timedelta


@lru_cache
def _ladder() -> _Ladder:
    text = resources.files("trust").joinpath("data/expiry.toml").read_text(encoding="utf-8")
    table = tomllib.loads(text)

    def rungs(name: str) -> tuple[tuple[float, Level], ...]:
        return tuple((float(r["left"]), Level[r["level"].upper()]) for r in table[name])

    return _Ladder(
        long_lived=timedelta(days=table["long-lived-days"]),
        long=rungs("long"),
        short=rungs("short"),
        crl=rungs("crl"),
        renew_after=float(table["renew-after"]),
        jitter=float(table["jitter"]),
        log_key=timedelta(days=table["log-key-days"]),
    )
