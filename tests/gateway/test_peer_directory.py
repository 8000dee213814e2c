"""What the gateway knows of peers is remembered, and forgotten as soon as the directory changes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import Engine

from directory.model import PinUse
from directory.store import DirectoryStore
from directory.tables import create_tables
from directory.view import DirectoryView
from node.model import HomeCommunityId
from node.peer_directory import PeerDirectory
from node.storage.engine import open_engine
from tests.bench import organizations

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
QHIN = organizations.organization(500)
BELOW = organizations.organization(501)
PEER = replace(
    BELOW,
    endpoints=tuple(
        replace(e, address=f"https://gateway501.example/{e.id}") for e in BELOW.endpoints
    ),
)
SPKI = "ab" * 32


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    made = open_engine(f"sqlite:///{tmp_path / 'directory.db'}")
    create_tables(made)
    yield made
    made.dispose()


@pytest.fixture
def store(engine: Engine) -> DirectoryStore:
    made = DirectoryStore(engine)
    made.import_rows(organizations.rows(10, QHIN, PEER), source="test", now=NOW)
    return made


@pytest.fixture
def view(store: DirectoryStore) -> DirectoryView:
    return DirectoryView(store)


@pytest.fixture
def peers(view: DirectoryView) -> PeerDirectory:
    return PeerDirectory(view, "2.999.1")


def entry(peers: PeerDirectory):
    found = peers.by_home_community_id(HomeCommunityId(organizations.hcid(501)))
    assert found is not None
    return found


def test_entry_and_trust_are_made_once(peers: PeerDirectory):
    one = entry(peers)
    assert entry(peers) is one
    assert peers.by_organization_id(PEER.id) == one
    trust = peers.organization_trust(one)
    assert peers.organization_trust(one) is trust
    assert trust.host_names == {"gateway501.example"}
    assert trust.manager_host_names == {"gateway500.example"}


def test_a_pin_and_a_suspension_are_seen_at_once(peers: PeerDirectory, store: DirectoryStore):
    one = entry(peers)
    assert not peers.organization_trust(one).pins
    store.local.pin(PEER.id, SPKI, PinUse.TLS, now=NOW)
    assert peers.organization_trust(entry(peers)).pins == {SPKI}
    assert peers.organization_trust(one).pins == {SPKI}  # also with an entry got before
    store.local.unpin(PEER.id, SPKI, PinUse.TLS)
    assert not peers.organization_trust(one).pins
    store.local.suspend(PEER.id, "broken", now=NOW)
    assert entry(peers).suspended
    assert peers.by_organization_id(PEER.id).suspended


def test_what_another_process_writes_is_seen_after_a_refresh(
    engine: Engine, peers: PeerDirectory, view: DirectoryView
):
    one = entry(peers)
    assert not peers.organization_trust(one).pins
    beside = DirectoryStore(engine)
    beside.local.pin(PEER.id, SPKI, PinUse.TLS, now=NOW)
    beside.local.suspend(PEER.id, "broken", now=NOW)
    assert view.refresh()
    assert peers.organization_trust(one).pins == {SPKI}
    assert entry(peers).suspended


def test_a_host_that_another_managers_entry_claims_becomes_contested(
    peers: PeerDirectory, store: DirectoryStore
):
    one = entry(peers)
    assert not peers.organization_trust(one).contested_host_names
    rows = [*organizations.rows(10, QHIN, PEER)]
    stranger = replace(
        PEER,
        id="2.999.60.1",
        home_community_ids=("urn:oid:2.999.60.1",),
        part_of=None,
        managing_organization=None,
        endpoints=tuple(replace(e, id=f"other-{e.id}") for e in PEER.endpoints),
    )
    rows.extend(organizations.rows_of(stranger))
    store.import_rows(iter(rows), source="test", now=NOW)
    assert peers.organization_trust(entry(peers)).contested_host_names == {"gateway501.example"}


def test_the_manager_of_many_entries_on_one_host_is_looked_up_once(
    peers: PeerDirectory, store: DirectoryStore, monkeypatch: pytest.MonkeyPatch
):
    hosted = [organizations.organization(number) for number in range(510, 540)]
    store.import_rows(organizations.rows(10, QHIN, *hosted), source="test", now=NOW)
    found = peers.by_organization_id(hosted[0].id)
    assert found is not None
    looked_up: list[str] = []
    by_id = DirectoryStore.by_id

    def watched(self: DirectoryStore, identity: str):
        looked_up.append(identity)
        return by_id(self, identity)

    monkeypatch.setattr(DirectoryStore, "by_id", watched)
    assert not peers.organization_trust(found).contested_host_names
    assert looked_up == [QHIN.id]


def test_what_is_kept_is_bounded(peers: PeerDirectory, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("node.peer_directory._MAX_KEPT", 3)
    for number in range(10):
        found = peers.by_organization_id(f"2.999.50.{number}")
        assert found is not None
        assert found.organization_id == f"2.999.50.{number}"
        assert len(peers._entries._made) <= 3
