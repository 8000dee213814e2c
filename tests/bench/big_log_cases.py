"""Cases of a made log: small and large baskets of exchanges that lie anywhere in it."""

from __future__ import annotations

import random
from typing import Final

from sqlalchemy import Engine, insert, select, text

from node.governance.case_rows import MOST_EVIDENCE
from node.storage.case_tables import CASE, EVIDENCE, MESSAGE
from node.storage.tables import ENTRY

CASES: Final = 100


def number_of(case: int) -> str:
    """What a case is called; the higher its number, the smaller its basket."""
    return f"2026-{case + 1:04}"


def put_cases(engine: Engine, entries: int) -> None:
    """Make the cases, unless the database has them: the first has as many exchanges as one may."""
    chance = random.Random(7)
    with engine.begin() as connection:
        if connection.execute(select(CASE.c.id).limit(1)).first():
            return
        for case in range(CASES):
            connection.execute(
                insert(CASE).values(
                    id=case, number=number_of(case), kind="flag", state="new", opened=0, due=0,
                    last=0, messages=1, incidents=1,
                )
            )  # fmt: skip
            wanted = max(1, MOST_EVIDENCE // (case + 1))
            numbers = chance.sample(range(entries), min(2 * wanted, entries))
            held = select(ENTRY.c.exchange_id).where(
                ENTRY.c.seq.in_(numbers), ENTRY.c.exchange_id.is_not(None)
            )
            ids = sorted(set(connection.execute(held).scalars()))
            connection.execute(
                insert(EVIDENCE),
                [{"case_id": case, "exchange_id": each, "message": 1} for each in ids[:wanted]],
            )
            connection.execute(
                insert(MESSAGE).values(
                    case_id=case, number=1, t=0, verb="open", who="somebody", state="new",
                    seq=numbers[0],
                )
            )  # fmt: skip
    if engine.dialect.name == "postgresql":
        with engine.begin() as connection:  # as autovacuum does in a while
            for table in (CASE, EVIDENCE, MESSAGE):
                connection.execute(text(f"ANALYZE {table.name}"))
