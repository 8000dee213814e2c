"""Problems that were reported just now: a form that is sent twice opens one case."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime, timedelta
from threading import Lock
from typing import Final

from node.governance.case_model import Refusal

TWICE: Final = timedelta(minutes=1)
"""Within so long the same words about the same thing are the same report."""

MOST: Final = 200
"""Reports that are remembered, in this process."""


class Reports:
    """Numbers of cases by who reported what. Safe to use from any thread."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._opened: OrderedDict[tuple[str, ...], tuple[datetime, str]] = OrderedDict()

    def once(
        self, report: tuple[str, ...], now: datetime, opened: Callable[[], str | Refusal]
    ) -> str | Refusal:
        """The case of a report: that of the same one just now, else what ``opened`` opens."""
        with self._lock:  # the second click waits for the first one's case
            known = self._opened.get(report)
            if known is not None and now < known[0] + TWICE:
                return known[1]
            number = opened()
            if isinstance(number, str):
                self._opened[report] = (now, number)
                while len(self._opened) > MOST:
                    self._opened.popitem(last=False)
            return number
