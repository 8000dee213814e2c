"""A console over a real home and a real socket, with exchanges in its log and one user per role."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import requests
from argon2 import PasswordHasher
from sqlalchemy import func, select

from node.console.clinic.searching import Network
from node.governing import serving_console
from node.ledger.ledger import ExchangeLedger
from node.ledger.private import load_key
from node.model import HomeCommunityId, Outcome, Peer
from node.opened import OpenedHome, opened_home
from node.settings import NodeHome, load_settings
from node.setup import NewNode, make_home
from node.storage.tables import ENTRY
from node.users import store
from node.users.roles import role_table
from node.users.store import Users
from tests.console.chromium import chromium
from tests.ledger.records import new_id, record

__all__ = ["chromium"]  # a fixture

PASSWORD = "several words nobody knows"
FORM = 'name="form" value="'


def peer(number: int) -> Peer:
    return Peer(
        organization_id=f"org-{number}",
        home_community_id=HomeCommunityId(f"urn:oid:2.999.2.{number}"),
        name=f"Peer {number}",
        address="https://peer.example/xcpd",
    )


@dataclass
class Browser:
    """A person's browser without script: cookies, links, forms."""

    base: str
    session: requests.Session = field(default_factory=requests.Session)

    def get(self, path: str, **more) -> requests.Response:
        return self.session.get(self.base + path, allow_redirects=False, timeout=30, **more)

    def post(self, path: str, data=None, **more) -> requests.Response:
        return self.session.post(
            self.base + path, data=data, allow_redirects=False, timeout=30, **more
        )

    def form(self, path: str = "/") -> str:
        """What a form of a page brings back."""
        text = self.get(path).text
        start = text.index(FORM) + len(FORM)
        return text[start : text.index('"', start)]

    def sign_in(self, login: str, password: str = PASSWORD) -> requests.Response:
        return self.post("/sign-in", {"login": login, "password": password})


@dataclass
class Site:
    """The console, its home, and a browser for anybody."""

    base: str
    opened: OpenedHome
    ledger: ExchangeLedger
    served: Served | None = None

    def restart(self) -> None:
        """Stop the console and start it anew, at the same address."""
        assert self.served is not None
        self.served.__exit__()
        self.served.__enter__()

    def browser(self, login: str | None = None) -> Browser:
        made = Browser(self.base)
        if login:
            made.sign_in(login)
        return made

    def write(self, *legs: dict[str, object]) -> str:
        """One exchange with these legs; its id."""
        exchange_id = new_id()

        async def append() -> None:
            for leg in legs:
                await self.ledger.append(record(exchange_id=exchange_id, **leg))

        with ThreadPoolExecutor(1) as apart:  # a browser's test has a loop of its own
            apart.submit(lambda: asyncio.run(append())).result()
        return exchange_id

    def number(self, exchange_id: str) -> int:
        """The number by which the list names an exchange: that of its first entry."""
        query = select(func.min(ENTRY.c.seq)).where(ENTRY.c.exchange_id == exchange_id)
        with self.opened.engine.connect() as connection:
            return int(connection.scalar(query) or 0)


def leg(number: int, outcome: Outcome = Outcome.OK, ago: float = 60, **more) -> dict[str, object]:
    """A leg with peer ``number`` that began so many seconds ago."""
    return {
        "peer": peer(number),
        "outcome": outcome,
        "started": datetime.now(UTC) - timedelta(seconds=ago),
        "purpose": "T-TRTMNT",
        **more,
    }


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with made_site(tmp_path_factory.mktemp("console")) as made:
        yield made


@contextmanager
def made_site(
    folder: Path,
    settings: str = "",
    network: Callable[[OpenedHome, ExchangeLedger], Network | None] | None = None,
) -> Iterator[Site]:
    """A console over a home in a folder, with further ``settings``; clinicians ask a network."""
    home = NodeHome(folder / "home")
    node = NewNode(name="Lake Hospital", home_community_id="urn:oid:2.999.71",
                   organization_id="2.999.71", initiates=("T-TRTMNT",))  # fmt: skip
    make_home(home, node, now=datetime.now(UTC))
    text = home.settings_file.read_text(encoding="utf-8")
    text = text.replace("[console]", "[console]\none_time_codes = false")
    home.settings_file.write_text(f"{text}\n{settings}", encoding="utf-8")
    quick = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    with pytest.MonkeyPatch.context() as patched, opened_home(home, load_settings(home)) as opened:
        patched.setattr(store, "PasswordHasher", lambda: quick)
        key = load_key(home.path)
        users = Users(opened.engine, key, opened.clock.now)
        for code in role_table().roles:
            users.add(code, f"The {code}", (code,), PASSWORD, own=True)
        users.add("new.user", "New User", ("reviewer",), PASSWORD)
        ledger = ExchangeLedger(opened.engine, key)
        served = Served(opened, network(opened, ledger) if network else None)
        with served as base:
            yield Site(base=base, opened=opened, ledger=ledger, served=served)
        ledger.close()


class Served:
    """Serve the console in a thread of its own."""

    def __init__(self, opened: OpenedHome, network: Network | None = None) -> None:
        self._opened = opened
        self._network = network
        self._up = threading.Event()
        self._base = ""
        self._port = 0
        self._stop: Callable[[], object] = lambda: None

    def __enter__(self) -> str:
        self._up.clear()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)
        self._thread.start()
        assert self._up.wait(20)
        return self._base

    def __exit__(self, *_: object) -> None:
        self._stop()
        self._thread.join(20)

    async def _run(self) -> None:
        stop, loop = asyncio.Event(), asyncio.get_running_loop()
        made = serving_console(self._opened, "127.0.0.1", self._port, network=self._network)
        async with made as (host, port):
            self._base, self._port = f"http://{host}:{port}", port
            self._stop = lambda: loop.call_soon_threadsafe(stop.set)
            self._up.set()
            await stop.wait()
