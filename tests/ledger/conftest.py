"""Fixtures of the ledger's tests."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from sqlalchemy import Engine

from node.ledger.ledger import ExchangeLedger
from node.ledger.private import LedgerKey


@pytest.fixture
def key() -> LedgerKey:
    return LedgerKey(os.urandom(32))


@pytest.fixture
def ledger(store: Engine, key: LedgerKey) -> Iterator[ExchangeLedger]:
    opened = ExchangeLedger(store, key)
    yield opened
    opened.close()
