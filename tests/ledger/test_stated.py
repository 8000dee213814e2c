"""Our statements from our log: which entries become rows, what they say, and that they stay."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
import records
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from sqlalchemy import Engine, update

from node.errors import OurFault
from node.ledger.ledger import ExchangeLedger
from node.ledger.peer_log import PeerLog
from node.ledger.private import LedgerKey
from node.ledger.stated import Limits, Statements, Us
from node.ledger.statement import HEAD_LINES, Row, read_head, read_rows
from node.model import Direction, Outcome
from node.storage.tables import PRIVATE

DAY = date(2026, 11, 1)
NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)
US = Us(
    hcid=records.OWN, log="log.a.example/exchange",
    agreement=X25519PrivateKey.generate(), quiet_opt_out=True,
)  # fmt: skip
HCID = str(records.PEER.home_community_id)


def their_log() -> PeerLog:
    public = X25519PrivateKey.generate().public_key().public_bytes_raw()
    return PeerLog(name="log.b.example/exchange", keys=(), agreement=(public,))


LOG = their_log()


@pytest.fixture
def book(store: Engine, key: LedgerKey, tmp_path: Path):
    def make(**limits) -> Statements:
        return Statements(
            store, lambda: key, tmp_path / "statements", limits=Limits(**limits),
            now=lambda: NOON + timedelta(days=2),
        )  # fmt: skip

    return make


def rows_of(book: Statements) -> list[Row]:
    stated = book.of(US, HCID, LOG, DAY)
    lines = stated.file.read_bytes().split(b"\n")[:-1]
    return list(read_rows(lines[HEAD_LINES:], read_head(lines[:HEAD_LINES])))


def asked(**changes):
    return records.record(direction=Direction.INITIATING, started=NOON, **changes)


def served(**changes):
    return records.record(**{"direction": Direction.RESPONDING, "started": NOON, **changes})


@pytest.mark.parametrize(
    ("record", "outcome"),
    [
        (asked(), "ok"),
        (asked(outcome=Outcome.DECLINED), "declined"),  # the answer names our message
        (asked(outcome=Outcome.FAILED, relates_to=None), "none"),  # somebody's fault page
        (asked(outcome=Outcome.FAILED, relates_to=None, promise="x"), "failed"),
        (asked(outcome=Outcome.TIMED_OUT), "none"),
        (served(), "ok"),
        (served(outcome=Outcome.CANCELLED), "none"),
        (served(outcome=Outcome.DECLINED, reason="patient-opted-out"), "ok-empty"),
        (served(outcome=Outcome.DECLINED, reason="peer-suspended"), "declined"),
        (served(message_id="no uuid at all"), "ok"),
    ],
)
async def test_an_outcome_is_what_both_sides_saw(ledger: ExchangeLedger, book, record, outcome):
    await ledger.append(record)
    (row,) = rows_of(book())
    assert row.outcome == outcome
    assert row.request is not None


async def test_what_was_never_sent_or_has_no_message_is_no_row(ledger, book) -> None:
    await ledger.append(asked(request_digest=None, outcome=Outcome.DECLINED))
    await ledger.append(served(message_id=None))
    await ledger.append(served(started=NOON - timedelta(days=1)))
    assert rows_of(book()) == []


async def test_a_message_that_came_twice_is_one_row_the_answered_one(ledger, book) -> None:
    message = f"urn:uuid:{records.new_id()}"
    await ledger.append(served(message_id=message, outcome=Outcome.CANCELLED))
    await ledger.append(served(message_id=message))
    await ledger.append(served(message_id=message, outcome=Outcome.DECLINED))
    assert [row.outcome for row in rows_of(book())] == ["ok"]


async def test_a_statement_stays_as_it_was_given_also_after_an_erasure(
    store: Engine, ledger, book
) -> None:
    await ledger.append(served())
    first = book().of(US, HCID, LOG, DAY)
    data = first.file.read_bytes()
    with store.begin() as connection:
        connection.execute(update(PRIVATE).values(wire=None))
    await ledger.append(served())  # what came after the day was stated
    again = book().of(US, HCID, LOG, DAY)
    assert (again, again.file.read_bytes()) == (first, data)
    # without its file it is made anew, with an entry of its own, and without erased digests
    first.file.unlink()
    anew = book().of(US, HCID, LOG, DAY)
    assert anew.seq > first.seq
    assert sorted(bool(row.request) for row in rows_of(book())) == [False, True]


async def test_another_agreement_key_makes_another_statement(ledger, book) -> None:
    await ledger.append(served())
    first = book().of(US, HCID, LOG, DAY)
    second = book().of(US, HCID, their_log(), DAY)
    assert second.seq > first.seq
    assert second.head.root != first.head.root


async def test_more_rows_than_the_limit_are_no_statement(ledger, book) -> None:
    for _ in range(3):
        await ledger.append(served())
    with pytest.raises(OurFault) as refused:
        book(rows=2).of(US, HCID, LOG, DAY)
    assert refused.value.code == "log-statement-limit"


@pytest.mark.parametrize("day", [date(2026, 11, 3), date(2026, 11, 4), date(2026, 9, 1)])
def test_a_day_that_is_not_over_or_long_ago_has_none(book, day: date) -> None:
    with pytest.raises(OurFault) as refused:
        book().of(US, HCID, LOG, day)
    assert refused.value.code == "log-window-invalid"


async def test_pages_of_entries_leave_none_out(
    ledger: ExchangeLedger, book, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("node.ledger.stated._PAGE", 3)
    for _ in range(8):
        await ledger.append(served())  # all of one instant
    assert len(rows_of(book())) == 8


def test_texts_of_days_long_ago_are_deleted(book, tmp_path: Path) -> None:
    old = tmp_path / "statements" / "2026-09-01"
    old.mkdir(parents=True)
    book().of(US, HCID, LOG, DAY)
    assert [each.name for each in (tmp_path / "statements").iterdir()] == [DAY.isoformat()]
