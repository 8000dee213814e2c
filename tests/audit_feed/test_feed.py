"""The audit feed against a real repository, rsyslog, over mutual TLS (issue 4, point 4)."""

from __future__ import annotations

import base64
import re
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from lxml import etree
from sqlalchemy import Engine

from node.audit_feed.feed import POSITION, AuditFeed
from node.audit_feed.position import Gap, Position, read_position
from node.errors import CodedError, NetworkFault, TheirFault
from node.ledger.export import pieces
from node.ledger.export_rendering import event_of
from node.ledger.filter import LedgerFilter
from node.ledger.find import newest
from node.ledger.ledger import ExchangeLedger
from node.ledger.private import LedgerKey
from node.model import PrivateFacts
from node.wire.atna import write_audit_messages
from node.wire.syslog import syslog_message
from tests.audit_feed.conftest import SENDER, Counted, repository_of
from tests.ledger.audit_world import SITE
from tests.ledger.records import private, record
from tests.ledger.test_audit_dicom import SCHEMA
from tests.ledger.test_find import written
from tests.rsyslog import Rsyslog

Make = Callable[..., tuple[AuditFeed, Counted]]
Servers = Callable[..., Rsyslog]


def numbers(messages: list[bytes]) -> list[int]:
    """The entries' numbers of messages, as they came; a gap's message is left out."""
    found = []
    for message in messages:
        root = ET.fromstring(message.split(b" - ", 1)[1])
        for each in root.iter("ParticipantObjectDetail"):
            if each.get("type") == "seq":
                found.append(int(base64.b64decode(each.get("value", ""))))
    return found


def gaps(messages: list[bytes]) -> list[tuple[int, int, int]]:
    found = []
    for message in messages:
        if b'csd-code="audit-gap"' in message:
            root = ET.fromstring(message.split(b" - ", 1)[1])
            held = {
                each.get("type"): int(base64.b64decode(each.get("value", "")))
                for each in root.iter("ParticipantObjectDetail")
                if each.get("type") != "part"
            }
            found.append((held["first-seq"], held["last-seq"], held["entries"]))
    return found


def drained(feed: AuditFeed) -> None:
    while feed.run():
        pass


def arrived(server: Rsyslog, count: int) -> list[int]:
    """The entries' numbers, each once, when there are so many; some were sent twice."""
    deadline = time.monotonic() + 20
    while len(found := set(numbers(server.messages()))) < count and time.monotonic() < deadline:
        time.sleep(0.05)
    return sorted(found)


async def test_every_entry_arrives_byte_for_byte_in_order_over_mutual_tls(
    rsyslog: Servers, feeding: Make, engine: Engine, ledger: ExchangeLedger, key: LedgerKey,
    tmp_path: Path,
) -> None:  # fmt: skip
    server = rsyslog()
    server.start()
    client = server.client()
    feed, counted = feeding(lambda: repository_of(server, client))
    feed.begin()
    await written(ledger, [record() for _ in range(300)])
    drained(feed)
    found = server.messages(300)
    expected = [
        syslog_message(SENDER, event.recorded, message)
        for piece in pieces(engine, LedgerFilter(), key, bound=newest(engine), private=True)
        for event in (event_of(entry, SITE) for entry in piece)
        for message in write_audit_messages(event)
    ]
    assert found == expected
    assert b"Canaryson" in found[0]
    header = rb"<85>1 2026-11-01T\S+Z gateway\.lake\.example tefca-node 77 IHE\+RFC-3881 - <Audit"
    for message in found:
        assert re.match(header, message)
        SCHEMA.assertValid(etree.fromstring(message.split(b" - ", 1)[1]))
    assert (counted.sent, counted.lags[-1]) == (300, 0)
    assert read_position(tmp_path / "audit" / POSITION) == Position(seq=299)


async def test_what_was_written_before_the_feed_began_is_not_sent_and_a_restart_goes_on(
    rsyslog: Servers, feeding: Make, ledger: ExchangeLedger
) -> None:
    server = rsyslog()
    server.start()
    client = server.client()
    await written(ledger, [record() for _ in range(5)])
    feed, _ = feeding(lambda: repository_of(server, client))
    feed.begin()
    await written(ledger, [record() for _ in range(5)])
    drained(feed)
    feed.end()
    await written(ledger, [record() for _ in range(5)])
    again, _ = feeding(lambda: repository_of(server, client))
    drained(again)
    assert numbers(server.messages(10)) == list(range(5, 15))


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
async def test_a_repository_that_goes_away_and_comes_back_has_every_entry(
    rsyslog: Servers, feeding: Make, ledger: ExchangeLedger, how: int
) -> None:
    """Also those that our kernel had taken when it went: they are sent again."""
    server = rsyslog()
    server.start()
    client = server.client()
    feed, counted = feeding(lambda: repository_of(server, client), confirm_seconds=1e9)
    feed.begin()
    await written(ledger, [record() for _ in range(200)])
    feed.run()  # sent, nothing confirmed
    assert counted.sent == 0
    server.stop(how)
    await written(ledger, [record() for _ in range(50)])
    for _ in range(3):
        with pytest.raises(NetworkFault) as caught:
            feed.run()
        assert caught.value.code in ("audit-unreachable", "audit-interrupted")
    assert feed.state.problem is not None
    assert feed.state.lag == 250
    server.start()
    drained(feed)
    feed.end()
    assert arrived(server, 250) == list(range(250))
    assert counted.sent == 250


async def test_a_repository_that_hangs_holds_up_the_feed_alone_and_gets_everything_later(
    rsyslog: Servers, feeding: Make, ledger: ExchangeLedger
) -> None:
    server = rsyslog()
    server.start()
    client = server.client()
    feed, counted = feeding(lambda: repository_of(server, client, seconds=1))
    feed.begin()
    server.send_signal(signal.SIGSTOP)
    await written(ledger, [record() for _ in range(5)])
    with pytest.raises(NetworkFault) as caught:
        feed.run()
    assert caught.value.code == "audit-unreachable"
    assert "no answer in time" in caught.value.sentence
    await written(ledger, [record() for _ in range(5)])  # the ledger does not wait for it
    server.send_signal(signal.SIGCONT)
    drained(feed)
    assert counted.sent == 10
    assert sorted(set(numbers(server.messages(10)))) == list(range(10))


async def test_stopped_again_and_again_while_it_is_fed_it_misses_nothing(
    rsyslog: Servers, feeding: Make, engine: Engine, ledger: ExchangeLedger
) -> None:
    server = rsyslog()
    server.start()
    client = server.client()
    feed, _ = feeding(lambda: repository_of(server, client))
    feed.begin()
    await written(ledger, [record() for _ in range(900)])
    over = threading.Event()

    def restarting() -> None:
        for _ in range(3):
            over.wait(0.2)
            server.stop()
            server.start()

    other = threading.Thread(target=restarting)
    other.start()
    failures = 0
    while other.is_alive():
        try:
            if not feed.run():
                await written(ledger, [record() for _ in range(50)])
        except CodedError:
            failures += 1
            over.wait(0.05)
    other.join()
    drained(feed)
    feed.end()
    server.stop()
    assert failures
    assert set(numbers(server.messages())) == set(range(newest(engine) + 1))


async def test_too_many_waiting_leaves_the_oldest_out_and_tells_which(
    rsyslog: Servers, feeding: Make, ledger: ExchangeLedger, tmp_path: Path
) -> None:
    server = rsyslog()
    client = server.client()
    feed, counted = feeding(lambda: repository_of(server, client), lag_entries=20)
    feed.begin()
    await written(ledger, [record() for _ in range(50)])
    with pytest.raises(NetworkFault):
        feed.run()
    assert counted.skipped == 30
    await written(ledger, [record() for _ in range(10)])
    with pytest.raises(NetworkFault):
        feed.run()
    assert counted.skipped == 40  # told once, as one gap
    assert feed.state.last_gap == Gap(first=0, last=39)
    held = read_position(tmp_path / "audit" / POSITION)
    assert held == Position(seq=39, gap=Gap(first=0, last=39), skipped=40, last_gap=held.last_gap)  # type: ignore[union-attr]
    feed.end()
    server.start()
    again, _ = feeding(lambda: repository_of(server, client), lag_entries=20)
    drained(again)
    again.end()
    found = server.messages(21)
    assert gaps(found) == [(0, 39, 40)]
    assert b"audit-gap" in found[0]  # before the entries that follow
    assert numbers(found) == list(range(40, 60))
    SCHEMA.assertValid(etree.fromstring(found[0].split(b" - ", 1)[1]))
    held = read_position(tmp_path / "audit" / POSITION)
    assert held == Position(seq=59, gap=None, skipped=40, last_gap=Gap(first=0, last=39))


async def test_a_server_with_a_certificate_of_another_ca_or_name_is_refused_and_gets_nothing(
    rsyslog: Servers, feeding: Make, ledger: ExchangeLedger
) -> None:
    server, other, misnamed = rsyslog(), rsyslog(), rsyslog(host="other.example")
    server.start()
    misnamed.start()
    client = server.client()
    await written(ledger, [record()])
    for target, ca in ((server, other.ca_file), (misnamed, misnamed.ca_file)):
        feed, _ = feeding(lambda target=target, ca=ca: repository_of(target, client, ca=ca))
        feed.begin()
        await written(ledger, [record()])
        with pytest.raises(TheirFault) as caught:
            feed.run()
        assert caught.value.code == "audit-server-refused"
        assert feed.state.problem is caught.value
        feed.end()
        assert target.messages() == []


@pytest.mark.parametrize("known", [True, False])
async def test_without_a_certificate_that_it_trusts_the_repository_takes_nothing(
    rsyslog: Servers, feeding: Make, ledger: ExchangeLedger, tmp_path: Path, known: bool
) -> None:
    server, other = rsyslog(), rsyslog()
    server.start()
    stranger = other.client() if known else None
    feed, counted = feeding(lambda: repository_of(server, stranger))
    feed.begin()
    await written(ledger, [record() for _ in range(3)])
    with pytest.raises(CodedError) as caught:
        for _ in range(3):
            feed.run()
    assert caught.value.code in ("audit-refused", "audit-interrupted")
    assert counted.sent == 0
    assert read_position(tmp_path / "audit" / POSITION) == Position(seq=-1)
    assert server.messages() == []


async def test_a_message_beyond_the_limit_goes_without_its_longest_parts_and_says_so(
    rsyslog: Servers, feeding: Make, ledger: ExchangeLedger
) -> None:
    server = rsyslog()
    server.start()
    client = server.client()
    feed, _ = feeding(lambda: repository_of(server, client), message_bytes=8192)
    feed.begin()
    facts = private()
    names = [{"family": f"Canaryson{n}"} for n in range(2000)]
    long = PrivateFacts(
        who=facts.who, patient=facts.patient, docs=facts.docs,
        query={"demographics": {"names": names}},
    )  # fmt: skip
    many = PrivateFacts(
        who=facts.who, query=facts.query, docs=facts.docs,
        patient={"ids": [f"{n}^^^&2.999.2.1&ISO" for n in range(500)]},
    )  # fmt: skip
    await written(ledger, [record(facts=long), record(facts=many), record()])
    drained(feed)
    messages = server.messages(3)
    assert all(len(message) < 8192 for message in messages)
    left_out = [re.search(rb'"left-out" value="([^"]*)"', message) for message in messages]
    assert left_out[0] is not None
    assert base64.b64decode(left_out[0].group(1)) == b"question"
    assert left_out[1] is None  # as the initiator, a discovery names no patient
    assert left_out[2] is None
    assert numbers(messages) == [0, 1, 2]


async def test_without_private_groups_no_message_names_anybody(
    rsyslog: Servers, feeding: Make, ledger: ExchangeLedger
) -> None:
    server = rsyslog()
    server.start()
    client = server.client()
    feed, _ = feeding(lambda: repository_of(server, client), private=False)
    feed.begin()
    await written(ledger, [record()])
    drained(feed)
    (message,) = server.messages(1)
    for canary in ("Canaryson", "CANARYMRN777", "canary.user"):
        assert canary.encode() not in message
        assert base64.b64encode(canary.encode())[:-4] not in message
