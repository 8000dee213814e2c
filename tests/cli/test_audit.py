"""``audit test`` and ``audit status``, and the feed of a running node, against rsyslog."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from ended import HCID, Cli

from node.auditing import audit_check, auditing
from node.ledger.entry_source import write_heartbeat
from node.ledger.private import load_key
from node.opened import OpenedHome, opened_home
from node.ops.health import Status
from node.ops.metrics import Metrics
from node.settings import NodeHome, load_settings
from tests.rsyslog import Rsyslog


@pytest.fixture
def repository(
    rsyslog: Callable[..., Rsyslog], home: NodeHome, authority: Path
) -> Callable[..., Rsyslog]:
    """A repository that trusts the node's CA, named in the node's settings."""

    def make(**audit: object) -> Rsyslog:
        server = rsyslog()
        server.clients.write_bytes((authority / "ca.pem").read_bytes())
        rows = {"host": '"localhost"', "port": server.port, "ca_file": f'"{server.ca_file}"'}
        text = "".join(f"{name} = {value}\n" for name, value in (rows | audit).items())
        with home.settings_file.open("a") as file:
            file.write(f"\n[audit]\n{text}")
        return server

    return make


def beat(opened: OpenedHome, count: int) -> None:
    key = load_key(opened.home.path)
    for _ in range(count):
        write_heartbeat(opened.engine, key, own=HCID, now=datetime.now(UTC))


def test_audit_test_sends_one_marked_message_and_says_what_happened(
    cli: Cli, repository: Callable[..., Rsyslog]
) -> None:
    server = repository()
    ended = cli("audit", "test")
    assert ended.code != 0
    assert "audit-unreachable" in ended.err
    server.start()
    ended = cli("audit", "test", "--json")
    assert ended.code == 0, ended.err
    assert ended.json["tls"] == "TLSv1.3"
    (message,) = server.messages(1)
    assert b'csd-code="audit-test"' in message
    assert b"TEST." in message
    assert str(ended.json["id"]).encode() in message
    assert "took the test message" in cli("audit", "test").out
    server.messages(2)
    assert cli("audit", "status", "--json").json["sent_seq"] is None


def test_audit_test_tells_a_wrong_server_and_a_refusal_apart(
    cli: Cli, repository: Callable[..., Rsyslog], rsyslog: Callable[..., Rsyslog]
) -> None:
    server = repository()
    server.start()
    other = rsyslog()
    server.ca_file.write_bytes(other.ca_file.read_bytes())
    ended = cli("audit", "test")
    assert ended.code != 0
    assert "audit-server-refused" in ended.err
    assert server.messages() == []


@pytest.mark.parametrize("rows", ["", '[audit]\nhost = "x"\n'])
def test_without_a_whole_section_the_error_names_the_settings(
    cli: Cli, home: NodeHome, rows: str
) -> None:
    with home.settings_file.open("a") as file:
        file.write(f"\n{rows}")
    ended = cli("audit", "test")
    assert ended.code != 0
    assert "audit-not-configured" in ended.err
    assert "audit.ca_file" in ended.err


async def test_a_running_node_feeds_it_and_tells_metrics_and_doctor(
    cli: Cli, home: NodeHome, repository: Callable[..., Rsyslog]
) -> None:
    server = repository(lag_entries=20)
    settings, metrics = load_settings(home), Metrics()
    with opened_home(home, settings) as opened:
        async with auditing(opened, metrics) as feed:
            assert feed is not None
            check = audit_check(feed)

            async def until(status: Status, words: str) -> str:
                for _ in range(300):
                    found = await check()
                    if found.status is status and words in found.sentence:
                        return found.sentence
                    await asyncio.sleep(0.05)
                raise AssertionError(found)

            beat(opened, 5)
            await until(Status.WARN, "cannot be reached")
            beat(opened, 40)
            await until(Status.WARN, "25 entries were left out since the start, last 0 to 24")
            server.start()
            await until(Status.WARN, "is fed; 0 entries wait")
            beat(opened, 3)
        text = metrics.text().decode()
    assert "tefca_audit_entries_sent_total 23.0" in text
    assert "tefca_audit_entries_left_out_total 25.0" in text
    assert "tefca_audit_lag_entries" in text
    assert 'tefca_audit_failures_total{code="audit-unreachable"}' in text
    messages = server.messages(24)
    assert len(messages) == 24
    assert b'csd-code="audit-gap"' in messages[0]
    assert all(b'csd-code="heartbeat"' in message for message in messages[1:])
    status = cli("audit", "status", "--json").json
    assert status == {
        "host": "localhost", "sent_seq": 47, "newest_seq": 47, "waiting": 0, "left_out": 25,
        "last_gap": {"first_seq": 0, "last_seq": 24}, "untold_gap": None,
    }  # fmt: skip
    assert "25 entries were left out, last 0 to 24" in cli("audit", "status").out


async def test_without_a_repository_there_is_no_feed(home: NodeHome) -> None:
    with opened_home(home, load_settings(home)) as opened:
        async with auditing(opened, Metrics()) as feed:
            assert feed is None
    assert not (home.path / "audit").exists()
