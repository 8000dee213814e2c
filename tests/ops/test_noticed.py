"""A running node writes down what it takes over or refuses of our trust (facts: pki A2)."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import Engine

from node.identity import Role, identity_files
from node.identity_store import changing, make_live, note
from node.ledger.private import LedgerKey
from node.ledger.trust_change import Step, TrustChange
from node.ledger.trust_known import Known, known
from node.ledger.trust_log import NODE, TrustLog
from node.live_identities import LiveIdentities
from node.live_trust import LiveTrust
from node.noticed import MOST, Noticed
from node.renewal import keep
from node.settings import NodeHome, load_settings
from node.setup import NewNode, issue_all, load_ca, make_ca, make_home, profile_of
from tests.trust_recorder import Recorded
from trust.anchors import add_anchor, remove_anchor
from trust.ca import CertificateAuthority, issue
from trust.certificates import Bundle, fingerprint
from trust.csr import RequestedNames, build_csr
from trust.keys import KeyKind, generate_key
from trust.lifecycle import Verb


def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
def authority(tmp_path: Path) -> CertificateAuthority:
    make_ca(tmp_path / "ca", "ca", "Test CA", now=now())
    return load_ca(tmp_path / "ca", "ca")


@pytest.fixture
def home(tmp_path: Path, authority: CertificateAuthority) -> NodeHome:
    made = NodeHome(tmp_path / "home")
    node = NewNode(name="Lake", home_community_id="urn:oid:2.999.71", organization_id="2.999.71")
    make_home(made, node, now=now())
    issue_all(made, load_settings(made), authority, now=now(), kind=KeyKind.P_256)
    return made


class Running:
    """The parts of a running node that follow files."""

    def __init__(self, home: NodeHome) -> None:
        self.recorder = Recorded()
        self.noticed = Noticed(home, self.recorder, now)
        self.identities = LiveIdentities(home)
        self.identities.hold(Role.SERVER, lambda: lambda: None)
        self.trust = LiveTrust(home, now, changed=self.noticed.anchors)

    async def follow(self) -> list[str]:
        """What was written down meanwhile."""
        self.recorder.entries.clear()
        await self.noticed.follow(self.identities, self.trust)
        assert all(step is Step.DONE for step, _ in self.recorder.entries)
        return [change.act for _, change in self.recorder.entries]


def switch_server(home: NodeHome, authority: CertificateAuthority) -> str:
    """Another server identity in use; the name of its key."""
    key = generate_key(KeyKind.P_256)
    request = build_csr(
        key, RequestedNames(common_name="Lake", dns_names=("localhost",)), usages=Role.SERVER.usages
    )
    certificate = issue(authority, request, profile=profile_of(Role.SERVER), now=now())
    with changing(home, Role.SERVER, now=now()):
        record = keep(
            home, load_settings(home), Role.SERVER, Bundle(leaf=certificate), key, now=now()
        )
        note(home, Role.SERVER, record.after(Verb.VERIFY, now=now()), now=now())
        make_live(home, Role.SERVER, record.version, now=now())
    return str(record.spki_sha256)


async def test_an_identity_that_was_switched_is_taken_with_an_entry(
    home: NodeHome, authority: CertificateAuthority
) -> None:
    running = Running(home)
    assert await running.follow() == []
    spki = switch_server(home, authority)
    assert await running.follow() == ["identity-take"]
    ((_, change),) = running.recorder.entries
    assert (change.role, change.version, change.key) == ("server", 2, spki)
    assert await running.follow() == []


async def test_an_identity_that_cannot_be_used_is_refused_with_one_entry(home: NodeHome) -> None:
    running = Running(home)

    def refuse() -> object:
        raise PermissionError(13, "no")

    running.identities.hold(Role.SERVER, refuse)  # type: ignore[arg-type]
    files = identity_files(home, Role.SERVER)
    files.certificate.write_bytes(files.certificate.read_bytes() + b"\n")
    assert await running.follow() == ["identity-refuse"]
    assert await running.follow() == []


async def test_anchors_changed_without_a_command_have_entries(
    home: NodeHome, tmp_path: Path
) -> None:
    running = Running(home)
    other = make_ca(tmp_path / "other", "ca", "Other CA", now=now()).certificate
    anchor = add_anchor(home.anchors, other, label="Other", network="valley", now=now())
    assert await running.follow() == ["anchor-take"]
    assert running.recorder.entries[0][1].thing == anchor.fingerprint
    remove_anchor(home.anchors, anchor.fingerprint)
    assert await running.follow() == ["anchor-drop"]


async def test_what_the_log_cannot_take_is_kept_in_order_and_written_later(
    home: NodeHome, authority: CertificateAuthority, tmp_path: Path
) -> None:
    running = Running(home)
    running.recorder.works = False
    other = make_ca(tmp_path / "other", "ca", "Other CA", now=now()).certificate
    anchor = add_anchor(home.anchors, other, label="Other", network="valley", now=now())
    assert await running.follow() == []
    remove_anchor(home.anchors, anchor.fingerprint)
    switch_server(home, authority)
    assert await running.follow() == []
    running.recorder.works = True
    assert await running.follow() == ["anchor-take", "anchor-drop", "identity-take"]


async def test_law_7_what_is_kept_is_bounded(home: NodeHome, tmp_path: Path) -> None:
    running = Running(home)
    running.recorder.works = False
    other = make_ca(tmp_path / "other", "ca", "Other CA", now=now()).certificate
    anchor = add_anchor(home.anchors, other, label="Other", network="valley", now=now())
    await running.follow()
    for _ in range(MOST):
        running.noticed._note([running.noticed._waiting[0]])
    running.recorder.works = True
    assert len(await running.follow()) == MOST
    assert running.recorder.entries[0][1].thing == anchor.fingerprint


# --- what was changed while no node ran ---------------------------------------------------------


def said_by(log: TrustLog, store: Engine, running: Running) -> Known:
    """The log's knowledge once it has the entries that a running node wrote."""
    for _, change in running.recorder.entries:
        log.fact(change)
    return known(store)


async def test_a_start_tells_what_the_log_was_never_told(
    home: NodeHome, authority: CertificateAuthority, store: Engine, tmp_path: Path
) -> None:
    log = TrustLog(
        store, lambda: LedgerKey(bytes(32)), own="urn:oid:2.999.71", author=NODE, now=now
    )
    first = Running(home)
    await first.noticed.begin(known(store), first.trust)
    assert [change.act for _, change in first.recorder.entries] == [
        *["anchor-take"] * 2, *["identity-take"] * 3,
    ]  # fmt: skip
    said = said_by(log, store, first)
    assert said.anchors == {a.fingerprint for a in first.trust.view.anchors} | {
        fingerprint(client) for client in first.trust.view.clients
    }

    again = Running(home)
    await again.noticed.begin(said, again.trust)
    assert again.recorder.entries == []

    # somebody edits the folders while no node runs
    (anchor,) = again.trust.view.anchors
    remove_anchor(home.anchors, anchor.fingerprint)
    other = make_ca(tmp_path / "other", "ca", "Other CA", now=now()).certificate
    added = add_anchor(home.anchors, other, label="Other", network="valley", now=now())
    spki = switch_server(home, authority)
    third = Running(home)
    await third.noticed.begin(said, third.trust)
    met = [(change.act, change.thing or change.key) for _, change in third.recorder.entries[:2]]
    assert met == [("anchor-drop", anchor.fingerprint), ("anchor-take", added.fingerprint)]
    (switched,) = [change for _, change in third.recorder.entries[2:]]
    assert (switched.act, switched.role, switched.key) == ("identity-take", "server", spki)
    last = said_by(log, store, third)
    assert (added.fingerprint in last.anchors, anchor.fingerprint in last.anchors) == (True, False)
    assert last.keys["server"] == spki


def test_a_change_that_failed_is_not_known(store: Engine) -> None:
    log = TrustLog(
        store, lambda: LedgerKey(bytes(32)), own="urn:oid:2.999.71", author=NODE, now=now
    )
    with log.change(TrustChange(act="anchor-add", thing="ab" * 32)) as made:
        made.refuse("anchor-exists")
    assert known(store) == Known(anchors=frozenset(), keys={})
