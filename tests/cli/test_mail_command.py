"""``mail test`` against a real SMTP server: each step is said, and whose side a failure is on."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from ended import Cli

from node.demo.free_ports import free_ports
from node.settings import NodeHome
from tests.smtp_server import PASSWORD, SmtpServer

TO = "ops@lake.example"
STEPS = ["resolve", "connect", "tls", "authentication", "accepted"]


@contextmanager
def started(folder: Path, **settings: str) -> Iterator[SmtpServer]:
    server = SmtpServer(folder, **settings)
    server.start()
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmtpServer]:
    with started(tmp_path_factory.mktemp("smtp") / "server") as made:
        yield made


@pytest.fixture
def set_up(home: NodeHome) -> Callable[..., None]:
    """Write ``[mail]`` for a server, with what is given in place of what is right."""

    def write(server: SmtpServer, **wrong: object) -> None:
        (home.path / "mail-password").write_text(PASSWORD)
        rows = {
            "host": server.host, "port": server.port, "security": server.security,
            "ca_file": str(server.ca_file), "user": "node", "password_file": "mail-password",
            "sender": "node@lake.example", "seconds": 5,
        } | wrong  # fmt: skip
        text = "".join(f"{name} = {json.dumps(value)}\n" for name, value in rows.items())
        with home.settings_file.open("a") as file:
            file.write(f"\n[mail]\n{text}")

    return write


def states(shown: dict) -> list[str]:
    assert [each["step"] for each in shown["steps"]] == STEPS
    return [each["state"] for each in shown["steps"]]


def test_a_taken_message_is_shown_step_by_step(cli: Cli, server: SmtpServer, set_up) -> None:
    set_up(server)
    ended = cli("mail", "test", TO)
    assert ended.code == 0, ended.err
    rows = [line.split()[:2] for line in ended.out.splitlines()[1:6]]
    assert rows == [["ok", step] for step in STEPS]
    assert "TLSv1.3; the certificate is believed" in ended.out
    assert "The mail server took the message <" in ended.out
    taken = server.taken()[-1]
    assert (taken.recipients, taken.user, taken.tls) == ([TO], b"node", True)
    assert b"A test of the exchange node's mail" in taken.data

    ended = cli("mail", "test", TO, "--json")
    assert (ended.code, ended.json["ok"], states(ended.json)) == (0, True, ["ok"] * 5)
    assert ended.json["message_id"].encode() in server.taken()[-1].data


@pytest.mark.parametrize(
    ("wrong", "failing", "code", "exit_code"),
    [
        ({"host": f"{'a' * 64}.example"}, "resolve", "mail-unreachable", 5),
        ({"host": "nowhere.invalid"}, "resolve", "mail-unreachable", 5),
        ({"security": "tls"}, "tls", "mail-unreachable", 5),
        ({"host": "127.0.0.1"}, "tls", "mail-server-refused", 4),
        ({"ca_file": ""}, "tls", "mail-server-refused", 4),
        ({"user": "", "password_file": ""}, "accepted", "mail-sender-refused", 4),
    ],
)
def test_the_step_that_fails_is_named_with_its_side(
    cli: Cli, server: SmtpServer, set_up, wrong: dict, failing: str, code: str, exit_code: int
) -> None:
    set_up(server, **wrong)
    before = len(server.taken())
    ended = cli("mail", "test", TO, "--json")
    shown = ended.json
    assert (ended.code, shown["ok"], shown["code"]) == (exit_code, False, code)
    at = STEPS.index(failing)
    expected = ["ok"] * at + ["fail"] + ["not reached"] * (4 - at)
    if "user" in wrong:
        expected[STEPS.index("authentication")] = "not due"
    assert states(shown) == expected
    assert len(server.taken()) == before


def test_a_server_that_is_down_and_one_that_never_greets(cli: Cli, server, set_up) -> None:
    (port,) = free_ports(1)
    set_up(server, port=port, seconds=0.3)
    ended = cli("mail", "test", TO)
    assert ended.code == 5
    assert "fail        connect" in ended.out
    assert "The mail server cannot be reached. (ConnectionRefusedError)" in ended.out
    assert "(mail-unreachable)" in ended.err
    assert "next:" in ended.err
    with socket.create_server(("localhost", port)):  # takes connections and says nothing
        ended = cli("mail", "test", TO)
    assert ended.code == 5
    assert "fail        connect" in ended.out
    assert "not reached tls" in ended.out


def test_a_wrong_password_is_on_our_side(cli: Cli, home: NodeHome, server, set_up) -> None:
    set_up(server)
    (home.path / "mail-password").write_text("not it")
    ended = cli("mail", "test", TO)
    assert ended.code == 3
    assert "fail        authentication" in ended.out
    assert "this is on our side (mail-not-admitted)" in ended.err
    (home.path / "mail-password").unlink()
    ended = cli("mail", "test", TO)
    assert (ended.code, "mail-password-unreadable" in ended.err) == (3, True)


@pytest.mark.parametrize(
    ("address", "code"),
    [("refused@x.example", "recipient-refused"), ("later@x.example", "put-off")],
)
def test_an_address_that_is_not_taken_is_on_the_other_side(
    cli: Cli, server, set_up, address: str, code: str
) -> None:
    set_up(server)
    ended = cli("mail", "test", address, "--json")
    assert (ended.code, ended.json["code"], ended.json["side"]) == (4, f"mail-{code}", "theirs")


def test_tls_from_the_first_byte_and_a_server_of_this_machine(
    cli: Cli, home: NodeHome, set_up, tmp_path: Path
) -> None:
    before = home.settings_file.read_text()
    with started(tmp_path / "tls", security="tls") as server:
        set_up(server, user="", password_file="")
        ended = cli("mail", "test", TO, "--json")
        assert (ended.code, states(ended.json)) == (0, ["ok", "ok", "ok", "not due", "ok"])
    home.settings_file.write_text(before)
    with started(tmp_path / "none", security="none") as server:
        set_up(server, user="", password_file="", ca_file="")
        ended = cli("mail", "test", TO, "--json")
        assert (ended.code, states(ended.json)) == (0, ["ok", "ok", "not due", "not due", "ok"])


def test_without_a_server_or_an_address_nothing_is_tried(cli: Cli, set_up, server) -> None:
    ended = cli("mail", "test", TO)
    assert (ended.code, "(mail-not-set)" in ended.err) == (3, True)
    set_up(server)
    for wrong in ("nobody", "a@b c", f"{'a' * 250}@x.example", "a@b.example\nBcc: c@d.example"):
        ended = cli("mail", "test", wrong)
        assert (ended.code, "no mail address" in ended.flat) == (2, True)
