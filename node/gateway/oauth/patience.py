"""How many refusals of unproved callers are worth an entry in the log, for each address."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

WINDOW = 60.0
MAX_ADDRESSES = 10_000


class Patience:
    """Counts by address in windows of a minute; remembers 10,000 addresses at most.

    Past that number the address that was seen longest ago is forgotten, so the log grows by
    ``each`` entries for each address that somebody really has.
    """

    def __init__(
        self, each: int = 30, *, everybody: int = 600, spent: Callable[[], None] = lambda: None
    ) -> None:
        """``each`` is for one address in a minute, ``everybody`` for all of them together.

        ``spent`` is called for each refusal that there is no patience for.
        """
        self._spent = spent
        self._each = each
        self._everybody = everybody
        self._counts: OrderedDict[str, tuple[float, int]] = OrderedDict()
        self._all = (0.0, 0)

    def allows(self, address: str, now: float) -> bool:
        """Count one refusal; whether there is patience for it. ``now`` is in seconds."""
        allowed = self._counted(address, now)
        if not allowed:
            self._spent()
        return allowed

    def is_spent(self, address: str, now: float) -> bool:
        """Whether there is no patience left; nothing is counted."""
        begun, count = self._counts.get(address, (now, 0))
        start, total = self._all
        return (now - begun < WINDOW and count >= self._each) or (
            now - start < WINDOW and total >= self._everybody
        )

    def _counted(self, address: str, now: float) -> bool:
        begun, count = self._counts.get(address, (now, 0))
        if now - begun >= WINDOW:
            begun, count = now, 0
        self._counts[address] = (begun, count + 1)
        self._counts.move_to_end(address)
        if len(self._counts) > MAX_ADDRESSES:
            self._counts.popitem(last=False)
        if count >= self._each:
            return False
        start, total = self._all
        if now - start >= WINDOW:
            start, total = now, 0
        self._all = (start, total + 1)
        return total < self._everybody
