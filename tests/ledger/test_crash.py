from __future__ import annotations

import random
import threading
from pathlib import Path

import pytest
from sqlalchemy import Engine, select

from node.ledger import leaf
from node.ledger.find import PAGE_LIMIT, tail
from node.ledger.ledger import ExchangeLedger
from node.ledger.private import LedgerKey
from node.ledger.row_check import GroupState
from node.ledger.show import show
from node.storage.tables import COUNTER, PRIVATE
from tests.ledger.records import record
from tests.warm_start import WarmProcess

ROUNDS = 3
KEY = bytes(range(32))


def receipts_until_killed(url: str, patience: int) -> list[tuple[int, str]]:
    """Run the appender, kill it once it told ``patience`` receipts, return all that it told."""
    root = Path(__file__).resolve().parent.parent.parent
    process = WarmProcess(
        [url, KEY.hex()], folder=root, stdout=None, stderr=2, module="tests.ledger.appender"
    )
    assert process.stdout is not None
    watchdog = threading.Timer(60, process.kill)
    watchdog.start()
    told: list[bytes] = []
    try:
        for line in process.stdout:
            told.append(line)
            if len(told) == patience:
                process.kill()
    finally:
        watchdog.cancel()
        process.kill()
        process.stdout.close()
        assert process.wait() == -9
    # the last line may be cut: an answer that did not leave whole was not seen
    whole = [line.decode().split() for line in told if line.endswith(b"\n")]
    return [(int(seq), entry_id) for seq, entry_id in whole]


@pytest.mark.e2e
async def test_law_1_sigkill_under_load_loses_no_entry_that_was_answered(store: Engine) -> None:
    url = store.url.render_as_string(hide_password=False)
    chance = random.Random()
    told: dict[int, str] = {}
    for _ in range(ROUNDS):
        receipts = receipts_until_killed(url, patience=chance.randrange(200, 1200))
        assert len(receipts) >= 200
        assert not told.keys() & {seq for seq, _ in receipts}
        told.update(receipts)
    # the log goes on after the crash, and the sequence with it
    ledger = ExchangeLedger(store, LedgerKey(KEY))
    last = await ledger.append(record())
    ledger.close()
    told[last.seq] = last.entry_id

    stored: dict[int, str] = {}
    while page := tail(store, after=len(stored) - 1, limit=PAGE_LIMIT):
        stored.update((entry.seq, entry.entry_id) for entry in page)
        for entry in page:
            assert entry.fields["seq"] == entry.seq
            assert leaf.encode(entry.fields) == entry.data
    assert list(stored) == list(range(len(stored)))
    assert last.seq == len(stored) - 1
    assert told.items() <= stored.items()
    with store.connect() as connection:
        assert connection.execute(select(COUNTER.c.next)).scalar_one() == len(stored)
        private = connection.execute(select(PRIVATE.c.seq).order_by(PRIVATE.c.seq)).scalars()
        assert list(private) == list(stored)
    for seq in chance.sample(sorted(told), 20):
        shown = show(store, seq, LedgerKey(KEY))
        assert shown is not None
        assert shown.findings == ()
        assert set(shown.states.values()) == {GroupState.OPEN}
