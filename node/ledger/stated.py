"""Our own statements: made from the log once for a peer and a window, kept, an entry for each.

What was stated is what is shown from then on, byte for byte: the entry of kind ``recon`` has its
SHA-256. The file is written first and the entry after it; a file without an entry is written again.
A new statement is made only where a side's agreement key has become another one.
"""

from __future__ import annotations

import hashlib
import shutil
import uuid
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from sqlalchemy import Engine, and_, or_, select

from node.errors import LogError, OurFault
from node.ledger import leaf
from node.ledger.ledger import seal_draft, write_entries
from node.ledger.log_files import LogFolder
from node.ledger.pair_key import PairKey, pair_key
from node.ledger.peer_log import PeerLog
from node.ledger.private import LedgerKey, unseal
from node.ledger.record import Draft
from node.ledger.statement import (
    HEAD_LINES,
    MAX_LINE,
    Head,
    Row,
    Side,
    Window,
    key_digest,
    read_head,
    root_of,
    statement,
)
from node.model import Direction, Outcome, Transaction
from node.policy.reasons import reasons
from node.storage.engine import IMMEDIATE
from node.storage.tables import ENTRY, NO_EXCHANGE, PRIVATE

_PAGE: Final = 1000
_MOST_STATED: Final = 100
_NO_ANSWER: Final = frozenset({Outcome.TIMED_OUT, Outcome.CANCELLED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Stated:
    """A statement of ours: the number of its entry, its head, and where its text is."""

    seq: int
    head: Head
    file: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Us:
    """Who states.

    Attributes:
        hcid: our home community.
        log: the name of our log.
        agreement: our key in use.
        quiet_opt_out: whether an answer about a person who opted out was that nobody is known.
    """

    hcid: str
    log: str
    agreement: X25519PrivateKey
    quiet_opt_out: bool

    @property
    def public(self) -> bytes:
        """Our agreement key's public half."""
        return self.agreement.public_key().public_bytes_raw()


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """``rows`` of one statement, ``days`` back for which one is made, ``settle`` after its day."""

    rows: int = 1_000_000
    days: int = 31
    settle: timedelta = timedelta(minutes=30)


class Statements:
    """Makes and keeps our statements; its methods block."""

    def __init__(
        self,
        engine: Engine,
        key: Callable[[], LedgerKey],
        folder: Path,
        *,
        limits: Limits,
        now: Callable[[], datetime],
    ) -> None:
        """``folder`` is where texts are kept."""
        self._engine = engine
        self._key = key
        self._folder = folder
        self._limits = limits
        self._now = now

    def check_window(self, window: date) -> None:
        """Refuse a day that no statement is made about.

        Raises:
            OurFault: ``log-window-invalid``.
        """
        now = self._now()
        day = Window(day=window)
        settled = day.last + int(self._limits.settle.total_seconds() * 1000)
        if leaf.milliseconds(now) < settled:
            raise OurFault("log-window-invalid", f"The day {window} is not over long enough.")
        if window < (now - timedelta(days=self._limits.days)).date():
            raise OurFault(
                "log-window-invalid",
                f"The day {window} is longer ago than the {self._limits.days} days of statements.",
            )

    def of(self, us: Us, peer: str, theirs: PeerLog, window: date) -> Stated:
        """Our statement for a peer about a window, made now where there is none yet.

        Raises:
            OurFault: ``log-window-invalid``, ``log-statement-limit``, ``log-peer-unknown``, and as
                ``ledger.write_entries``.
            LogError: ``log-key-invalid``.
            OSError: when the text cannot be written.
        """
        self.check_window(window)
        if not theirs.agreement:
            raise no_agreement()
        public = theirs.agreement[0]
        keys = (key_digest(us.public), key_digest(public))
        found = self._kept(us, peer, window, keys)
        if found is not None:
            return found
        shared = pair_key(us.agreement, public, logs=(us.log, theirs.name), window=window)
        rows = self._rows(us, peer, Window(day=window), shared)
        head = Head(
            log=us.log,
            own=us.hcid,
            peer=peer,
            window=window,
            keys=keys,
            rows=len(rows),
            root=root_of(rows),
        )
        data = b"".join(statement(head, rows))
        name = self._name(peer, window)
        LogFolder(self._folder).write(name, data)
        self._sweep()
        seq = self._write_entry(head, hashlib.sha256(data).digest())
        return Stated(seq=seq, head=head, file=self._folder / name)

    def numbers(
        self, us: Us, peer: str, theirs: PeerLog, window: date, tokens: Collection[bytes]
    ) -> dict[bytes, int]:
        """The numbers of our entries by their tokens, of those that are asked for."""
        shared = pair_key(
            us.agreement, theirs.agreement[0], logs=(us.log, theirs.name), window=window
        )
        reader = _Reader(us=us, peer=peer, shared=shared, key=self._key())
        found: dict[bytes, int] = {}
        for seq, entry_id, data, blob in self._exchanges(peer, Window(day=window)):
            row = reader.row(entry_id, data, blob)
            if row is not None and row.token in tokens:
                found.setdefault(row.token, seq)
        return found

    # --- what was stated ------------------------------------------------------------------------

    def _kept(self, us: Us, peer: str, window: date, keys: tuple[str, str]) -> Stated | None:
        file = self._folder / self._name(peer, window)
        try:
            with file.open("rb") as opened:
                lines = [opened.readline(MAX_LINE).rstrip(b"\n") for _ in range(HEAD_LINES)]
                opened.seek(0)
                digest = hashlib.file_digest(opened, "sha256").digest()
            head = read_head(lines)
        except (FileNotFoundError, LogError):
            return None
        if (head.own, head.peer, head.log, head.keys) != (us.hcid, peer, us.log, keys):
            return None
        thing = leaf.from_bytes(digest)
        for seq, fields in self._entries(peer, Window(day=window)):
            if fields.get("window") == window.isoformat() and fields.get("thing") == thing:
                return Stated(seq=seq, head=head, file=file)
        return None

    def _entries(self, peer: str, window: Window) -> Iterator[tuple[int, leaf.Leaf]]:
        query = (
            select(ENTRY.c.seq, ENTRY.c.leaf)
            .where(
                NO_EXCHANGE,
                ENTRY.c.kind == leaf.Kind.RECON.value,
                ENTRY.c.t >= window.last,
                ENTRY.c.peer == peer,
            )
            .order_by(ENTRY.c.t.desc(), ENTRY.c.seq.desc())
            .limit(_MOST_STATED)
        )
        with self._engine.connect() as connection:
            for row in connection.execute(query):
                yield row.seq, leaf.decode(row.leaf)

    def _write_entry(self, head: Head, digest: bytes) -> int:
        fields: dict[str, str | int] = {
            "v": leaf.VERSION,
            "kind": leaf.Kind.RECON.value,
            "id": str(uuid.uuid4()),
            "t": leaf.from_time(self._now()),
            "seq": 0,
            "own": head.own,
            "peer": head.peer,
            "window": head.window.isoformat(),
            "entries": head.rows,
            "root": leaf.from_bytes(head.root),
            "thing": leaf.from_bytes(digest),
        }
        draft = Draft(fields=fields, groups={}, checked=set())
        entry = seal_draft(draft, key=self._key(), entropy=b"")
        with self._engine.execution_options(**{IMMEDIATE: True}).begin() as connection:
            return write_entries(connection, [entry], again=False)[0].seq

    def _name(self, peer: str, window: date) -> str:
        return f"{window}/{hashlib.sha256(peer.encode()).hexdigest()[:32]}.statement"

    def _sweep(self) -> None:
        oldest = (self._now() - timedelta(days=self._limits.days + 1)).date().isoformat()
        for path in self._folder.iterdir():
            if path.is_dir() and path.name < oldest:
                shutil.rmtree(path)

    # --- rows -----------------------------------------------------------------------------------

    def _rows(self, us: Us, peer: str, window: Window, shared: PairKey) -> list[Row]:
        found: dict[bytes, Row] = {}
        reader = _Reader(us=us, peer=peer, shared=shared, key=self._key())
        for _, entry_id, data, blob in self._exchanges(peer, window):
            row = reader.row(entry_id, data, blob)
            # a message that came twice was answered once at most: what was answered stands
            before = found.get(row.token) if row is not None else None
            if row is not None and (before is None or (row.answered and not before.answered)):
                found[row.token] = row
            if len(found) > self._limits.rows:
                raise OurFault(
                    "log-statement-limit",
                    f"A statement has {self._limits.rows} rows at most, and this day has more.",
                )
        return sorted(found.values(), key=lambda row: row.token)

    def _exchanges(
        self, peer: str, window: Window
    ) -> Iterator[tuple[int, str, bytes, bytes | None]]:
        """Number, id, leaf and group ``wire`` of the exchanges with a peer, oldest first."""
        first, last = window.span
        after: tuple[int, int] = (first, -1)
        while True:
            query = (
                select(ENTRY.c.t, ENTRY.c.seq, ENTRY.c.entry_id, ENTRY.c.leaf, PRIVATE.c.wire)
                .join(PRIVATE, PRIVATE.c.seq == ENTRY.c.seq)
                .where(
                    ENTRY.c.peer == peer,
                    ENTRY.c.t < last,
                    or_(
                        ENTRY.c.t > after[0],
                        and_(ENTRY.c.t == after[0], ENTRY.c.seq > after[1]),
                    ),
                    ENTRY.c.kind == leaf.Kind.EXCHANGE.value,
                )
                .order_by(ENTRY.c.t, ENTRY.c.seq)
                .limit(_PAGE)
            )
            with self._engine.connect() as connection:
                rows = connection.execute(query).all()
            yield from ((row.seq, row.entry_id, row.leaf, row.wire) for row in rows)
            if len(rows) < _PAGE:
                return
            after = rows[-1][0], rows[-1][1]  # Row.t is another thing


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reader:
    """Makes rows of entries."""

    us: Us
    peer: str
    shared: PairKey
    key: LedgerKey

    def row(self, entry_id: str, data: bytes, blob: bytes | None) -> Row | None:
        """The row of an exchange; ``None`` where nothing was sent, or its message has no id."""
        fields = leaf.decode(data)
        asked = fields["dir"] == Direction.INITIATING.value
        if asked and "c_req" not in fields:
            return None
        wire = self._wire(entry_id, blob)
        message_id = fields.get("msg") or _text(wire.get("unfit"), "msg")
        if not message_id:
            return None
        return Row(
            token=self.shared.token(
                initiator=self.us.hcid if asked else self.peer,
                message_id=str(message_id),
                transaction=str(fields["txn"]),
            ),
            side=Side.ASKED if asked else Side.SERVED,
            t=leaf.to_milliseconds(str(fields["t"])),
            outcome=self._outcome(fields, asked=asked),
            request=self._digest("request", wire),
            response=self._digest("response", wire),
        )

    def _wire(self, entry_id: str, blob: bytes | None) -> dict[str, object]:
        if blob is None:  # erased
            return {}
        value = unseal(self.key, entry_id, "wire", blob).value
        return value if isinstance(value, dict) else {}

    def _digest(self, part: str, wire: dict[str, object]) -> bytes | None:
        digest = _text(wire.get(part), "digest")
        return self.shared.digest(part, leaf.to_bytes(digest)) if digest else None

    def _outcome(self, fields: leaf.Leaf, *, asked: bool) -> str:
        outcome = Outcome(str(fields["outcome"]))
        if outcome in _NO_ANSWER:
            return "none"
        if asked:
            # a fault or a page of something in between may not be the peer's: without a promise
            # or the peer's own reference to our message nobody can be held to it
            certain = outcome in (Outcome.OK, Outcome.OK_EMPTY, Outcome.PARTIAL)
            return outcome.value if certain or fields.keys() & {"promise", "rel"} else "none"
        quiet = (
            outcome is Outcome.DECLINED
            and self.us.quiet_opt_out
            and fields["txn"] == Transaction.ITI_55.value
            and _is_quiet(str(fields.get("reason", "")))
        )
        # what was answered, never what was known here
        return Outcome.OK_EMPTY.value if quiet else outcome.value


@lru_cache(maxsize=1024)
def _is_quiet(code: str) -> bool:
    row = reasons().get(code)
    return row is not None and row.quiet


def no_agreement() -> OurFault:
    """The fault of a peer whose entry does not show what statements need."""
    return OurFault(
        "log-peer-unknown", "The peer's directory entry shows no keys of its exchange log."
    )


def _text(group: object, name: str) -> str | None:
    value = group.get(name) if isinstance(group, dict) else None
    return value if isinstance(value, str) else None
