"""Compares our log with a peer's about one day, and keeps what came of it.

Both sides state what they hold of each other (``node.ledger.statement``), each bound to the entry
that its own log has of the statement. Neither shows the other anything about third parties.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import date
from typing import BinaryIO, Final

import orjson
from sqlalchemy import delete, insert, select, update

from node.errors import CodedError, LogError, OurFault
from node.exchange.ports import PeerEntry
from node.ledger import leaf
from node.ledger.differences import Compared, Difference, compare, meanings
from node.ledger.peer_log import PeerLog
from node.ledger.review import Found, open_items
from node.ledger.stated import Stated, no_agreement
from node.ledger.stated_there import ReadStatement, check_stated, proved_entry
from node.ledger.statement import HEAD_LINES, MAX_LINE, Head, Row, Window, read_rows
from node.live_identities import LiveIdentities
from node.live_trust import LiveTrust
from node.model import HomeCommunityId, Peer, Transaction
from node.opened import OpenedHome
from node.pairs import ourselves, statements
from node.peer_logs import log_of
from node.peer_pool import PeerPool, peer_pool
from node.peers.pair_client import PairClient
from node.storage.engine import IMMEDIATE
from node.storage.tables import OPEN_PROMISE, PROMISE, RECONCILED

SOURCE: Final = "reconciliation"

STATED: Final = "stated"
"""The state of a log promise whose exchange stands in the peer's statement."""
_LISTED: Final = 100_000
_ROW_BYTES: Final = 130
_CHUNK: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """One case of a class: the number of our entry, where we have it, and the exchange's token."""

    difference: Difference
    token: str
    seq: int | None
    ours: Row | None
    theirs: Row | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciled:
    """What comparing came to.

    Attributes:
        peer: HCID.
        window: the day.
        counts: exchanges by class; one may be in several classes of mismatch.
        listed: the cases that somebody has to look into, as far as they are listed.
        new: review items that were made.
        rows: of our statement and of the peer's.
        entries: the number of the entry of each statement, in its own log.
    """

    peer: str
    window: date
    counts: dict[str, int]
    listed: tuple[Listed, ...]
    new: int
    rows: tuple[int, int]
    entries: tuple[int, int]

    @property
    def agree(self) -> bool:
        """Whether nothing has to be looked into."""
        return not any(
            count and meanings()[Difference(name)].review for name, count in self.counts.items()
        )


class Reconciler:
    """Compares with peers over connections that are opened elsewhere."""

    def __init__(self, opened: OpenedHome, pool: PeerPool) -> None:
        """``pool`` is where peers are reached."""
        self._opened = opened
        self._statements = statements(opened)
        settings = opened.settings.log
        self._most = settings.reconcile_rows
        self._client = PairClient(
            pool.session,
            pool.judge_server,
            own=opened.home_community_id,
            seconds=settings.reconcile_seconds,
        )

    @property
    def client(self) -> PairClient:
        """How peers are asked."""
        return self._client

    def entry(self, key: str) -> PeerEntry:
        """The peer with an HCID or a directory id.

        Raises:
            OurFault: ``log-peer-unknown``.
        """
        peers = self._opened.peers
        found = peers.by_home_community_id(HomeCommunityId(key)) or peers.by_organization_id(key)
        if found is None:
            raise OurFault("log-peer-unknown", f"The directory has no organisation {key}.")
        return found

    def log_of(self, entry: PeerEntry) -> PeerLog:
        """The log that a peer's entry names.

        Raises:
            OurFault: ``log-peer-unknown``.
        """
        log = log_of(self._opened.view, entry.organization_id)
        if log is None or not log.agreement or not log.address:
            raise no_agreement()
        return log

    async def run(self, entry: PeerEntry, window: date) -> Reconciled:
        """Compare, note how that ended, and make review items of what differs.

        Raises:
            CodedError: when it could not be done; that is noted as well.
        """
        try:
            found = await self._run(entry, window)
        except CodedError as error:
            await asyncio.to_thread(
                self._note, entry.home_community_id, window, failure=error.code, counts={}
            )
            raise
        await asyncio.to_thread(self._note, found.peer, window, failure=None, counts=found.counts)
        await asyncio.to_thread(self._stated, found)
        return found

    async def _run(self, entry: PeerEntry, window: date) -> Reconciled:
        log = self.log_of(entry)
        hcid = str(entry.home_community_id)
        stated = await asyncio.to_thread(
            self._statements.of, ourselves(self._opened), hcid, log, window
        )
        peer = as_peer(entry)
        proof = await self._client.stated(peer, log, window)
        fields, _ = proved_entry(proof, log)
        check_stated(fields, peer=hcid, own=stated.head.own, window=window)
        with tempfile.TemporaryFile() as file:
            most = (self._most + HEAD_LINES) * _ROW_BYTES + MAX_LINE * HEAD_LINES
            await self._client.statement(peer, log, window, file, most=most)
            return await asyncio.to_thread(self._compare, hcid, log, stated, file, fields)

    def _compare(
        self, hcid: str, log: PeerLog, stated: Stated, file: BinaryIO, fields: leaf.Leaf
    ) -> Reconciled:
        head = stated.head
        theirs = ReadStatement(file, fields, most=self._most)
        told = theirs.check_head(log=log.name, peer=hcid, own=head.own, window=head.window)
        if told.keys != (head.keys[1], head.keys[0]):
            raise LogError(
                "log-statement-keys", "The peer made its statement with other agreement keys."
            )
        counts: Counter[str] = Counter()
        kept: list[Compared] = []
        with stated.file.open("rb") as own:
            lines = (line.rstrip(b"\n") for line in own)
            for _ in range(HEAD_LINES):
                next(lines)
            window = Window(day=head.window)
            for each in compare(read_rows(lines, head), theirs.rows(), window):
                counts[each.difference.value] += 1
                if meanings()[each.difference].review and len(kept) < _LISTED:
                    kept.append(each)
        listed = tuple(self._listed(hcid, log, head, kept))
        found = (
            Found(
                source=SOURCE,
                kind=each.difference.value,
                peer=hcid,
                window=head.window.isoformat(),
                seq=each.seq,
                token=each.token,
            )
            for each in listed
        )
        return Reconciled(
            peer=hcid,
            window=head.window,
            counts={each.value: counts[each.value] for each in Difference},
            listed=listed,
            new=open_items(self._opened.engine, found, now=self._opened.clock.now()),
            rows=(head.rows, told.rows),
            entries=(stated.seq, int(fields["seq"])),
        )

    def _listed(
        self, hcid: str, log: PeerLog, head: Head, kept: Iterable[Compared]
    ) -> list[Listed]:
        kept = list(kept)
        wanted = {each.token for each in kept if each.ours}
        numbers = (
            self._statements.numbers(ourselves(self._opened), hcid, log, head.window, wanted)
            if wanted
            else {}
        )
        return [
            Listed(
                difference=each.difference,
                token=each.token.hex(),
                seq=numbers.get(each.token),
                ours=each.ours,
                theirs=each.theirs,
            )
            for each in kept
        ]

    def _note(
        self, peer: str, window: date, *, failure: str | None, counts: dict[str, int]
    ) -> None:
        at = (RECONCILED.c.peer == peer, RECONCILED.c.window == window.isoformat())
        engine = self._opened.engine.execution_options(**{IMMEDIATE: True})
        with engine.begin() as connection:
            connection.execute(delete(RECONCILED).where(*at))
            connection.execute(
                insert(RECONCILED).values(
                    peer=peer,
                    window=window.isoformat(),
                    t=leaf.milliseconds(self._opened.clock.now()),
                    failure=failure,
                    counts=orjson.dumps({n: c for n, c in counts.items() if c}).decode(),
                )
            )

    def _stated(self, found: Reconciled) -> None:
        """Promises of a day are kept so far: the peer's sealed statement has their exchanges."""
        window = Window(day=found.window)
        omitted = [
            each.seq
            for each in found.listed
            if each.difference is Difference.OMITTED_THERE and each.seq is not None
        ]
        of_day = (
            PROMISE.c.state == OPEN_PROMISE,
            PROMISE.c.t >= window.first,
            PROMISE.c.t < window.last,
            PROMISE.c.peer == found.peer,
        )
        engine = self._opened.engine.execution_options(**{IMMEDIATE: True})
        with engine.begin() as connection:
            connection.execute(update(PROMISE).where(*of_day).values(state=STATED))
            for start in range(0, len(omitted), _CHUNK):
                of_these = PROMISE.c.seq.in_(omitted[start : start + _CHUNK])
                stated = PROMISE.c.state == STATED
                connection.execute(
                    update(PROMISE).where(of_these, stated).values(state=OPEN_PROMISE)
                )

    def done(self, peer: str, window: date) -> bool:
        """Whether a day was compared with a peer already."""
        query = select(RECONCILED.c.failure).where(
            RECONCILED.c.peer == peer, RECONCILED.c.window == window.isoformat()
        )
        with self._opened.engine.connect() as connection:
            row = connection.execute(query).first()
        return row is not None and row[0] is None


def as_peer(entry: PeerEntry) -> Peer:
    """A directory entry as whom we connect to."""
    return entry.peer(Transaction.ITI_55)


@asynccontextmanager
async def reconciling(
    opened: OpenedHome, trust: LiveTrust, identities: LiveIdentities | None = None
) -> AsyncIterator[Reconciler]:
    """Open connections; closed when the block ends. Raises ``TrustError``."""
    async with peer_pool(opened, trust, identities) as pool:
        yield Reconciler(opened, pool)
