"""A process that changes trust: run as ``python -m tests.ledger.trust_changer URL KEYHEX COUNT``.

With ``COUNT`` 0 it dies, as by SIGKILL, between the two entries of its only change.
"""

from __future__ import annotations

import os
import signal
import sys
from datetime import UTC, datetime

from node.ledger.private import LedgerKey
from node.ledger.trust_change import TrustChange
from node.ledger.trust_log import TrustLog, operator
from node.storage.engine import open_engine


def main(url: str, key: str, count: int) -> None:
    log = TrustLog(
        open_engine(url),
        lambda: LedgerKey(bytes.fromhex(key)),
        own="urn:oid:2.999.1",
        author=operator(),
        now=lambda: datetime.now(UTC),
    )
    change = TrustChange(act="peer-suspend", organization_id="2.999.72")
    if not count:
        with log.change(change):
            os.kill(os.getpid(), signal.SIGKILL)
    for _ in range(count):
        with log.change(change):
            pass


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
