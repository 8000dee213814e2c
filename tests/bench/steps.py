"""CPU time of the responder's steps, taken inside the running node: what it has beyond its floor.

The named functions of the node are wrapped where they are called; each follows the one before, none
lies inside another. What lies between them, the server, TLS, the event loop and the steps too small
to name, is the rest of the event loop's thread; what other threads use is the writer's.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any

from node.exchange import served
from node.exchange.asked import Admission
from node.gateway import iti55, soap_app
from node.gateway.authentication import Authenticator
from node.gateway.reply import Frame
from node.ledger import ledger
from node.model import Transaction
from node.promises import Promises
from node.records.index import RecordIndex

LOOP = "server, TLS, event loop and small steps"
WRITER = "writing the entry: other threads"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A step's name, and where the function that does it is looked up."""

    name: str
    holder: Any
    key: Any


STEPS = (
    Step(name="parsing the envelope", holder=soap_app, key="parse_envelope"),
    Step(name="proving who asks", holder=Authenticator, key="authenticate"),
    Step(name="reading the question", holder=soap_app._READERS, key=Transaction.ITI_55),
    Step(name="deciding", holder=Admission, key="decide"),
    Step(name="looking for the person", holder=RecordIndex, key="match_at_once"),
    Step(name="writing the answer", holder=iti55, key="write_discovery_response"),
    Step(name="writing the envelope", holder=Frame, key="envelope"),
    Step(name="the entry's facts", holder=served.ServedRecorder, key="_record"),
    Step(name="drafting and sealing the entry", holder=ledger, key="seal_entry"),
    Step(name="promising the entry", holder=Promises, key="__call__"),
)


class StepClock:
    """Counts the steps' CPU time; made in the thread of the event loop."""

    def __init__(self) -> None:
        """Wraps the functions."""
        self._spent: Counter[str] = Counter()
        self._loop = time.pthread_getcpuclockid(threading.get_ident())
        for step in STEPS:
            self._wrap(step)

    def spent(self) -> dict[str, int]:
        """Nanoseconds of CPU since the start, by step; ``LOOP`` and ``WRITER`` are the rest."""
        found = {step.name: self._spent[step.name] for step in STEPS}
        loop = time.clock_gettime_ns(self._loop)
        return {
            **found,
            LOOP: loop - sum(found.values()),
            WRITER: time.process_time_ns() - loop,
        }

    def _wrap(self, step: Step) -> None:
        if isinstance(step.holder, dict):
            step.holder[step.key] = self._timed(step.name, step.holder[step.key])
        else:
            timed = self._timed(step.name, getattr(step.holder, step.key))
            setattr(step.holder, step.key, timed)

    def _timed(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        spent, now = self._spent, time.thread_time_ns

        @wraps(function)
        def timed(*arguments: Any, **named: Any) -> Any:
            started = now()
            try:
                return function(*arguments, **named)
            finally:
                spent[name] += now() - started

        return timed
