"""A process that erases a person's entries and dies, as by SIGKILL, when it commits a batch.

Run as ``python -m tests.ledger.eraser URL KEYHEX BATCH WHICH``: it is killed before the commit of
batch number ``WHICH`` (from 1), or not at all with 0.
"""

from __future__ import annotations

import os
import signal
import sys
from datetime import UTC, datetime

from sqlalchemy import Connection, event

from node.ledger.erasure import Eraser, Order
from node.ledger.private import LedgerKey
from node.ledger.trust_log import operator
from node.storage.engine import open_engine
from tests.ledger.records import PATIENT


def main(url: str, key_hex: str, batch: int, which: int) -> None:
    engine = open_engine(url)
    key = LedgerKey(bytes.fromhex(key_hex))
    commits: list[None] = []

    def committing(_: Connection) -> None:
        commits.append(None)
        if len(commits) == which:
            os.kill(os.getpid(), signal.SIGKILL)

    event.listen(engine, "commit", committing)
    eraser = Eraser(
        engine,
        key,
        own="urn:oid:2.999.1",
        author=operator(),
        now=lambda: datetime.now(UTC),
        batch=batch,
    )
    eraser.run(
        Order(authority="patient", reason="person-request", token=key.patient_token(PATIENT))
    )


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
