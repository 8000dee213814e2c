"""The log promise that came with an answer: is it one, of that peer's log, about that message?

A promise that is absent or wrong never fails an exchange: it is a tolerated deviation, counted for
the peer (DESIGN, law 4). It is missed only at peers whose directory entry names a log.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from node.errors import LogError
from node.ledger.peer_log import PeerLog
from node.ledger.promise import parse_promise, verify_promise
from node.model import Peer
from node.peers.answer import AnswerDeviation

LogOf = Callable[[Peer], PeerLog | None]

_SKEW: Final = timedelta(minutes=10)


def judged_promise(
    value: str | None, log: PeerLog | None, *, message_id: str, now: datetime
) -> tuple[str | None, tuple[str, ...]]:
    """The promise to be kept, if there is one, and the deviations.

    Where the peer's log is not known, a promise of the right form is kept unverified: it can be
    verified once its key is known.
    """
    if value is None:
        return None, (AnswerDeviation.LOG_PROMISE_ABSENT.value,) if log else ()
    try:
        promise = parse_promise(value)
        if log is not None:
            verify_promise(promise, log.keys)
    except LogError:
        return None, (AnswerDeviation.LOG_PROMISE_INVALID.value,)
    # one that is dated ahead would never be due
    if promise.message_id != message_id or abs(promise.time - now) > _SKEW:
        return None, (AnswerDeviation.LOG_PROMISE_INVALID.value,)
    return value, ()
