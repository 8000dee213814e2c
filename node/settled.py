"""A process that has started: what the start made stays out of the garbage collector's rounds."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

YOUNG_OBJECTS: Final = 7000
"""Objects made, less those gone, between two rounds over young ones."""


@contextmanager
def settled() -> Iterator[None]:
    """Keep what the start made out of the garbage collector's rounds.

    Modules, settings and indexes stay as long as the node serves, and every full round over them
    would hold up all requests for a quarter of a second. Rounds over young objects come ten times
    less often than by default: nearly all that a request makes dies without the collector.
    """
    before = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()
