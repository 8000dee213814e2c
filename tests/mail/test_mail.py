"""Notices by mail against a real SMTP server: what they say, and that none is lost or leaked."""

from __future__ import annotations

import email
import email.policy
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import structlog
from sqlalchemy import select, update

from node.errors import SettingsError
from node.governance.access.break_glass import Breaking
from node.governance.access.grants import Grant
from node.governance.access.patient_marks import AskedPatient
from node.governance.cases import Cases
from node.ledger.private import load_key
from node.ledger.trust_change import Author
from node.letting_in import break_glass_of
from node.mail.outbox import LEASE, MOST_WAITING, Outbox, Pauses, State
from node.mail.tables import MAIL
from node.mailing import Mailer, glass_notices, mail_check, mailing
from node.opened import OpenedHome, opened_home
from node.ops.health import Finding, Status
from node.settings import NodeHome, load_settings
from node.setup import NewNode, make_home
from node.users.store import Users
from tests.access_world import JANE, OWN, person
from tests.ledger.records import new_id
from tests.smtp_server import PASSWORD, SmtpServer

CASE = "2026-0007"
NOW_PAUSES = Pauses(first=timedelta(0), longest=timedelta(0))
RECIPIENT = "privacy@lake.example"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmtpServer]:
    made = SmtpServer(tmp_path_factory.mktemp("smtp") / "server")
    made.start()
    yield made
    made.stop()


@dataclass
class Node:
    """A node whose notices go to a server, and what its log said."""

    opened: OpenedHome
    said: list[dict] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.mailer = Mailer(self.opened, pauses=NOW_PAUSES)
        self.outbox = Outbox(self.opened.engine)

    def break_glass(self, login: str = "ida", case: str = CASE) -> datetime:
        now = datetime.now(UTC)
        glass_notices(self.opened)(login, case, now)
        return now

    def run(self) -> list[dict]:
        with structlog.testing.capture_logs() as logs:
            self.mailer.run()
        return [each for each in logs if str(each["event"]).startswith("mail.")]

    async def check(self) -> Finding:
        return await mail_check(self.opened)()


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A node home with a clinician, whose name tries to be a header."""
    home = NodeHome(tmp_path_factory.mktemp("mail") / "home")
    new = NewNode(name="Lake Hospital", home_community_id="urn:oid:2.999.71",
                  organization_id="2.999.71", initiates=("T-TRTMNT",))  # fmt: skip
    make_home(home, new, now=datetime.now(UTC))
    (home.path / "mail-password").write_text(PASSWORD + "\n")
    with opened_home(home, load_settings(home)) as opened:
        users = Users(opened.engine, load_key(home.path), opened.clock.now)
        name = "Ida Sample\r\nBcc: x@y.example"
        users.add("ida", name, ("clinician",), "many words nobody knows")
    return home.path


def configured(template: Path, path: Path, server: SmtpServer, **mail: object) -> NodeHome:
    """A home of its own with a ``[mail]`` section."""
    home = NodeHome(shutil.copytree(template, path))
    rows = {
        "host": "localhost", "port": server.port, "security": server.security,
        "ca_file": str(server.ca_file), "user": "node", "password_file": "mail-password",
        "sender": "node@lake.example", "console_url": "https://console.lake.example",
        "break_glass": [RECIPIENT], "seconds": 5,
    } | mail  # fmt: skip
    text = "".join(f"{name} = {json.dumps(value)}\n" for name, value in rows.items())
    with home.settings_file.open("a") as file:
        file.write(f"\n[mail]\n{text}")
    return home


@pytest.fixture
def node(template: Path, tmp_path: Path) -> Iterator[Callable[..., Node]]:
    with ExitStack() as stack:

        def make(server: SmtpServer, recipients: tuple[str, ...] = (RECIPIENT,), **mail) -> Node:
            home = configured(
                template, tmp_path / "home", server, break_glass=list(recipients), **mail
            )
            return Node(stack.enter_context(opened_home(home, load_settings(home))))

        yield make


async def test_word_of_broken_glass_says_who_when_which_case_and_nothing_else(server, node) -> None:
    lake = node(server, (RECIPIENT, "second@lake.example"))
    at = lake.break_glass()
    assert [each["event"] for each in lake.run()] == ["mail.sent", "mail.sent"]
    first, second = server.taken()[-2:]
    assert (first.recipients, second.recipients) == ([RECIPIENT], ["second@lake.example"])
    message = email.message_from_bytes(first.data, policy=email.policy.default)
    assert message["Subject"] == f"Broken glass: case {CASE}"
    assert (message["From"], message["To"]) == ("node@lake.example", RECIPIENT)
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["Bcc"] is None
    body = message.get_content()
    assert "Ida Sample  Bcc: x@y.example (ida) broke the glass at" in body
    assert f"{at:%Y-%m-%d %H:%M} UTC" in body
    assert f"https://console.lake.example/cases/{CASE}" in body
    assert first.user == b"node"
    assert first.tls
    found = await lake.check()
    assert (found.status, "waiting to be sent: 0." in found.sentence) == (Status.OK, True)
    assert lake.run() == []  # each once


async def test_a_server_that_is_down_gets_the_notice_when_it_is_up_also_after_a_restart(
    server, node
) -> None:
    lake, before = node(server), len(server.taken())
    server.stop()
    try:
        lake.break_glass()
        for _ in range(3):
            (said,) = lake.run()
            assert (said["code"], said["state"]) == ("mail-unreachable", "waiting")
        found = await lake.check()
        assert found.status is Status.WARN
        assert "waiting to be sent: 1." in found.sentence
        assert f"case {CASE}, address 1 of mail.break_glass, mail-unreachable" in found.sentence
    finally:
        server.start()
    again = Mailer(lake.opened, pauses=NOW_PAUSES)  # of another process
    again.run()
    assert len(server.taken()) == before + 1
    assert (await lake.check()).status is Status.OK


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_a_server_that_is_not_believed_is_told_nothing(tmp_path, node, security) -> None:
    theirs = SmtpServer(tmp_path / "theirs", security=security)
    other = SmtpServer(tmp_path / "other")
    theirs.start()
    try:
        lake = node(theirs, ca_file=str(other.ca_file))
        lake.break_glass()
        (said,) = lake.run()
        assert (said["code"], said["level"] if "level" in said else said["log_level"]) == (
            "mail-server-refused", "warning",
        )  # fmt: skip
        assert theirs.taken() == []
        assert theirs.signed_in == []
    finally:
        theirs.stop()


def test_a_certificate_of_another_name_is_not_believed(tmp_path, node) -> None:
    theirs = SmtpServer(tmp_path / "theirs", host="elsewhere.example")
    theirs.start()
    try:
        lake = node(theirs)
        lake.break_glass()
        (said,) = lake.run()
        assert said["code"] == "mail-server-refused"
        assert theirs.signed_in == []
    finally:
        theirs.stop()


def test_a_server_without_starttls_gets_neither_password_nor_notice(tmp_path, node) -> None:
    theirs = SmtpServer(tmp_path / "theirs", security="none")
    theirs.start()
    try:
        lake = node(theirs, security="starttls")
        lake.break_glass()
        (said,) = lake.run()
        assert said["code"] == "mail-without-tls"
        assert (theirs.taken(), theirs.signed_in) == ([], [])
    finally:
        theirs.stop()


async def test_a_refused_address_is_not_asked_again_and_holds_up_no_other(server, node) -> None:
    lake, before = node(server, ("refused@lake.example", RECIPIENT)), len(server.taken())
    lake.break_glass()
    refused, sent = lake.run()
    assert (refused["code"], refused["detail"]) == ("mail-recipient-refused", "SMTP 550")
    assert (refused["state"], refused["where"]) == ("refused", f"case {CASE}")
    assert sent["event"] == "mail.sent"
    assert [each.recipients for each in server.taken()[before:]] == [[RECIPIENT]]
    assert lake.run() == []
    found = await lake.check()
    assert found.status is Status.WARN
    assert "address 1 of mail.break_glass, mail-recipient-refused (SMTP 550)" in found.sentence
    assert "refused@" not in found.sentence
    assert found.advice


def test_an_address_that_is_put_off_is_asked_again(server, node) -> None:
    lake, before = node(server, ("later@lake.example",)), len(server.taken())
    lake.break_glass()
    (said,) = lake.run()
    assert (said["code"], said["state"]) == ("mail-put-off", "waiting")
    assert lake.run()[0]["event"] == "mail.sent"
    assert len(server.taken()) == before + 1


def test_a_wrong_password_is_tried_again_and_stands_in_no_log(server, node) -> None:
    lake = node(server)
    (lake.opened.home.path / "mail-password").write_text("Wrongpass-canary")
    lake.break_glass()
    (said,) = lake.run()
    assert (said["code"], said["detail"]) == ("mail-not-admitted", "SMTP 535")
    assert "canary" not in repr(said)
    (lake.opened.home.path / "mail-password").write_text(PASSWORD)  # read anew each time
    assert lake.run()[0]["event"] == "mail.sent"


def test_pauses_grow_and_a_notice_that_never_arrives_is_given_up(server, node) -> None:
    pauses = Pauses()
    assert [pauses.after(n).total_seconds() for n in (1, 2, 3, 9, 99)] == [15, 30, 60, 3600, 3600]
    lake = node(server, ("later@lake.example",), keep_hours=1)
    server.put_off_always = True
    try:
        lake.break_glass()
        lake.run()
        long_ago = int((datetime.now(UTC) - timedelta(hours=2)).timestamp() * 1000)
        with lake.opened.engine.begin() as connection:
            connection.execute(update(MAIL).values(t=long_ago))
        (said,) = lake.run()
        assert (said["state"], said["log_level"]) == ("given-up", "error")
    finally:
        server.put_off_always = False
    assert lake.run() == []
    assert (lake.outbox.standing().waiting, lake.outbox.standing().failed) == (0, 1)
    lake.outbox.sweep(datetime.now(UTC) + timedelta(days=31))
    assert lake.outbox.standing().failed == 0


def test_one_process_at_a_time_has_a_notice_and_that_of_a_dead_one_is_tried_again(
    server, node
) -> None:
    lake = node(server)
    now = lake.break_glass()
    assert [each.case for each in lake.outbox.due(now)] == [CASE]
    assert lake.outbox.due(now) == []
    assert [each.attempts for each in lake.outbox.due(now + LEASE)] == [2]


def test_the_outbox_has_room_for_so_many_and_says_when_it_is_full(server, node) -> None:
    lake = node(server)
    some = [f"n{number}@lake.example" for number in range(MOST_WAITING)]
    assert lake.outbox.put("break-glass", some, login="ida", case=CASE, now=datetime.now(UTC))
    with structlog.testing.capture_logs() as logs:
        lake.break_glass()
    assert [(each["event"], each["code"]) for each in logs] == [
        ("mail.not-written", "mail-outbox-full")
    ]
    assert lake.outbox.standing().waiting == MOST_WAITING


async def test_without_a_server_nothing_is_written_and_operations_says_so(server, node) -> None:
    lake = node(server, (), host="")
    lake.break_glass()
    assert lake.outbox.standing().waiting == 0
    assert "No notice is sent by mail" in (await lake.check()).sentence
    async with mailing(lake.opened):
        pass


def test_broken_glass_writes_a_notice_without_the_patient_before_the_grant(server, node) -> None:
    lake = node(server)
    opened, key = lake.opened, load_key(lake.opened.home.path)
    glass = break_glass_of(opened, key, Cases(opened.engine, key, own=OWN))
    given = glass.give(
        Breaking(
            login="ida",
            name="Ida Sample",
            author=Author(by="user", who={"user_id": "ida"}),
            patient=AskedPatient(identifiers=(JANE,), person=person()),
            token="ab" * 16,
            exchange_id=new_id(),
            reason="emergency",
            text="Canaryson was brought by helicopter",
        ),
        now=datetime.now(UTC),
    )
    assert isinstance(given, Grant)
    before = len(server.taken())
    assert lake.run()[0]["event"] == "mail.sent"
    (taken,) = server.taken()[before:]
    assert given.case.encode() in taken.data
    with opened.engine.connect() as connection:
        (row,) = connection.execute(select(MAIL)).mappings().all()
    for told in (taken.data.decode(), repr(row)):
        for secret in ("anaryson", JANE.id, "emergency", str(person().names[0].family)):
            assert secret.lower() not in told.lower(), secret


async def test_a_serving_node_sends_by_itself_and_ends_in_good_order(server, node) -> None:
    lake, before = node(server), len(server.taken())
    async with mailing(lake.opened):
        lake.break_glass()
        await server.until(before + 1)
    assert lake.outbox.standing().waiting == 0


async def test_a_password_file_that_is_not_there_is_told_at_the_start(server, node) -> None:
    lake = node(server, password_file="nowhere")
    with pytest.raises(SettingsError, match="mail-password-unreadable"):
        async with mailing(lake.opened):
            pass


@pytest.mark.parametrize(
    "wrong",
    [
        {"sender": ""},
        {"user": ""},
        {"security": "none"},
        {"security": "none", "user": "", "password_file": "", "host": "mail.lake.example"},
        {"break_glass": ["not an address"]},
        {"break_glass": ["a@b.example\r\nBcc: c@d.example"]},
        {"host": ""},
        {"console_url": "https://console.lake.example/path"},
    ],
)
def test_settings_that_do_not_fit_are_refused(server, template, tmp_path, wrong) -> None:
    home = configured(template, tmp_path / "home", server, **wrong)
    with pytest.raises(SettingsError, match="mail"):
        load_settings(home)


def test_states_are_said_as_they_are_stored() -> None:
    assert {each.value for each in State} == {"waiting", "sent", "refused", "given-up"}
