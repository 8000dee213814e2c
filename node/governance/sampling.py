"""The outcome sample: each month, some exchanges of every asker are drawn for people to judge.

The detector T12 says whether and how many. Who asked is a peer, or we ourselves. A month is drawn
once, by the first sweep after it has settled; draw and entry are one transaction. In shadow that is
all; while T12 is on, each drawn exchange of the newest month gets a case of its own, of the kind
``outcome-sample``: its outcome is the verdict, with who, when and why, as of any case.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Final

from sqlalchemy import Connection, Engine, insert, select, tuple_, update

from node.errors import OurFault
from node.governance.case_model import NODE, Person, Refusal
from node.governance.case_rows import SAMPLED, Opening
from node.governance.cases import Actor, Cases
from node.governance.detectors.catalogue import SAMPLE as DETECTOR
from node.governance.detectors.catalogue import State
from node.governance.detectors.store import settings
from node.governance.lots import Lots, days_of, month_to_draw
from node.governance.sample_tables import DRAW, SAMPLE
from node.ledger import leaf
from node.ledger.hold import lock_log
from node.ledger.leaf import Kind
from node.ledger.private import LedgerKey
from node.ledger.trust_change import TrustChange
from node.ledger.trust_log import NODE as NODE_AUTHOR
from node.ledger.trust_log import write_fact
from node.model import Direction
from node.storage.engine import IMMEDIATE
from node.storage.tables import ENTRY

DUE_WITHIN: Final = timedelta(days=30)
"""By when a drawn exchange is to be judged: before the next month is drawn, or nearly so."""

_AT_ONCE: Final = 1000
_TEST: Final = b'"test":'
"""In the leaf of a connectivity test of ours, which is about nobody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampled:
    """What was drawn now, and the numbers of the cases that were opened now."""

    drawn: int = 0
    cases: tuple[str, ...] = ()


class Sampler:
    """Draws, and opens cases. Usable from several threads and processes."""

    def __init__(
        self,
        engine: Engine,
        key: LedgerKey,
        cases: Cases,
        peer_name: Callable[[str], str | None],
        *,
        own: str,
    ) -> None:
        """``own`` is our HCID."""
        self._engine = engine
        self._immediate = engine.execution_options(**{IMMEDIATE: True})
        self._key = key
        self._cases = cases
        self._peer_name = peer_name
        self._own = own
        self._actor = Actor(person=Person(login=NODE), author=NODE_AUTHOR)

    def run(self, *, now: datetime, rest: Callable[[], None] = lambda: None) -> Sampled:
        """Draw the newest whole month if nobody has, and open the cases that it lacks.

        ``rest`` is called between steps, and may end it by raising.

        Raises:
            OurFault: when the log cannot take an entry; what is left over, the next one does.
        """
        setting = settings(self._engine)[DETECTOR]
        if setting.state is State.OFF:
            return Sampled()
        month, drawn = month_to_draw(now), 0
        with self._engine.connect() as connection:
            known = self._is_drawn(connection, month)
        if not known:
            lots = self._lots(month, int(setting.limits["exchanges"]), rest)
            drawn = self._write(month, lots, int(setting.limits["cases"]), now)
        cases = self._open(month, now, rest) if setting.state is State.ON else ()
        return Sampled(drawn=drawn, cases=cases)

    def _is_drawn(self, connection: Connection, month: str) -> bool:
        """Each draw has a row of ours, also of a month in which nobody asked."""
        mine = (DRAW.c.month == month) & (DRAW.c.asker == self._own)
        return connection.execute(select(DRAW.c.t).where(mine)).scalar() is not None

    def _lots(self, month: str, each: int, rest: Callable[[], None]) -> Lots:
        lots = Lots(month, lambda text: self._key.token("outcome-sample", text), each=each)
        for day, end in pairwise(leaf.milliseconds(each) for each in days_of(month)):
            lots.next_day()
            after: tuple[int, int] | None = (day, -1)
            while after is not None:
                after = self._step(lots, after, end)
                rest()
        return lots

    def _step(self, lots: Lots, after: tuple[int, int], end: int) -> tuple[int, int] | None:
        """Take the next entries before ``end``; the last one's place, if there may be more."""
        query = (
            select(
                ENTRY.c.t.label("began"), ENTRY.c.seq, ENTRY.c.kind, ENTRY.c.direction,
                ENTRY.c.peer, ENTRY.c.exchange_id, ENTRY.c.leaf,
            )
            .where(tuple_(ENTRY.c.t, ENTRY.c.seq) > tuple_(*after), ENTRY.c.t < end)
            .order_by(ENTRY.c.t, ENTRY.c.seq)
            .limit(_AT_ONCE)
        )  # fmt: skip
        with self._engine.connect() as connection:
            rows = connection.execute(query).all()
        for row in rows:
            if row.kind != Kind.EXCHANGE.value or _TEST in bytes(row.leaf):
                continue
            asker = self._own if row.direction == Direction.INITIATING.value else row.peer
            if asker is not None:  # nobody knows who a caller was whom we refused before it said so
                lots.add(asker, row.exchange_id)
        return (rows[-1].began, rows[-1].seq) if len(rows) == _AT_ONCE else None

    def _write(self, month: str, lots: Lots, most: int, now: datetime) -> int:
        """Write the draw and its entry; how many were drawn, none when somebody was faster."""
        chosen = lots.drawn(most=most, first=self._own)
        with self._immediate.begin() as connection:
            lock_log(connection)
            if self._is_drawn(connection, month):
                return 0
            ids = [exchange for each in chosen.values() for exchange in each]
            known = set(
                connection.execute(
                    select(SAMPLE.c.exchange_id).where(SAMPLE.c.exchange_id.in_(ids))
                ).scalars()
            )
            rows = [
                {"exchange_id": exchange, "month": month, "asker": asker, "case_number": None}
                for asker, each in chosen.items()
                for exchange in each
                if exchange not in known  # one that lasted over the end of the month before
            ]
            change = TrustChange(
                act="sample-draw",
                counts={"entries": sum(lots.counted.values()), "added": len(rows)},
                private={
                    "month": month,
                    "askers": len(chosen),
                    "left_out": len(lots.counted) - len(chosen),
                },
            )
            receipt, _ = write_fact(
                connection, self._key, change, author=NODE_AUTHOR, own=self._own, now=now
            )
            taken = [row["asker"] for row in rows]
            connection.execute(
                insert(DRAW),
                [
                    {
                        "month": month,
                        "asker": asker,
                        "exchanges": lots.counted.get(asker, 0),
                        "drawn": taken.count(asker),
                        "t": leaf.milliseconds(now),
                        "entry": receipt.seq,
                    }
                    for asker in {self._own: None, **chosen}
                ],
            )
            if rows:
                connection.execute(insert(SAMPLE), rows)
        return len(rows)

    def _open(self, month: str, now: datetime, rest: Callable[[], None]) -> tuple[str, ...]:
        query = (
            select(SAMPLE.c.exchange_id, SAMPLE.c.asker, DRAW.c.exchanges)
            .join(DRAW, (DRAW.c.month == SAMPLE.c.month) & (DRAW.c.asker == SAMPLE.c.asker))
            .where(SAMPLE.c.month == month, SAMPLE.c.case_number.is_(None))
            .order_by(SAMPLE.c.asker, SAMPLE.c.exchange_id)
        )
        with self._engine.connect() as connection:
            lacking = connection.execute(query).all()
        found = []
        for exchange, asker, of in lacking:
            found.append(self._case(exchange, self._sentence(month, asker, of), now))
            rest()
        return tuple(found)

    def _sentence(self, month: str, asker: str, of: int) -> str:
        who = "we" if asker == self._own else self._peer_name(asker) or asker
        return (
            f"Drawn by lot from the {of:,} that {who} asked for in {month}: were the question and"
            " its answer in order?"
        )

    def _case(self, exchange: str, text: str, now: datetime) -> str:
        opening = Opening(kind=SAMPLED, text=text, exchanges=(exchange,), due=now + DUE_WITHIN)
        number = self._cases.open(self._actor, opening, now=now)
        if isinstance(number, Refusal):
            raise OurFault("detector-case-refused", number.sentence)
        with self._immediate.begin() as connection:
            connection.execute(
                update(SAMPLE).where(SAMPLE.c.exchange_id == exchange).values(case_number=number)
            )
        return number
