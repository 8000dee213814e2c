"""A store with legs of peers and of our own people, and the detectors over it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from sqlalchemy import Engine

from directory.store import DirectoryStore
from node.governance.detectors.catalogue import State
from node.governance.detectors.store import Setting, settings
from node.governance.detectors.sweep import MOST_NEW
from node.governance.detectors.trying import of_try
from node.governance.watching import watching
from node.ledger.ledger import ExchangeLedger
from node.ledger.private import LedgerKey
from node.ledger.trust_change import Author
from node.ledger.trust_log import write_fact
from node.model import Direction, HomeCommunityId, Outcome, Peer, PrivateFacts, Transaction
from node.records.entries import Community
from node.records.index import RecordIndex
from tests.bench.organizations import organization, rows_of
from tests.ledger.records import new_id, record

NOW = datetime(2026, 11, 27, 15, 30, tzinfo=UTC)
OWN = "urn:oid:2.999.71"
AUTHORITY = "2.999.71.1"
LEA = Author(by="user", who={"user_id": "lea"})
WHY = "Tried on the last days, and it was right."
CANARY = "Canaryson"


def hcid(number: int) -> str:
    return f"urn:oid:2.999.2.{number}"


class World:
    """Peers 1 to 9 in the directory, a log, and a clock that is set by hand."""

    def __init__(self, store: Engine, key: LedgerKey | None = None) -> None:
        self.store = store
        self.key = key or LedgerKey(os.urandom(32))
        self.now = NOW
        self.directory = DirectoryStore(store)
        entries = [
            replace(organization(n), name=f"Peer {n}", home_community_ids=(hcid(n),),
                    managing_organization=None, part_of=None)
            for n in range(1, 10)
        ]  # fmt: skip
        self.ids = [each.id for each in entries]
        rows = (row for each in entries for row in rows_of(each))
        self.directory.import_rows(rows, source="test", now=NOW)
        community = Community(
            home_community_id=HomeCommunityId(OWN), assigning_authority=AUTHORITY,
            repository_unique_id="2.999.71.2",
        )  # fmt: skip
        self.index = RecordIndex(store, community)
        self.parts = watching(store, self.key, self.directory, self.index, own=OWN)

    def tried(self, code: str, **limits: float) -> None:
        """Write down that a detector was tried with these limits."""
        setting = settings(self.store)[code]
        change = of_try(setting.detector, {**setting.limits, **limits}, subjects=0, flags=0)
        with self.store.begin() as connection:
            write_fact(connection, self.key, change, author=LEA, own=OWN, now=self.now)

    def set(self, code: str, state: State | None = State.ON, **limits: float) -> Setting:
        if state is State.ON:
            self.tried(code, **limits)
        return self.parts.detectors.set(
            code, LEA, login="lea", state=state, limits=limits, reason=WHY, now=self.now
        )

    def write(self, *legs: Mapping[str, object]) -> None:
        """Append legs; what they lack is that of a discovery by peer 1 that found nobody."""

        async def append() -> None:
            ledger = ExchangeLedger(self.store, self.key)
            for each in legs:
                await ledger.append(record(**each))  # type: ignore[arg-type]
            ledger.close()

        asyncio.run(append())

    def sweep(self, minutes: int = 15, most: int = MOST_NEW):
        self.now += timedelta(minutes=minutes)
        return self.parts.sweeper.run(now=self.now, most=most)

    def probing(self, count: int, peer: int = 1, first: int = 0) -> None:
        """A peer asks about so many people, none of whom is known."""
        times = (self.now - timedelta(seconds=61 * (count - n)) for n in range(count))
        self.write(*(asked(first + n, peer, started=t) for n, t in enumerate(times)))


def asked(number: int, peer: int = 1, **more: object) -> dict[str, object]:
    """A peer asks about one person whom we do not know."""
    who = {"user_id": f"clerk@peer{peer}.example", "subject_id": f"Clerk {CANARY}"}
    person = {
        "names": [{"family": CANARY, "given": [f"G{number}"]}],
        "birth_date": "19691231",
        "identifiers": [{"assigning_authority": f"2.999.2.{peer}.1", "id": f"M{number * 7}"}],
    }
    return {
        "exchange_id": new_id(),
        "peer": Peer(organization_id=f"org-{peer}", home_community_id=HomeCommunityId(hcid(peer)),
                     name=f"Peer {peer}", address="https://peer.example/"),
        "direction": Direction.RESPONDING,
        "transaction": Transaction.ITI_55,
        "outcome": Outcome.OK_EMPTY,
        "started": NOW - timedelta(hours=1) + timedelta(seconds=number),
        "purpose": "T-TRTMNT",
        "facts": PrivateFacts(who=who, query={"demographics": person}),
        **more,
    }  # fmt: skip


def opened(number: int, user: str = "r.doe", **more: object) -> dict[str, object]:
    """One of ours asked about one patient, and documents came back."""
    person = {"identifiers": [{"assigning_authority": "2.999.71.5", "id": f"MRN{number}"}]}
    facts = PrivateFacts(
        who={"user_id": user, "subject_id": "R. Doe"}, query={"demographics": person},
        patient={"ids": [f"P{number}^^^&2.999.2.2.1&ISO"]},
    )  # fmt: skip
    ours = {"direction": Direction.INITIATING, "outcome": Outcome.OK, "facts": facts}
    return asked(number, 2, **{**ours, **more})
