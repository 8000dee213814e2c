"""Lets Python's collector of cycles leave alone what stays for the whole run.

Eleven thousand tests and what they import are some millions of objects. None of them goes away, and
to look at them all takes longer each time than what most tests do. They are put aside once they are
there; what tests themselves make is collected as in a running node (``node.settled``).
"""

from __future__ import annotations

import gc
from collections.abc import Generator

import pytest

from node.settled import YOUNG_OBJECTS


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection() -> Generator[None, object, object]:
    """Collect no cycles while tests are being found."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.collect()
        gc.freeze()
        gc.set_threshold(YOUNG_OBJECTS, *gc.get_threshold()[1:])
        gc.enable()
