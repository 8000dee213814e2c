"""QTF-17xx: the quarterly test is for those with whom nothing was exchanged for three months."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from node.ledger.dealings import dealt_with
from node.model import HomeCommunityId, Outcome
from tests.ledger.records import PEER, START, record

HCID = PEER.home_community_id


@pytest.mark.parametrize("outcome", list(Outcome))
async def test_only_what_was_answered_counts(ledger, store, outcome):
    await ledger.append(record(outcome=outcome, started=START))
    answered = outcome in {Outcome.OK, Outcome.OK_EMPTY, Outcome.PARTIAL}
    assert dealt_with(store, HCID, since=START) is answered


async def test_others_what_is_older_and_our_own_tests_do_not_count(ledger, store):
    await ledger.append(record(outcome=Outcome.OK, started=START))
    assert not dealt_with(store, HomeCommunityId("urn:oid:2.999.77"), since=START)
    assert not dealt_with(store, HCID, since=START + timedelta(seconds=1))
    later = START + timedelta(days=1)
    test = replace(record(outcome=Outcome.OK, started=later), synthetic=True)
    await ledger.append(test)
    assert not dealt_with(store, HCID, since=later)
