"""A peer whose statement is not what it should be: nothing is compared, and the sentence says why.

The hostile statements stand in the peer's own folder with an entry of its log for each, so its real
process serves them as its own.
"""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import replace
from datetime import date, timedelta

import pytest
from node_network import Network, Site, now, serving
from sqlalchemy import select

from node.app import Composition
from node.errors import CodedError
from node.ledger.pair_key import pair_key
from node.ledger.statement import Head, Row, Side, Window, key_digest, root_of, statement
from node.opened import opened_home
from node.pairs import ourselves, statements
from node.peer_logs import log_of
from node.reconciling import Reconciler
from node.storage.tables import RECONCILED, REVIEW

pytestmark = pytest.mark.e2e

TODAY = now().date()
ROWS = tuple(Row(token=bytes([n]) * 16, side=Side.ASKED, t=0, outcome="ok") for n in range(1, 4))


def in_window(window: date, rows=ROWS) -> tuple[Row, ...]:
    return tuple(replace(row, t=Window(day=window).first + 1000) for row in rows)


def plant(liar: Site, victim: Site, window: date, rows, *, told=None, entry=None, day=None) -> None:
    """Let ``liar`` state ``rows``; ``told`` changes the head, ``entry`` what its log has of it."""
    with opened_home(liar.home, liar.settings) as opened:
        us, book = ourselves(opened), statements(opened)
        theirs = log_of(opened.view, victim.oid)
        head = Head(
            log=us.log, own=us.hcid, peer=victim.hcid, window=day or window,
            keys=(key_digest(us.public), key_digest(theirs.agreement[0])),
            rows=len(rows), root=root_of(rows),
        )  # fmt: skip
        head = replace(head, **(told or {}))
        data = b"".join(statement(head, rows))
        file = liar.home.statements / book._name(victim.hcid, window)
        file.parent.mkdir(parents=True)
        file.write_bytes(data)
        stated = replace(head, window=window, **(entry or {}))
        book._write_entry(stated, hashlib.sha256(data).digest())


CASES = {
    "unsorted": "Row 2 of a statement is out of order",
    "duplicate": "or its token comes twice",
    "rows": "has more than the 2 rows that it says it has",
    "root": "do not have the root that it says",
    "other-root": "another number of rows or root than its statement",
    "outside": "Row 1 of a statement is not of its window",
    "other-day": "of another log, pair or day",
    "many": "A statement has 20 rows at most here",
    "huge": "larger than",
    "keys": "made its statement with other agreement keys",
}


def plant_case(name: str, liar: Site, victim: Site, window: date) -> None:
    rows, before = in_window(window), window - timedelta(days=1)
    many = [replace(ROWS[0], token=n.to_bytes(16, "big")) for n in range(1, 300)]
    stated, more = {
        "unsorted": ((rows[1], rows[0], rows[2]), {}),
        "duplicate": ((rows[0], rows[0]), {}),
        "rows": (rows, {"told": {"rows": 2}}),
        "root": (rows, {"told": {"root": bytes(32)}}),
        "other-root": (rows, {"entry": {"root": bytes(32)}}),
        "outside": (in_window(before), {}),
        "other-day": (rows, {"day": before}),
        "many": (in_window(window, many[:21]), {}),
        "huge": (in_window(window, many), {}),
        "keys": (rows, {}),
    }[name]
    plant(liar, victim, window, stated, **more)


async def refusals(victim: Site, liar: Site, windows: dict[str, date]) -> dict[str, CodedError]:
    found = {}
    async with Composition().reconciling(victim.home, victim.settings) as reconciler:
        for name, window in windows.items():
            with pytest.raises(CodedError) as refused:
                await reconciler.run(reconciler.entry(liar.hcid), window)
            found[name] = refused.value
    return found


def test_a_hostile_statement_is_refused_and_the_sentence_says_why(
    tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = Network(tmp_path)
    victim = network.add("victim", extra="[log]\nreconcile_rows = 20\n")
    liar = network.add("liar")
    network.join()
    days = [TODAY - timedelta(days=back) for back in range(2, 2 + len(CASES))]
    windows = dict(zip(CASES, days, strict=True))
    for name, window in windows.items():
        plant_case(name, liar, victim, window)
    with serving(liar):
        keys_day = windows.pop("keys")
        found = asyncio.run(refusals(victim, liar, windows))
        # the victim has taken another key since the liar stated
        make = Reconciler._compare

        def with_other_keys(self, hcid, log, stated, *rest):
            head = replace(stated.head, keys=(key_digest(b"another"), stated.head.keys[1]))
            return make(self, hcid, log, replace(stated, head=head), *rest)

        monkeypatch.setattr(Reconciler, "_compare", with_other_keys)
        found |= asyncio.run(refusals(victim, liar, {"keys": keys_day}))
    for name, words in CASES.items():
        assert words in found[name].sentence, (name, found[name].sentence)
    assert found["many"].code == "log-statement-limit"
    assert found["huge"].code == "message-too-large"
    with opened_home(victim.home, victim.settings) as opened, opened.engine.connect() as connection:
        assert connection.execute(select(REVIEW)).all() == []
        notes = connection.execute(select(RECONCILED.c.failure)).scalars().all()
    assert len(notes) == len(CASES)
    assert None not in notes


def test_a_peer_that_is_slow_or_not_there_is_a_fault_of_the_network(tmp_path) -> None:
    network = Network(tmp_path)
    victim = network.add("victim", extra="[log]\nreconcile_seconds = 0.5\n")
    slow = network.add("slow", listen="answer_delay_seconds = 3")
    network.join()
    day = {"slow": TODAY - timedelta(days=2)}
    with serving(slow):
        assert asyncio.run(refusals(victim, slow, day))["slow"].party.value == "network"
    assert asyncio.run(refusals(victim, slow, day))["slow"].party.value == "network"


def test_keys_of_a_pair_are_the_same_from_both_homes(tmp_path) -> None:
    network = Network(tmp_path)
    a, b = network.add("a"), network.add("b")
    network.join()
    keys = []
    for site, other in ((a, b), (b, a)):
        with opened_home(site.home, site.settings) as opened:
            us, log = ourselves(opened), log_of(opened.view, other.oid)
            logs = (us.log, log.name)
            keys.append(pair_key(us.agreement, log.agreement[0], logs=logs, window=TODAY))
    asked = {"initiator": a.hcid, "message_id": "urn:uuid:1", "transaction": "ITI-55"}
    assert keys[0].token(**asked) == keys[1].token(**asked)
