"""A clinician's pages with forty documents, from the real console to a browser without script.

Four organizations hold ten each: visits, types and dates differ as they do in a real list, and
every fifth is a copy of another organization's. CPU is that of the console and of the browser that
asks over a socket, which are one process; the times are the median of several.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Final

from node.model import Code, DocumentEntry
from tests.bench.row import Row, Sizes
from tests.console.clinic_world import THERE, clinic_site, ended
from tests.console.conftest import Browser
from tests.sim.network import SimPeer, document

_PEERS, _OF_EACH = 4, 10
_EVERY: Final = 5
_ALL: Final = f"{_PEERS * _OF_EACH} to read"
_COPIES: Final = f"{(_PEERS - 1) * _OF_EACH // _EVERY} copies of the same content folded"
_TARGET_MS: Final = 150.0
_KINDS: Final = (
    ("34133-9", "Summary of episode note"), ("18842-5", "Discharge summary"),
    ("11506-3", "Progress note"), ("11488-4", "Consultation note"),
)  # fmt: skip


def clinic_page_rows(sizes: Sizes) -> Iterator[Row]:
    """The answers' page and the documents' own page, in each of their groupings."""
    peers = [SimPeer(number=n, entries=_entries(n), says=THERE) for n in range(1, _PEERS + 1)]
    folder = TemporaryDirectory(prefix="bench-clinic-")
    with folder as name, clinic_site(Path(name), *peers) as site:
        browser = site.browser("clinician")
        path = site.ask(browser)
        shown = ended(browser, path)
        if not all(words in shown for words in (_ALL, _COPIES)):
            raise RuntimeError("the page is not the one that was to be measured")
        for page, address in (
            ("the answers' page", path),
            ("the documents' page by type", f"{path}/documents?group=type"),
            ("the documents' page by organization", f"{path}/documents?group=organization"),
        ):
            taken = [_cost(browser, address) for _ in range(max(sizes.rounds * 4, 10))]
            whole = f"{page} with {_PEERS * _OF_EACH} documents"
            yield Row(name=whole, value=median(taken), unit="ms CPU", target=_TARGET_MS)


def _cost(browser: Browser, address: str) -> float:
    began = time.process_time()
    answer = browser.get(address)
    taken = (time.process_time() - began) * 1e3
    if answer.status_code != 200:
        raise RuntimeError(f"the page answered {answer.status_code}")
    return taken


def _entries(number: int) -> tuple[DocumentEntry, ...]:
    return tuple(_entry(number, place) for place in range(_OF_EACH))


def _entry(number: int, place: int) -> DocumentEntry:
    content = f"{place}" if place % _EVERY == 0 else f"{number} {place}"
    code, name = _KINDS[(number + place) % len(_KINDS)]
    day = f"2026{1 + place // 3:02}{number + 10}"
    return replace(
        document(number, f"d{place}", content.encode() * 1000),
        title=f"{name} {place}",
        type_code=Code(code=code, scheme="2.16.840.1.113883.6.1", display=name),
        creation_time=f"{day}1200",
        service_start=day,
        service_stop=day,
    )
