"""A log with everything in it, sealed, with its database: to be compared, changed and compared."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Engine

from node.ledger.compared import Compared, YearLog
from node.ledger.entry_source import StoredEntries, write_heartbeat
from node.ledger.erasure import Eraser, Order
from node.ledger.fsck import Fsck
from node.ledger.hold import Hold, digest, place_hold
from node.ledger.ledger import ExchangeLedger
from node.ledger.log_files import LogFolder
from node.ledger.private import LedgerKey
from node.ledger.sealer import Sealer, Shard, verifier_key
from node.ledger.tlog.policy import of_log
from node.ledger.trust_change import TrustChange
from node.ledger.trust_log import TrustLog, operator
from node.storage.engine import IMMEDIATE
from tests.ledger.records import OWN, START, record
from trust.decision import TrustDecision, digest_of
from trust.log_key import LogKeySigner, generate_log_key

KEY = LedgerKey(bytes(range(32)))
SHARD = Shard(origin="log.test.example/exchange/2026", first=0)
SIGNER = LogKeySigner(key=generate_log_key())
ERASED, HELD, PLAIN, BEAT = 5, 9, 41, 262
"""Numbers of entries: with erased groups, under a hold, an ordinary one, a heartbeat."""

SEALED = 270


def decision(text: str) -> TrustDecision:
    body = f'{{"reason":"{text}"}}'.encode()
    return TrustDecision(digest=digest_of(body), body=body)


async def _append(engine: Engine, count: int) -> None:
    ledger = ExchangeLedger(engine, KEY)
    try:
        trust = decision("good")
        await asyncio.gather(*(ledger.append(record(trust=trust)) for _ in range(count)))
    finally:
        ledger.close()


def fill(engine: Engine, folder: Path) -> None:
    """270 sealed entries of every kind, and 4 that are durable only."""
    asyncio.run(_append(engine, 150))
    seal(engine, folder)
    asyncio.run(_append(engine, 106))
    Eraser(engine, KEY, own=OWN, author=operator(), now=lambda: datetime.now(UTC)).run(
        Order(authority="patient", reason="person-request", seqs=(ERASED,))
    )  # 4 entries
    trust = TrustLog(engine, lambda: KEY, own=OWN, author=operator(), now=lambda: datetime.now(UTC))
    change = TrustChange(act="hold-add", reason="litigation")
    with (
        trust.change(change) as made,
        engine.execution_options(**{IMMEDIATE: True}).begin() as connection,
    ):
        hold = Hold(reason="litigation", placed_by="me", placed=1, first=HELD, last=HELD)
        number = place_hold(connection, hold)
        row = {"hold": number, "row": digest(number, hold)}
        made.add(TrustChange(act="hold-add", private=row))
    for _ in range(SEALED - 262):
        write_heartbeat(engine, KEY, own=OWN, now=START)
    seal(engine, folder)
    asyncio.run(_append(engine, 4))


def seal(engine: Engine, folder: Path) -> None:
    sealer = Sealer(
        LogFolder(folder / "log"),
        SHARD,
        StoredEntries(engine),
        memory=LogFolder(folder / "signed"),
        name="2026",
        signers=lambda: (SIGNER,),
    )
    sealer.run()
    sealer.close()


def year_log(folder: Path) -> YearLog:
    memory = folder / "signed" / "2026"
    return YearLog(
        year=2026,
        folder=LogFolder(folder / "log"),
        shard=SHARD,
        policy=of_log(verifier_key(SHARD.origin, SIGNER)),
        memory=memory.read_bytes() if memory.exists() else None,
    )


def compare(engine: Engine, folder: Path, key: LedgerKey = KEY) -> Compared:
    return Fsck(engine, key, [year_log(folder)]).run()


def found(compared: Compared) -> set[tuple[str, int | None]]:
    """Codes with the numbers of entries."""
    return {(each.finding.code, each.seq) for each in compared.findings}


def files(folder: Path) -> Sequence[Path]:
    """Every file that is compared."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.is_file() and path.suffix not in (".lock", ".keys", ".db") and path.name != ".lock"
    )


def copied(world: Path, place: Path) -> Path:
    return Path(shutil.copytree(world, place))
