"""Decisions about keys: each kept once, named by the entries, checked when shown."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine, func, select, update

from node.ledger.ledger import ExchangeLedger
from node.ledger.private import LedgerKey
from node.ledger.show import show
from node.ledger.trust_decisions import DecisionWriter
from node.storage.tables import DECISION
from tests.ledger.records import record
from trust.decision import TrustDecision, digest_of


def decision(text: str) -> TrustDecision:
    body = f'{{"reason":"{text}"}}'.encode()
    return TrustDecision(digest=digest_of(body), body=body)


def count(store: Engine) -> int:
    with store.connect() as connection:
        return connection.execute(select(func.count()).select_from(DECISION)).scalar_one()


async def test_a_decision_is_kept_once_for_all_entries_that_name_it(
    store: Engine, ledger: ExchangeLedger, key: LedgerKey
) -> None:
    one, two = decision("one"), decision("two")
    for each in (one, one, two, one, None):
        receipt = await ledger.append(record(trust=each))
        shown = show(store, receipt.seq, key)
        assert shown is not None
        assert shown.findings == ()
        assert shown.entry.fields.get("trust") == (each.digest if each else None)
        assert shown.decision == (None if each is None else {"reason": each.body.decode()[11:-2]})
    assert count(store) == 2


@pytest.mark.parametrize("gone", [True, False])
async def test_a_decision_that_is_another_or_gone_is_found(
    store: Engine, ledger: ExchangeLedger, key: LedgerKey, gone: bool
) -> None:
    receipt = await ledger.append(record(trust=decision("good")))
    with store.begin() as connection:
        connection.execute(
            DECISION.delete() if gone else update(DECISION).values(body=b'{"reason":"bad"}')
        )
    shown = show(store, receipt.seq, key)
    assert shown is not None
    (finding,) = shown.findings
    assert ("is not there" if gone else "not the one") in finding


def test_a_decision_of_a_transaction_that_failed_is_written_again(store: Engine) -> None:
    writer, one = DecisionWriter(), decision("one")
    with store.connect() as connection:
        with connection.begin() as transaction:
            writer.write(connection, [one, one])
            transaction.rollback()
        assert count(store) == 0
        for _ in range(3):
            with connection.begin():
                writer.write(connection, [one])
    assert count(store) == 1
