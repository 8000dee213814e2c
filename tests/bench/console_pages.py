"""What a person waits for at the console over a large log: first pages of lists, and the search.

The console is the real one, over a home whose database is the made log, with a browser's requests
over a socket. Times are by the clock, from the request to the last byte, of one person at a time;
sizes are of the HTML as it is before any compression. CPU is that of the console and of the
browser, which are one process; PostgreSQL's is not in it.
"""

from __future__ import annotations

import base64
import os
import random
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Final

from requests import Response

from node.ledger.filter_text import to_query
from node.ledger.find import find
from node.ledger.private import KEY_FILE, load_key
from node.opened import opened_home
from node.settings import NodeHome, load_settings
from node.setup import NewNode, make_home
from node.users.store import Users
from tests.bench.big_log import OWN
from tests.bench.log_filters import CASES, Log, percentile
from tests.bench.row import Row
from tests.console.conftest import PASSWORD, Browser, Served

P95_MS: Final = 150.0
KILOBYTES: Final = 30.0
"""The targets: milliseconds, and 1000 bytes of HTML (issue 6, point 6)."""

_LISTS: Final = (
    "/review", "/denials", "/denials?side=theirs", "/denials?side=faults", "/peers", "/trust",
    "/access", "/patients", "/",
)  # fmt: skip
_FILTERS: Final = (
    "time", "peer and time", "outcome and time", "not ok", "patient", "user and time",
    "purpose and time", "message id", "relates to", "document", "case",
)  # fmt: skip
"""Those of facts: governance-ux 4.2."""

_IDENTIFIERS: Final = (
    "exchange", "message id", "relates to", "peer and time", "user and time", "patient", "document",
)  # fmt: skip
_ROUNDS: Final = 3


def page_rows(url: str, made: Log, kek: bytes, *, values: int) -> Iterator[Row]:
    """The rows of every list's first page and of the search, over one log."""
    engine = made.engine.dialect.name
    rounds = min(_ROUNDS, values)
    with _browser(url, kek) as browser:
        for name, addresses in _addresses(made, values).items():
            yield from _rows(f"{name} ({engine})", browser, addresses, rounds)
        yield from _search_rows(made, browser, values, rounds)


@contextmanager
def _browser(url: str, kek: bytes) -> Iterator[Browser]:
    """Somebody who may see everything, signed in."""
    with TemporaryDirectory(prefix="bench-console-") as folder:
        home = NodeHome(Path(folder) / "home")
        node = NewNode(
            name="Lake Hospital", home_community_id=OWN, organization_id="2.999.1",
            initiates=("T-TRTMNT",),
        )  # fmt: skip
        make_home(home, node, now=datetime.now(UTC))
        text = home.settings_file.read_text(encoding="utf-8")
        text = text.replace("[console]", "[console]\none_time_codes = false")
        text += f'\n[storage]\ndatabase_url = "{url}"\n'
        home.settings_file.write_text(text, encoding="utf-8")
        (home.path / KEY_FILE).write_bytes(base64.b64encode(kek))
        with opened_home(home, load_settings(home)) as opened:
            login = f"bench.{os.getpid()}.{time.monotonic_ns()}"
            Users(opened.engine, load_key(home.path), opened.clock.now).add(
                login, "Somebody", ("lead", "administrator"), PASSWORD, own=True
            )
            with Served(opened) as base:
                browser = Browser(base)
                browser.sign_in(login)
                yield browser


def _addresses(made: Log, values: int) -> Mapping[str, Sequence[str]]:
    """The lists, each with the addresses that are asked for."""
    found: dict[str, Sequence[str]] = {}
    for case in _FILTERS:
        drawn = [CASES[case](random.Random(n), made).tokenized(made.key) for n in range(values)]
        queries = dict.fromkeys(to_query(replace(each, kind=None)) for each in drawn)
        found[f"exchanges by {case}"] = [f"/exchanges?{query}" for query in queries if query]
    return found | {f"page {address}": [address] * values for address in _LISTS}


def _rows(name: str, browser: Browser, addresses: Sequence[str], rounds: int) -> Iterator[Row]:
    taken, worked, sizes = [], [], []
    for address in addresses:
        best = least = float("inf")
        for _ in range(rounds):
            started, before = time.perf_counter(), time.process_time()
            answer = browser.get(address)
            least = min(least, time.process_time() - before)
            best = min(best, time.perf_counter() - started)
            _check(answer, address)
        taken.append(best * 1000)
        worked.append(least * 1000)
        sizes.append(len(answer.content) / 1000)
    yield Row(name=f"console: {name}, p95", value=percentile(taken, 0.95), unit="ms", target=P95_MS)
    yield Row(name=f"console: {name}, CPU, median", value=median(worked), unit="ms")
    yield Row(name=f"console: {name}, largest page", value=max(sizes), unit="kB", target=KILOBYTES)


def _search_rows(made: Log, browser: Browser, values: int, rounds: int) -> Iterator[Row]:
    """From the identifier typed to the list that shows its exchanges: one step for a person."""
    form = browser.form()
    taken = []
    for case in _IDENTIFIERS:
        for number in range(values):
            drawn = CASES[case](random.Random(number), made)
            chosen = replace(drawn, since=None, until=None)
            ((_, term),) = chosen.terms()
            best = float("inf")
            for _ in range(rounds):
                started = time.perf_counter()
                led = browser.post("/search", {"form": form, "q": term.any_of[0]})
                answer = browser.get(led.headers["location"])
                best = min(best, time.perf_counter() - started)
            _check(answer, case)
            held = find(made.engine, replace(chosen, kind="exchange"), key=made.key, limit=1)
            assert not held.entries or 'class="table cards feed' in answer.text, (
                case,
                led.headers,
                answer.text,
            )
            taken.append(best * 1000)
    yield Row(
        name=f"console: an identifier typed, to its exchanges ({made.engine.dialect.name}), p95",
        value=percentile(taken, 0.95), unit="ms", target=P95_MS,
    )  # fmt: skip


def _check(answer: Response, what: str) -> None:
    if answer.status_code != 200:
        raise AssertionError(f"{what}: {answer.status_code} {answer.text[:300]}")
