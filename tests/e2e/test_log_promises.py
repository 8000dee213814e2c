"""Two real nodes: each answer carries a log promise, which the one who asked verifies and keeps."""

from __future__ import annotations

import pytest
from asking import discovered
from node_network import Network, serving
from sqlalchemy import select

from node.ledger.promise import parse_promise, verify_promise
from node.opened import opened_home
from node.peer_logs import log_of
from node.storage.tables import PROMISE

pytestmark = pytest.mark.e2e


async def test_an_answer_carries_a_promise_that_the_asker_keeps(tmp_path) -> None:
    network = Network(tmp_path)
    asker, hub = network.add("asker"), network.add("hub")
    network.join()
    with serving(hub):
        leg = await discovered(asker, hub)
    entry = asker.entry_of(leg.message_id or "")
    assert "dev" not in entry.fields
    with opened_home(asker.home, asker.settings) as opened:
        log = log_of(opened.view, hub.oid)
        with opened.engine.connect() as connection:
            (row,) = connection.execute(select(PROMISE)).mappings()
    promise = parse_promise(row["value"])
    assert entry.fields["promise"] == promise.digest
    assert promise.message_id == leg.message_id
    assert row["seq"] == entry.seq
    assert log is not None
    assert len(log.agreement) == 1
    verify_promise(promise, log.keys)
    # it was made after the entry was durable
    assert promise.t >= hub.entry_of(leg.message_id or "").fields["t"]
