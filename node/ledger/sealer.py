"""Seals durable entries: into bundles and tiles, then under a signed checkpoint.

One pass reads what is durable and not sealed yet, in order, and writes bundles, tiles, ``state``,
the memory of what was signed, and the checkpoint, in this order (facts: tamper-evident-log C6). A
crash between any two leaves files that no checkpoint speaks of; the next pass writes them again.

The folder of a log, one for each year (``log/2026``)::

    checkpoint           the newest one, signed
    witnessed            the newest one that enough witnesses signed as well
    checkpoints/<size>   some earlier ones, for who audits
    tile/...             tiles and entry bundles
    state                what was integrated last; ours alone

**Never two histories.** Before it signs, the sealer proves that the tree begins with the last one
that was signed, which is kept in a file of its own outside the log (``signed/2026``; better on
another disk, see ``log.signed``). A log or a database that was restored from an older copy is
therefore noticed and nothing is signed. Where everything was restored from older copies, the
witnesses know: what they show that we signed goes into ``claim``, and the tree must begin with it
too. A claim that it does not begin with is kept beside the memory (``signed/witnessed/2026``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Final, Protocol

import orjson

from node.errors import LogError, OurFault
from node.ledger.log_files import LogFolder
from node.ledger.log_link import successor
from node.ledger.tlog.checkpoint import Checkpoint, parse_checkpoint
from node.ledger.tlog.edge import Edge, tree_of
from node.ledger.tlog.merkle import leaf_hash, verify_consistency
from node.ledger.tlog.note import (
    MAX_NOTE,
    KeyType,
    VerifierKey,
    from_base64,
    parse_note,
    signed,
    to_base64,
    with_others,
)
from node.ledger.tlog.tiles import WIDTH, Tile, bundles_of, tiles_of
from trust.log_key import LogKeySigner

CHECKPOINT: Final = "checkpoint"
WITNESSED: Final = "witnessed"
STATE: Final = "state"
BATCH: Final = 2048
"""Entries that are integrated at once."""

KEEP_EVERY: Final = 4096
"""An earlier checkpoint is kept whenever the log has grown by so many entries since the last."""

MAX_KEYS: Final = 64 * 1024
"""Bytes of the file of the keys that signed a log."""

MAX_STATE: Final = 4096
"""Bytes of the longest ``state``."""


class EntrySource(Protocol):
    """Where durable entries come from, by their numbers."""

    def read(self, first: int, limit: int) -> Sequence[bytes]:
        """Entries from a number on, without a gap.

        Raises:
            OurFault: ``log-entry-lost`` when one is missing before one that is there.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """One log: its origin, and the number of its first entry."""

    origin: str
    first: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Sealed:
    """What a pass came to; ``successor`` is the log that goes on when this one has ended."""

    checkpoint: Checkpoint
    added: int
    successor: str | None = None


class Sealer:
    """Seals one log. Not for several threads; ``close`` lets another process seal it."""

    def __init__(
        self,
        folder: LogFolder,
        shard: Shard,
        source: EntrySource,
        *,
        memory: LogFolder,
        name: str,
        signers: Callable[[], Sequence[LogKeySigner]],
    ) -> None:
        """Take the log's lock.

        Args:
            folder: of the log.
            shard: which log it is.
            source: durable entries.
            memory: the folder of the files that remember what was signed.
            name: of the log's file there.
            signers: the keys that sign at this moment.

        Raises:
            OurFault: ``log-busy``.
        """
        self.shard = shard
        self._folder = folder
        self._memory = memory
        self._name = name
        self._source = source
        self._signers = signers
        self._edge: Edge | None = None
        self._kept = -KEEP_EVERY
        self._keys: set[str] = set()
        self._claims: list[bytes] = []
        self._held = ExitStack()
        self._held.enter_context(folder.writing())

    def close(self) -> None:
        """Give the log's lock back."""
        self._held.close()

    def claim(self, note: bytes) -> None:
        """Take a note that we signed, as a witness shows it: the next pass holds against it.

        Its signature and its origin were checked.
        """
        self._claims.append(note)

    def run(self) -> Sealed:
        """Seal everything that is durable now, and sign.

        Raises:
            OurFault: ``log-rolled-back``, ``log-entry-lost``: nothing was signed.
            LogError: when the log's own files do not agree: nothing was signed.
            OSError: when a file cannot be written; the next pass begins where this one ended.
        """
        try:
            return self._run()
        except BaseException:
            self._edge = None  # what is on disk counts
            raise

    def _run(self) -> Sealed:
        edge = self._edge = self._edge or self._recover()
        before = edge.size
        following = self._check_source(edge)
        while following is None:
            entries = self._source.read(self.shard.first + edge.size, BATCH)
            following, count = _end(entries)
            self._integrate(edge, entries[:count])
            if len(entries) < BATCH:
                break
        checkpoint = Checkpoint(origin=self.shard.origin, size=edge.size, root=edge.root)
        self._sign(checkpoint)
        return Sealed(checkpoint=checkpoint, added=edge.size - before, successor=following)

    def _integrate(self, edge: Edge, entries: Sequence[bytes]) -> None:
        if not entries:
            return
        growth = edge.append(entries)
        for tile, data in growth.files:
            self._folder.write(tile.path, data)
        self._folder.write(STATE, self._state(edge))
        self._remove_partial(growth.full)

    def _state(self, edge: Edge) -> bytes:
        return orjson.dumps(
            {
                "origin": self.shard.origin,
                "first": self.shard.first,
                "size": edge.size,
                "root": to_base64(edge.root),
            }
        )

    def _sign(self, checkpoint: Checkpoint) -> None:
        for each in self._last_signed():
            self._check_extends(each, checkpoint)
        self._check_claims(checkpoint)
        signing = [
            (verifier_key(self.shard.origin, signer), signer.sign) for signer in self._signers()
        ]
        self._remember_keys([key for key, _ in signing])
        published = _read(self._folder, CHECKPOINT, MAX_NOTE)
        note = bytes(with_others(signed(checkpoint.text, signing), published, self.shard.origin))
        if note == published:
            return  # Ed25519 signs the same text alike: nothing is new
        # remembered before anybody can see it
        self._memory.write(self._name, note)
        if checkpoint.size - self._kept >= KEEP_EVERY and checkpoint.size:
            self._folder.write(f"checkpoints/{checkpoint.size}", note)
            self._kept = checkpoint.size
        self._folder.write(CHECKPOINT, note)

    def _remember_keys(self, keys: Sequence[VerifierKey]) -> None:
        """Keep the public half of every key that ever signs: a retired one is deleted."""
        if self._keys >= {str(key) for key in keys}:
            return
        name = keys_file(self._name)
        known = (_read(self._memory, name, MAX_KEYS) or b"").decode("ascii").splitlines()
        known += [str(key) for key in keys if str(key) not in known]
        self._memory.write(name, "".join(f"{line}\n" for line in known).encode("ascii"))
        self._keys = set(known)

    def _check_claims(self, checkpoint: Checkpoint) -> None:
        """Refuse to sign a tree that does not begin with what witnesses show that we signed."""
        for note in self._claims:
            try:
                self._check_extends(parse_checkpoint(parse_note(note).text), checkpoint)
            except OurFault:
                self._memory.write(f"{WITNESSED}/{self._name}", note)
                raise
        self._claims.clear()  # from here on the memory reaches further

    def _check_extends(self, former: Checkpoint, checkpoint: Checkpoint) -> None:
        """Refuse to sign a tree that does not begin with one that was signed before."""
        if former.size == 0:
            return
        if former.size > checkpoint.size:
            raise _rolled_back(
                f"The log has {checkpoint.size} entries, yet {former.size} were signed before."
            )
        try:
            verify_consistency(
                size1=former.size,
                size2=checkpoint.size,
                root1=former.root,
                root2=checkpoint.root,
                proof=tree_of(checkpoint.size, self._folder).consistency(former.size),
            )
        except LogError as error:
            raise _rolled_back(
                f"The log does not begin with the {former.size} entries that were signed before."
            ) from error

    def _last_signed(self) -> list[Checkpoint]:
        """What is remembered, claimed, and was published: the tree must begin with each."""
        found = [
            parse_checkpoint(parse_note(data).text)
            for folder, name in (
                (self._memory, self._name),
                (self._memory, f"{WITNESSED}/{self._name}"),
                (self._folder, CHECKPOINT),
            )
            if (data := _read(folder, name, MAX_NOTE)) is not None
        ]
        for checkpoint in found:
            if checkpoint.origin != self.shard.origin:
                raise _rolled_back(f"What was signed last is of another log: {checkpoint.origin}.")
        return found

    # --- starting -------------------------------------------------------------------------------

    def _recover(self) -> Edge:
        """The edge that ``state`` speaks of, checked; what lies beyond it is written again."""
        size = 0
        root: bytes | None = None
        data = _read(self._folder, STATE, MAX_STATE)
        if data is not None:
            shard, size, root = read_state(data)
            if shard != self.shard:
                raise _rolled_back(f"The log's folder is of another log: {shard.origin}.")
        most = max((each.size for each in self._last_signed()), default=0)
        if most > size:
            raise _rolled_back(f"The log has {size} entries, yet {most} were signed before.")
        if data is None:  # from here on this log is the one that goes on
            self._folder.write(STATE, self._state(Edge()))
        edge = Edge.load(size, self._folder)
        if root is not None and edge.root != root:
            raise LogError("log-tile-invalid", "The log's tiles do not have the root of its state.")
        recent = max(0, size - 2 * BATCH)
        grown = (*bundles_of(size, since=recent), *tiles_of(size, since=recent))
        self._remove_partial([tile for tile in grown if tile.width == WIDTH])
        self._kept = size // KEEP_EVERY * KEEP_EVERY if size else -KEEP_EVERY
        return edge

    def _check_source(self, edge: Edge) -> str | None:
        """The entry that was sealed last must still be the one that is durable under its number.

        Returns the log that goes on after it, when it ended this one.
        """
        if edge.size == 0:
            return None
        number = self.shard.first + edge.size - 1
        entries = self._source.read(number, 1)
        last = tree_of(edge.size, self._folder).leaf(edge.size - 1)
        if not entries:
            raise _rolled_back(
                f"The database ends before entry {number}, which the log has sealed."
            )
        if leaf_hash(entries[0]) != last:
            raise _rolled_back(
                f"Entry {number} of the database is not the one that the log has sealed."
            )
        return successor(entries[0])

    def _remove_partial(self, full: Sequence[Tile]) -> None:
        for tile in full:
            self._folder.remove_partial(tile.path)


def _end(entries: Sequence[bytes]) -> tuple[str | None, int]:
    """The log that goes on after one of these entries, and how many are still of this one."""
    for count, entry in enumerate(entries, start=1):
        if (following := successor(entry)) is not None:
            return following, count
    return None, len(entries)


def verifier_key(origin: str, signer: LogKeySigner) -> VerifierKey:
    """The key by which others check what a signer signs for a log."""
    public = signer.public_key.public_bytes_raw()
    return VerifierKey(name=origin, kind=KeyType.ED25519_NOTE, public=public)


def keys_file(name: str) -> str:
    """The file beside the memory of a log that has the verifier keys of whatever signed it."""
    return f"{name}.keys"


def read_state(data: bytes) -> tuple[Shard, int, bytes]:
    """Which log a ``state`` file is of, its size and root.

    Raises:
        LogError: ``log-state-invalid``.
    """
    try:
        state = orjson.loads(data)
        shard = Shard(origin=str(state["origin"]), first=int(state["first"]))
        return shard, int(state["size"]), from_base64(state["root"])
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError, LogError) as error:
        raise LogError("log-state-invalid", "The log's state cannot be read.") from error


def _read(folder: LogFolder, name: str, limit: int) -> bytes | None:
    try:
        return folder.read(name, limit)
    except LogError as error:
        if error.code == "log-file-missing":
            return None
        raise


def _rolled_back(sentence: str) -> OurFault:
    return OurFault("log-rolled-back", sentence)
