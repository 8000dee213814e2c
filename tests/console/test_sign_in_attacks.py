"""Signing in under attack: guessing who there is, floods, and forms that are no forms."""

from __future__ import annotations

import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import pytest
from sqlalchemy import func, select

from node.console import guard, sign_in
from node.storage.tables import ENTRY
from node.users.model import Refused
from node.users.store import Users
from tests.console.conftest import Site


@pytest.fixture
def patient(monkeypatch):
    """A console that is told apart from the others by its own count of refusals."""
    monkeypatch.setattr(sign_in, "_MOST_REFUSED", 8)


@pytest.fixture
def fresh(site: Site, patient):
    site.restart()  # the counts begin anew
    return site


def entries(site: Site) -> int:
    with site.opened.engine.connect() as connection:
        return int(connection.scalar(select(func.count()).select_from(ENTRY)) or 0)


def said(site: Site, login: str) -> tuple[int, str]:
    answer = site.browser().sign_in(login, "wrong words of nobody")
    return answer.status_code, answer.text.replace(login, "")


def test_too_many_attempts_do_not_tell_who_there_is(site: Site) -> None:
    there, nobody = ([said(site, login) for _ in range(7)] for login in ("lead", "not-there"))
    assert there == nobody
    assert there[0] != there[-1], "the login was never locked"


def test_refused_sign_ins_of_one_address_have_a_limit_and_fill_no_log(fresh: Site) -> None:
    answers = [said(fresh, f"nobody-{n}")[0] for n in range(8)]
    assert set(answers) == {403}
    before = entries(fresh)
    assert {said(fresh, f"nobody-{n}")[0] for n in range(8, 20)} == {429}
    assert entries(fresh) == before


def test_few_passwords_are_tried_at_once_and_few_wait(site: Site, monkeypatch) -> None:
    """Each costs 64 MiB: many at once would end the node."""
    site.restart()
    lock, now, most = threading.Lock(), 0, 0

    def slow(_self, _login, _password):
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        time.sleep(0.05)
        with lock:
            now -= 1
        return Refused.WRONG

    monkeypatch.setattr(Users, "prove_password", slow)
    with ThreadPoolExecutor(60) as pool:
        codes = list(pool.map(lambda n: said(site, f"somebody-{n}")[0], range(60)))
    assert most <= sign_in._AT_ONCE
    assert set(codes) == {403, 429}


def raw(site: Site, length: bytes, body: bytes) -> bytes:
    """What comes back for a form whose length is spelt so, its body sent as far as it goes."""
    address = urlsplit(site.base)
    with socket.create_connection((address.hostname, address.port), timeout=20) as connection:
        connection.sendall(
            b"POST /sign-in HTTP/1.1\r\nhost: a\r\n"
            b"content-type: application/x-www-form-urlencoded\r\n"
            b"content-length: " + length + b"\r\n\r\n" + body
        )
        return connection.recv(100)


def test_the_size_of_a_form_is_that_of_its_bytes(site: Site) -> None:
    """Not the first digits of what its header says."""
    answer = raw(site, b"00000000000100000000", b"login=a&password=" + b"x" * 100_000)
    assert answer.startswith(b"HTTP/1.1 400 ")


def test_a_form_that_does_not_arrive_is_not_waited_for(site: Site, monkeypatch) -> None:
    monkeypatch.setattr(guard, "_FORM_SECONDS", 0.2)
    assert raw(site, b"100", b"login=a").startswith(b"HTTP/1.1 400 ")
