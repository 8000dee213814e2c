"""Fixtures of the audit feed's tests: a log, and a feed to a repository."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import Engine

from node.audit_feed.connection import Repository
from node.audit_feed.feed import AuditFeed, Rules
from node.ledger.ledger import ExchangeLedger
from node.ledger.private import LedgerKey
from node.storage.engine import migrate, open_engine
from node.wire.syslog import Sender
from tests.ledger.audit_world import SITE
from tests.rsyslog import Rsyslog
from trust.certificates import load_certificates
from trust.tls import TlsIdentity, client_context

SENDER = Sender(host="gateway.lake.example", app="tefca-node", process="77")


@dataclass(slots=True)
class Counted:
    """What a feed counted."""

    sent: int = 0
    skipped: int = 0
    lags: list[int] = field(default_factory=list)

    def audit_sent(self, entries: int) -> None:
        self.sent += entries

    def audit_lag(self, entries: int) -> None:
        self.lags.append(entries)

    def audit_skipped(self, entries: int) -> None:
        self.skipped += entries


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    made = open_engine(f"sqlite:///{tmp_path / 'node.db'}")
    migrate(made)
    yield made
    made.dispose()


@pytest.fixture
def key() -> LedgerKey:
    return LedgerKey(os.urandom(32))


@pytest.fixture
def ledger(engine: Engine, key: LedgerKey) -> Iterator[ExchangeLedger]:
    opened = ExchangeLedger(engine, key)
    yield opened
    opened.close()


def repository_of(
    server: Rsyslog, identity: TlsIdentity | None, *, ca: Path | None = None, seconds: float = 5
) -> Repository:
    context = client_context(identity, load_certificates(ca or server.ca_file))
    context.set_alpn_protocols([])
    return Repository(host="localhost", port=server.port, context=context, seconds=seconds)


@pytest.fixture
def feeding(
    tmp_path: Path, engine: Engine, key: LedgerKey
) -> Iterator[Callable[..., tuple[AuditFeed, Counted]]]:
    """Makes feeds over one log and one position."""
    feeds: list[AuditFeed] = []

    def make(repository: Callable[[], Repository], **rules: object) -> tuple[AuditFeed, Counted]:
        counted = Counted()
        given = {"private": True, "lag_entries": 10_000, "message_bytes": 65_536}
        feed = AuditFeed(
            tmp_path / "audit", engine, key, site=SITE, repository=repository,
            rules=Rules(**{**given, "confirm_seconds": 0.0, **rules}),  # type: ignore[arg-type]
            counts=counted, now=lambda: datetime.now(UTC), sender=SENDER,
        )  # fmt: skip
        feeds.append(feed)
        return feed, counted

    yield make
    for feed in feeds:
        feed.end()
