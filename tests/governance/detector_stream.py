"""A random but repeatable life of a node: legs that come late, erasures, suspensions, sweeps.

Two sweepers look at the same log each time: one that begins with nothing, whose findings are taken
away again, and one that goes on. Some sweeps are those of another process. The limits are so low
that nearly every detector finds something.
"""

from __future__ import annotations

from datetime import timedelta
from random import Random
from uuid import UUID

from sqlalchemy import Engine, delete, func, insert, select

from directory.model import PinUse
from node.governance.access.patient_marks import identifier_marks
from node.governance.access.tables import ENCOUNTER, PATIENT
from node.governance.case_routing import Routing
from node.governance.cases import Cases
from node.governance.detector_tables import FLAG, FLAG_ENTRY, SWEEP
from node.governance.detectors.care import OwnCare
from node.governance.detectors.catalogue import State
from node.governance.detectors.memory import Memory
from node.governance.detectors.sweep import MOST_NEW, Sweeper
from node.ledger import leaf
from node.ledger.erasure import Eraser, Order
from node.ledger.private import LedgerKey
from node.model import Direction, Outcome, PatientId, PrivateFacts, Transaction
from node.storage.tables import ENTRY
from tests.governance.detector_world import LEA, OWN, World, asked, opened

LIMITS: dict[str, dict[str, float]] = {
    "D01": {"days": 5, "patients": 2, "factor": 1},
    "D04": {"patients": 1},
    "D07": {"flags": 2},
    "D08": {"discoveries": 5, "share": 0.1, "documents": 1},
    "D09": {"documents": 20, "ratio": 2},
    "D10": {"asked": 10, "each": 1},
    "D11": {"asked": 5, "states": 2},
    "D12": {"wrong": 1, "people": 2},
    "D13": {"patients": 2, "small": 1},
    "D14": {"asked": 5, "share": 0.1, "run": 4},
    "D15": {"times": 1, "minutes": 1440},
    "T02": {"patients": 5, "factor": 1},
    "T03": {"times": 3, "hours": 168},
    "T09": {"times": 1},
    "T10": {"lists": 5, "share": 0.1, "taken": 0.1},
    "T11": {"asked": 10, "share": 0.5},
}
PURPOSES = ("T-TRTMNT", "T-TREAT", "T-PYMNT", "T-HCO")
OUTCOMES = (Outcome.OK, Outcome.OK, Outcome.OK_EMPTY, Outcome.DECLINED, Outcome.TIMED_OUT)
MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
Findings = list[tuple[object, ...]]


class Stream:
    """One life; ``rows`` is all that was found, ``fullest`` the most legs that were kept."""

    def __init__(self, store: Engine, seed: int, *, most: int = 60, longest: int = 12) -> None:
        self.chance = Random(seed)
        self.world = World(store, LedgerKey(bytes([seed]) * 32))
        self.sizes = {"most": most, "longest": longest}
        self.lasting = self.sweeper()
        self.rows: Findings = []
        self.fullest = 0
        for code, limits in LIMITS.items():
            self.world.set(code, State.SHADOW, **limits)

    @property
    def detectors(self) -> set[object]:
        """Those that found something."""
        return {row[1] for row in self.rows if len(row) > len(FLAG_ENTRY.c) + 1}

    def memory(self) -> Memory:
        return Memory(self.world.store, self.world.key, self.world.directory, **self.sizes)

    def sweeper(self) -> Sweeper:
        world = self.world
        routing = Routing(world.store, Cases(world.store, world.key, own=OWN), lambda _: "")
        return Sweeper(
            world.store, world.key, routing, own=OWN, memory=self.memory,
            care=lambda: OwnCare(world.store, world.key, world.index),
        )  # fmt: skip

    def run(self, steps: int) -> None:
        for _ in range(steps):
            self.world.write(*(self.leg() for _ in range(self.chance.randrange(1, 14))))
            for act, odds in (
                (self.erase, 0.15), (self.suspend, 0.15), (self.care, 0.3), (self.switch, 0.2)
            ):  # fmt: skip
                if self.chance.random() < odds:
                    act()
            self.sweep()

    def sweep(self) -> None:
        """By both, or by another process."""
        days = self.chance.choices((0, 1, 3, 40), (10, 5, 3, 1))[0]
        minutes = self.chance.choice((15, 15, 15, 300, -300))
        self.world.now += days * DAY + minutes * MINUTE
        most = self.chance.choice((3, 8, MOST_NEW, MOST_NEW, MOST_NEW))
        if self.chance.random() < 0.1:
            self._swept(self.lasting, MOST_NEW)  # it saw more than the one that comes after it
            self._take_back()
        fresh = self._swept(self.sweeper(), most)
        self.rows += fresh
        if self.chance.random() < 0.1:
            return
        self._take_back()
        assert self._swept(self.lasting, most) == fresh
        self._compare()

    def _compare(self) -> None:
        """Each window that is kept is the one that would be read."""
        kept = self.lasting._memory
        self.fullest = max(self.fullest, len(kept))
        read = self.memory()
        read.catch_up(kept._reached, kept._now)
        for whom in list(kept._windows._kept):
            assert kept.window(whom) == read.window(whom), whom

    def _swept(self, sweeper: Sweeper, most: int) -> Findings:
        with self.world.store.connect() as connection:
            before = connection.execute(select(func.max(FLAG.c.id))).scalar() or 0
            self.before = before, connection.execute(select(func.max(SWEEP.c.id))).scalar() or 0
        swept = sweeper.run(now=self.world.now, most=most)
        assert not swept.failed
        flags = select(FLAG).where(FLAG.c.id > before).order_by(FLAG.c.id)
        entries = select(FLAG_ENTRY).where(FLAG_ENTRY.c.flag > before)
        with self.world.store.connect() as connection:
            found: Findings = [
                (swept.exchanges, swept.flags, swept.shadow, swept.more),
                *(tuple(row) for row in connection.execute(flags)),
                *sorted(tuple(row) for row in connection.execute(entries)),
            ]
        return found

    def _take_back(self) -> None:
        flag, sweep = self.before
        with self.world.store.begin() as connection:
            connection.execute(delete(FLAG_ENTRY).where(FLAG_ENTRY.c.flag > flag))
            connection.execute(delete(FLAG).where(FLAG.c.id > flag))
            connection.execute(delete(SWEEP).where(SWEEP.c.id > sweep))

    def leg(self) -> dict[str, object]:
        chance = self.chance
        past = chance.choices((0, 0.5, 6, 20, 100, -2), (70, 10, 6, 5, 3, 2))[0]
        seconds = chance.randrange(chance.choice((20, 600)))
        started = self.world.now - past * DAY - timedelta(seconds=seconds)
        patient = chance.randrange(8)
        common = {
            "exchange_id": str(UUID(int=chance.getrandbits(128) if chance.random() < 0.7 else 7)),
            "started": started,
            "purpose": chance.choice(PURPOSES),
            "outcome": chance.choice(OUTCOMES),
            "documents": chance.choice((0, 5, 20)),
            "transaction": chance.choice(
                (Transaction.ITI_55, Transaction.ITI_55, Transaction.ITI_38, Transaction.ITI_39)
            ),
            "synthetic": chance.random() < 0.05,
        }
        if chance.random() < 0.35:
            made = opened(patient, chance.choice(("r.doe", "m.roe")), **common)
            if chance.random() < 0.5:
                made["transaction"] = Transaction.ITI_55
            return made
        given = asked(patient, chance.randrange(1, 5), **common)
        given["direction"] = chance.choice((Direction.RESPONDING,) * 4 + (Direction.INITIATING,))
        given["facts"] = self._facts(patient)
        return given

    def _facts(self, patient: int) -> PrivateFacts:
        chance = self.chance
        identifiers = [{"assigning_authority": "2.999.9", "id": f"M{patient}"}]
        user, npi = chance.choice(("clerk", "r.doe", "m.roe")), chance.choice(("1234567893", "17"))
        who = {"user_id": user, "npi": npi}
        names = chance.choice(("$XDSDocumentEntryStatus", "$XDSDocumentEntryCreationTimeFrom"))
        lists = {"parameters": [[names, ["2020"]]]}
        asked_with = {
            "demographics": {
                "addresses": [{"state": chance.choice(("WI", "MN", "TX"))}],
                "identifiers": identifiers if chance.random() < 0.6 else [],
            }
        }
        return PrivateFacts(
            who=who if chance.random() < 0.6 else {},
            patient={"ids": [f"P{patient}^^^&2.999.8&ISO"]},
            query=chance.choice((asked_with, asked_with, lists)),
            docs=[{"id": f"d{patient}", "sha256": f"{patient % 2:064x}", "size": 100}],
        )

    def erase(self) -> None:
        with self.world.store.connect() as connection:
            seqs = connection.execute(
                select(ENTRY.c.seq)
                .where(ENTRY.c.kind == "exchange")
                .order_by(ENTRY.c.seq.desc())
                .limit(60)
            ).scalars()
            chosen = tuple(self.chance.sample(sorted(seqs), 1))
        parts = (self.chance.choice(("who", "patient", "query", "docs")),)
        Eraser(
            self.world.store, self.world.key, own=OWN, author=LEA, now=lambda: self.world.now
        ).run(Order(authority="patient", reason="person-request", parts=parts, seqs=chosen))

    def suspend(self) -> None:
        one, other = self.chance.sample(self.world.ids[:4], 2)
        local = self.world.directory.local
        if self.chance.random() < 0.4:
            local.resume(one, now=self.world.now)
            return
        for each in (one, other):
            local.pin(each, "ab" * 32, PinUse.TLS, now=self.world.now)
        local.suspend(one, "Asks for people it never treats.", now=self.world.now)

    def care(self) -> None:
        """An encounter of a patient, that we were told of late."""
        number = self.chance.randrange(8)
        patient = PatientId(assigning_authority="2.999.71.5", id=f"MRN{number}")
        with self.world.store.begin() as connection:
            identity = (connection.execute(select(func.max(ENCOUNTER.c.id))).scalar() or 0) + 1
            t = leaf.milliseconds(self.world.now - self.chance.randrange(60) * DAY)
            row = {"id": identity, "visit": identity.to_bytes(16, "big"), "last": t}
            connection.execute(insert(ENCOUNTER).values(**row, sealed=b"x"))
            mark = identifier_marks(self.world.key, [patient])[0]
            connection.execute(insert(PATIENT).values(mark=mark, encounter_id=identity))

    def switch(self) -> None:
        """A detector is switched off, or looks again."""
        code = self.chance.choice(sorted(LIMITS))
        self.world.set(code, self.chance.choice((State.OFF, State.SHADOW, State.SHADOW)))
