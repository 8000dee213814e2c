"""How long legs took, in buckets: what p50 and p95 are read from. Pure.

The borders grow by a tenth: 0, 1, 2 … 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 22, 24 … in whole
milliseconds. A bucket holds what took from its border up to, and without, the next one, and counts
as its middle: a percentile is off by at most ``ERROR`` of the true one (under 20 ms by nothing).
The last bucket, from about an hour on, counts as its border.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from itertools import pairwise
from typing import Final

ERROR: Final = 0.05
"""Of the true value: half of a border's growth."""

_LONGEST: Final = 3_600_000


def _made() -> tuple[int, ...]:
    borders = [0]
    while borders[-1] < _LONGEST:
        borders.append(max(borders[-1] + 1, borders[-1] * 11 // 10))
    return tuple(borders)


BORDERS: Final = _made()
"""The lower border of each bucket, in milliseconds; changing them asks for a rebuild."""

_MIDDLES: Final = (*((low + high - 1) // 2 for low, high in pairwise(BORDERS)), BORDERS[-1])


def bucket_of(milliseconds: int) -> int:
    """The number of the bucket that a duration falls into."""
    return bisect_right(BORDERS, max(milliseconds, 0)) - 1


def percentile(counts: Mapping[int, int], share: float) -> int | None:
    """The duration (ms) that a share of the counted ones does not exceed; ``None`` of nothing.

    Args:
        counts: how many fell into each bucket.
        share: such as 0.95; the nearest rank counts.
    """
    whole = sum(counts.values())
    if not whole:
        return None
    rank = max(-(-whole * round(share * 1000) // 1000), 1)
    reached = 0
    for bucket in sorted(counts):
        reached += counts[bucket]
        if reached >= rank:
            return _MIDDLES[bucket]
    return _MIDDLES[max(counts)]
