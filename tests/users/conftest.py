"""Users over a real database, a clock that the test sets, and quick hashing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from argon2 import PasswordHasher

from node.ledger.private import LedgerKey
from node.storage.engine import migrate, open_engine
from node.users.sessions import Sessions
from node.users.store import Users

PASSWORD = "correct horse battery"


@dataclass
class Clock:
    at: datetime = field(default_factory=lambda: datetime(2026, 11, 27, 9, 0, tzinfo=UTC))

    def __call__(self) -> datetime:
        return self.at

    def pass_by(self, **span: float) -> None:
        self.at += timedelta(**span)


@dataclass
class World:
    clock: Clock
    users: Users
    sessions: Sessions


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    engine = open_engine(f"sqlite:///{tmp_path / 'node.db'}")
    migrate(engine)
    clock = Clock()
    quick = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    users = Users(engine, LedgerKey(bytes(32)), clock, hasher=quick)
    yield World(clock=clock, users=users, sessions=Sessions(engine, users, clock))
    engine.dispose()
