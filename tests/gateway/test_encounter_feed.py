"""The feed of a node home: a message over a real socket becomes a relationship, with its answer."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import pytest
import structlog

from node.encounter_feed import FeedTaker, encounters_of, feeding
from node.errors import OurFault, SettingsError
from node.governance.access.patient_marks import AskedPatient
from node.ledger.find import LedgerFilter, find
from node.ledger.private import load_key
from node.live_identities import LiveIdentities
from node.live_trust import LiveTrust
from node.model import PatientId
from node.opened import OpenedHome, opened_home
from node.settings import NodeHome, load_settings
from node.setup import NewNode, issue_all, issue_client, make_home
from trust.ca import create_ca
from trust.certificates import Bundle
from trust.keys import KeyKind

JANE = PatientId(assigning_authority="2.999.71.1", id="MRN-1")
A01 = (
    "MSH|^~\\&|EHR|LAKE|N|L|20261127100000||ADT^A01|C-1|P|2.5\r"
    "EVN|A01|20261127100000\rPID|1||MRN-1^^^LAKE||Canaryson^Jane||19610302|F\r"
    "PV1|1|I|ICU||||77^Ito" + "|" * 12 + "V-1\r"
)


def home_with(folder: Path, encounters: str) -> NodeHome:
    home = NodeHome(folder / "home")
    node = NewNode(name="Lake Hospital", home_community_id="urn:oid:2.999.71",
                   organization_id="2.999.71", initiates=("T-TRTMNT",))  # fmt: skip
    make_home(home, node, now=datetime.now(UTC))
    text = home.settings_file.read_text(encoding="utf-8")
    text += f'\n[encounters]\nauthorities = {{ LAKE = "2.999.71.1" }}\n{encounters}\n'
    home.settings_file.write_text(text, encoding="utf-8")
    return home


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenedHome]:
    home = home_with(tmp_path_factory.mktemp("feed"), 'host = "127.0.0.1"\nport = 0')
    with opened_home(home, load_settings(home)) as made:
        yield made


def send(address: str, *messages: str, tls: ssl.SSLContext | None = None) -> list[str]:
    host, _, port = address.rpartition(":")
    with ExitStack() as stack:
        sender = stack.enter_context(socket.create_connection((host, int(port)), timeout=20))
        if tls:
            sender = stack.enter_context(tls.wrap_socket(sender, server_hostname="localhost"))
        return [answered(sender, message) for message in messages]


def answered(sender: socket.socket, message: str) -> str:
    sender.sendall(b"\x0b" + message.encode() + b"\x1c\r")
    answer = b""
    while not answer.endswith(b"\x1c\r"):
        if not (more := sender.recv(4096)):
            raise ConnectionResetError("no answer")
        answer += more
    return answer.decode()


async def test_a_message_is_stored_and_in_the_log_before_it_is_answered(opened: OpenedHome) -> None:
    identities = LiveIdentities(opened.home)
    trust = LiveTrust(opened.home, opened.clock.now)
    async with feeding(opened, identities, trust) as address:
        assert address is not None
        with structlog.testing.capture_logs() as logs:
            answers = await asyncio.to_thread(
                send, address, A01, "no message", A01.replace("A01", "A28"),
                A01.replace("MRN-1^^^LAKE", ""), A01.replace("C-1", "C-9").replace("A01", "A03"),
            )  # fmt: skip
    said = [next(p for p in each.split("\r") if p.startswith("MSA")) for each in answers]
    assert said == ["MSA|AA|C-1", "MSA|AR|", "MSA|AA|C-1", "MSA|AE|C-1", "MSA|AA|C-9"]
    (known,) = encounters_of(opened).of(AskedPatient(identifiers=(JANE,)))
    assert known.state == "ended"
    assert known.departments == ("ICU",)
    assert [each["code"] for each in logs] == ["hl7-unreadable", "adt-no-patient"]
    assert "Canaryson" not in str(logs) + str(answers)
    key = load_key(opened.home.path)
    entries = find(opened.engine, LedgerFilter(kind="admin"), key=key, limit=5).entries
    assert {each.fields["act"] for each in entries} == {"encounters-import"}
    assert len(entries) == 5


async def test_without_a_host_nothing_listens(tmp_path: Path) -> None:
    home = home_with(tmp_path, "")
    with opened_home(home, load_settings(home)) as made:
        trust = LiveTrust(home, made.clock.now)
        async with feeding(made, LiveIdentities(home), trust) as address:
            assert address is None


async def test_an_address_that_others_reach_needs_tls_or_a_word(tmp_path: Path) -> None:
    home = home_with(tmp_path, 'host = "0.0.0.0"\nport = 0')
    with opened_home(home, load_settings(home)) as made, pytest.raises(SettingsError) as caught:
        async with feeding(made, LiveIdentities(home), LiveTrust(home, made.clock.now)):
            pass
    assert "encounters.allow_plain" in caught.value.sentence


async def test_by_tls_only_local_clients_are_listened_to(tmp_path: Path) -> None:
    home = home_with(tmp_path, 'host = "127.0.0.1"\nport = 0\ntls = true')
    settings, now = load_settings(home), datetime.now(UTC)
    own = create_ca("Development", now=now)
    issue_all(home, settings, own, now=now, kind=KeyKind.P_256)
    files = issue_client(home, "ehr", tmp_path, now=now)
    (tmp_path / "ca.pem").write_bytes(Bundle(leaf=own.certificate).pem())

    def context(*, known: bool) -> ssl.SSLContext:
        made = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
        if known:
            made.load_cert_chain(files.certificate, files.key)
        return made

    with opened_home(home, settings) as made:
        trust = LiveTrust(home, made.clock.now)
        async with feeding(made, LiveIdentities(home), trust) as address:
            assert address is not None
            (answer,) = await asyncio.to_thread(send, address, A01, tls=context(known=True))
            assert "MSA|AA|C-1" in answer
            with pytest.raises(OSError):
                await asyncio.to_thread(send, address, A01, tls=context(known=False))
            with pytest.raises(OSError):
                await asyncio.to_thread(send, address, A01)


async def test_what_our_side_cannot_store_may_be_sent_again(
    opened: OpenedHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    taker = FeedTaker(opened)

    def broken(*_args, **_more) -> None:
        raise OurFault("ledger-leaf-invalid", "The log cannot be written.")

    monkeypatch.setattr("node.governance.access.encounters.write_fact", broken)
    with structlog.testing.capture_logs() as logs:
        answer = taker.take(A01.encode()).decode()
    assert "MSA|AR|C-1" in answer
    assert "ERR|||207|" in answer
    assert [each["event"] for each in logs] == ["encounters.not-taken"]
