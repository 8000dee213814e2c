"""A process that appends under load and tells each receipt once it has it; made to be killed.

Run as ``python -m tests.ledger.appender URL KEYHEX``. Each line is ``seq entry_id``; the write to
the pipe stands for the answer that leaves.
"""

from __future__ import annotations

import asyncio
import os
import sys
import uuid

from node.ledger.ledger import ExchangeLedger
from node.ledger.private import LedgerKey
from node.model import LegId
from node.storage.engine import open_engine
from tests.ledger.records import record

APPENDERS = 64


async def append_for_ever(ledger: ExchangeLedger) -> None:
    while True:
        receipt = await ledger.append(record(leg_id=LegId(str(uuid.uuid4()))))
        os.write(1, f"{receipt.seq} {receipt.entry_id}\n".encode())


async def main(url: str, key: str) -> None:
    ledger = ExchangeLedger(open_engine(url), LedgerKey(bytes.fromhex(key)), batch=32)
    await asyncio.gather(*(append_for_ever(ledger) for _ in range(APPENDERS)))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))
