"""The order of the suite: files that start nodes, browsers or long chains of commands come first.

Workers take whole files. What takes a minute and comes last leaves the other workers idle.
"""

from __future__ import annotations

import pytest

_FIRST = (
    "e2e/test_demo.py",
    "docs/",
    "bench/",
    "e2e/",
    "browser.py",
    "audit_feed/",
)


def _rank(item: pytest.Item) -> int:
    path = item.nodeid.partition("::")[0]
    return next((rank for rank, part in enumerate(_FIRST) if part in path), len(_FIRST))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the long ones first; a stable order otherwise."""
    items.sort(key=_rank)
