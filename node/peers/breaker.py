"""A circuit breaker for each peer: after repeated network failures, stop asking for a while.

Pure: a :class:`Breaker` is a value, the verbs return the next one, time is an argument (seconds of
a monotonic clock). The whole behaviour is this table:

========== ============= =============== ======================= =================
state      admit         succeeded       failed                  released
========== ============= =============== ======================= =================
closed     yes           closed, 0       closed, or open at the  closed
                                         threshold
open       no, until the closed, 0       open                    open
           pause is over
half-open  no (one probe closed, 0       open, pause doubled     open, pause over
           is on its way)
========== ============= =============== ======================= =================

``admit`` on an open breaker whose pause is over lets exactly one probe through (half-open).
Only failures of the network count: a fault or a refusal is an answer, the peer is there.
``released`` is for an attempt that ended without saying anything about the peer (cancelled by us).
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, replace
from enum import StrEnum


class State(StrEnum):
    """Whether a peer is asked."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerRules:
    """When to stop asking, and for how long (seconds)."""

    threshold: int = 5
    pause: float = 5.0
    longest_pause: float = 300.0
    probe: float = 300.0
    """A probe that was never reported back counts as failed after this time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Breaker:
    """The state of one peer; ``until`` is when the pause (or the wait for the probe) ends."""

    state: State = State.CLOSED
    failures: int = 0
    pause: float = 0.0
    until: float = 0.0


def admit(breaker: Breaker, rules: BreakerRules, now: float) -> tuple[Breaker, bool]:
    """Whether one attempt may start now."""
    if breaker.state is State.CLOSED:
        return breaker, True
    if now < breaker.until:
        return breaker, False
    return replace(breaker, state=State.HALF_OPEN, until=now + rules.probe), True


def succeeded(_breaker: Breaker) -> Breaker:
    """The peer answered."""
    return Breaker()


def failed(breaker: Breaker, rules: BreakerRules, now: float) -> Breaker:
    """The peer was not reached."""
    failures = breaker.failures + 1
    if breaker.state is State.OPEN:  # an attempt that started before the breaker opened
        return replace(breaker, failures=failures)
    if breaker.state is State.HALF_OPEN:
        pause = min(breaker.pause * 2, rules.longest_pause)
    elif failures < rules.threshold:
        return replace(breaker, failures=failures)
    else:
        pause = rules.pause
    return Breaker(state=State.OPEN, failures=failures, pause=pause, until=now + pause)


def released(breaker: Breaker, now: float) -> Breaker:
    """An attempt ended without a word about the peer; a probe may be repeated at once."""
    if breaker.state is State.HALF_OPEN:
        return replace(breaker, state=State.OPEN, until=now)
    return breaker


class Breakers:
    """The breakers of all peers, by key; the least recently used are forgotten past ``most``."""

    def __init__(self, rules: BreakerRules | None = None, *, most: int = 10_000) -> None:
        """Starts with every peer closed."""
        self.rules = rules or BreakerRules()
        self._most = most
        self._breakers: OrderedDict[str, Breaker] = OrderedDict()

    def state(self, peer: str) -> State:
        """The state of a peer."""
        return self._breakers.get(peer, _CLOSED).state

    def admit(self, peer: str, now: float) -> bool:
        """Whether one attempt to a peer may start now; each admitted one must be reported."""
        breaker, admitted = admit(self._breakers.get(peer, _CLOSED), self.rules, now)
        self._keep(peer, breaker)
        return admitted

    def succeeded(self, peer: str) -> None:
        """Report an answer."""
        self._keep(peer, succeeded(self._breakers.get(peer, _CLOSED)))

    def failed(self, peer: str, now: float) -> None:
        """Report a failure of the network."""
        self._keep(peer, failed(self._breakers.get(peer, _CLOSED), self.rules, now))

    def released(self, peer: str, now: float) -> None:
        """Report an attempt that says nothing about the peer."""
        self._keep(peer, released(self._breakers.get(peer, _CLOSED), now))

    def _keep(self, peer: str, breaker: Breaker) -> None:
        if breaker == _CLOSED:
            self._breakers.pop(peer, None)
            return
        self._breakers[peer] = breaker
        self._breakers.move_to_end(peer)
        while len(self._breakers) > self._most:
            self._breakers.popitem(last=False)


_CLOSED = Breaker()
