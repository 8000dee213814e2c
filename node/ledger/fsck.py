"""Compares all that this node has of its log: the database with the sealed files (facts: C8.4).

``log verify`` judges the files that others see. This goes through the rows as well: every entry's
bytes, noted hash and search columns against its bundle, and every private group, search token,
erasure and decision against its leaf; then bundles against tiles, tiles against every signed
checkpoint and against what ``signed/`` remembers. Each log is streamed, a bundle at a time.

While it runs the node may go on: entries that are written or sealed after it began are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from random import Random

from sqlalchemy import Engine

from node.errors import LogError
from node.ledger.compared import Compared, Found, YearLog
from node.ledger.leaf_check import numbered_from
from node.ledger.log_verify import checkpoints
from node.ledger.private import LedgerKey
from node.ledger.retired_log import RETIRED, Retired, check_retired, read_kept, read_retired
from node.ledger.row_check import Problem, StoredEntry, entry_problems
from node.ledger.sealer import MAX_STATE, STATE, read_state
from node.ledger.stored_rows import Chunk, read_chunk, retired_ranges, snapshot
from node.ledger.table_check import numbers, table_problems
from node.ledger.tlog.audit import Batch, Finding, audit, examine, read_tile
from node.ledger.tlog.checkpoint import Checkpoint
from node.ledger.tlog.edge import tree_of
from node.ledger.tlog.merkle import verify_inclusion
from node.ledger.tlog.tiles import WIDTH, split_tile, tile_at, tiles_of

Reached = Callable[[int, int], None]
"""Told after each step: entries compared, and how many there are in all."""


class Fsck:
    """One comparison of a database with its logs; not for several threads."""

    def __init__(
        self,
        engine: Engine,
        key: LedgerKey,
        logs: Sequence[YearLog],
        *,
        reached: Reached = lambda _done, _all: None,
    ) -> None:
        """``logs`` in the order of their years; ``reached`` may also slow the reading down."""
        self.result = Compared()
        self._engine = engine
        self._key = key
        self._logs = logs
        self._reached = reached
        self._earlier: list[Checkpoint] = []
        self._gone: tuple[range, ...] = ()
        self._end = self._total = 0

    def run(self, year: int | None = None) -> Compared:
        """Compare everything, or one year's log with its rows.

        Raises:
            SQLAlchemyError: when the database cannot be read.
        """
        self._gone = retired_ranges(self._engine)
        with snapshot(self._engine) as connection:
            following, newest = numbers(connection)
        # a number that was changed must not send the reading through an endless gap
        self._end = self._total = min(newest + 1, newest + 1 if following is None else following)
        chosen = [log for log in self._logs if year in (None, log.year)]
        following = 0
        for log in chosen:
            if year is None:
                self._unsealed(following, log.shard.first, log.year)
            following = self._sealed(log)
        if year is None:
            self._unsealed(following, self._end, None)
            self._tables()
        return self.result

    def sample(self, count: int, chance: Random) -> Compared:
        """Compare so many bundles, picked by ``chance``, with their rows, tiles and checkpoint."""
        self._gone = retired_ranges(self._engine)
        places = [
            (log, target, -(-target.size // WIDTH))
            for log in self._logs
            if not (log.folder.path / RETIRED).exists()
            if (target := self._target(log)) is not None
        ]
        total = sum(bundles for _, _, bundles in places)
        chosen = sorted(chance.sample(range(total), min(count, total)))
        before = 0
        for log, target, bundles in places:
            while chosen and chosen[0] < before + bundles:
                self._bundle(log, target, chosen.pop(0) - before)
            before += bundles
        return self.result

    # --- one log --------------------------------------------------------------------------------

    def _sealed(self, log: YearLog) -> int:
        """Compare a log with its rows; the number after its last one."""
        target = self._target(log)
        if target is None:
            return log.shard.first
        try:
            retired = read_retired(log.folder)
        except LogError as error:
            self._note(log, Finding(code=error.code, sentence=error.sentence))
            return log.shard.first + target.size
        if retired is not None:
            self._retired(log, retired, target)
            return log.shard.first + target.size
        comparing = _Rows(self, log)
        count = -(-target.size // WIDTH)
        batches = (
            examine(log.folder, number, target.size, comparing.take) for number in range(count)
        )
        known = self._earlier
        said = more = 0
        good: Checkpoint | None = None
        for result in audit(log.folder, target, batches, known=known):
            for finding in result.findings[said:]:
                self._note(log, finding)
            said = len(result.findings)
            self.result.more += result.more - more
            more = result.more
            for index, problem in comparing.problems:
                here = result.good if result.good and result.good.size <= index else good
                self._problem(problem, index + log.shard.first, log.year, index, here)
            comparing.problems.clear()
            good = result.good
        self.result.bundles += count
        self.result.tiles += sum(1 for _ in tiles_of(target.size))
        self._state(log, target)
        return log.shard.first + target.size

    def _retired(self, log: YearLog, retired: Retired, target: Checkpoint) -> None:
        """Compare what was kept back of a log with its rows; the others must be gone."""
        for each in check_retired(log.folder, retired, target):
            if isinstance(each, Finding):
                self._note(log, each)
        for number in range(-(-target.size // WIDTH)):
            try:
                kept = read_kept(log.folder, number)
            except LogError:
                continue  # a finding above
            first = log.shard.first + number * WIDTH
            stop = min(first + WIDTH, log.shard.first + target.size)
            sealed = {log.shard.first + each.index: each.entry for each in kept}
            for seq, problem in self.rows(first, stop, sealed, retired=True):
                self._problem(problem, seq, log.year, seq - log.shard.first, target)

    def _target(self, log: YearLog) -> Checkpoint | None:
        """The checkpoint that a log is held against; the others that count are remembered."""
        memory = [(f"signed/{log.year}", log.memory)] if log.memory is not None else []
        signed = checkpoints(log.folder, log.policy, memory)
        target = signed.target
        self._earlier = signed.known_to(target) if target else []
        for finding in signed.findings:
            self._note(log, finding)
        if log.memory is None:
            sentence = f"Nothing in signed/{log.year} remembers what was signed."
            self._note(log, Finding(code="log-file-missing", sentence=sentence))
        self.result.checkpoints += len(self._earlier) + (signed.current is not None)
        return target

    def _state(self, log: YearLog, target: Checkpoint) -> None:
        """What the sealer goes on from."""
        try:
            shard, size, root = read_state(log.folder.read(STATE, MAX_STATE))
        except LogError as error:
            self._note(log, Finding(code=error.code, sentence=error.sentence))
            return
        differs = size < target.size or (size == target.size and root != target.root)
        if shard != log.shard or shard.origin != target.origin or differs:
            sentence = "The state that the sealer goes on from is not that of the checkpoint."
            self._note(log, Finding(code="log-state-invalid", sentence=sentence))

    def _bundle(self, log: YearLog, target: Checkpoint, number: int) -> None:
        comparing = _Rows(self, log)
        batch = examine(log.folder, number, target.size, comparing.take)
        first = number * WIDTH
        self.result.bundles += 1
        if batch.missing is not None:
            missing = batch.missing
            self._note(log, Finding(code=missing.code, sentence=missing.sentence, index=first))
            return
        for index, problem in comparing.problems:
            self._problem(problem, index + log.shard.first, log.year, index, None)
        for index, sentence in batch.problems:
            self._note(log, Finding(code="log-entry-invalid", sentence=sentence, index=index))
        try:
            self._path(log, target, batch)
        except LogError as error:
            self._note(log, Finding(code=error.code, sentence=error.sentence, index=first))

    def _path(self, log: YearLog, target: Checkpoint, batch: Batch) -> None:
        """A bundle's hashes against their tile and the one above, and these against the root.

        The proof of the first entry is made of all the other hashes of its tile.
        """
        first = batch.number * WIDTH
        stored = _tile(log, target, 0, batch.number)
        above, place = divmod(batch.number, WIDTH)
        if batch.root is not None and _tile(log, target, 1, above)[place] != batch.root:
            sentence = (
                f"Tile {above} of level 1 does not hold the hash of the entries {first} to "
                f"{first + WIDTH - 1}."
            )
            self._note(log, Finding(code="log-tile-changed", sentence=sentence, index=first))
        for index, (wanted, made) in enumerate(zip(stored, batch.hashes, strict=True), start=first):
            if wanted != made:
                sentence = f"Entry {index} does not have the hash that its tile holds."
                changed = Finding(
                    code="log-entry-changed",
                    sentence=sentence,
                    index=index,
                    expected=wanted.hex(),
                    found=made.hex(),
                )
                self._note(log, changed)
        verify_inclusion(
            index=first,
            size=target.size,
            leaf=stored[0],
            proof=tree_of(target.size, log.folder).inclusion(first),
            root=target.root,
        )

    # --- rows -----------------------------------------------------------------------------------

    def _unsealed(self, first: int, stop: int, year: int | None) -> None:
        """Compare rows that no log has sealed; before a log's first entry there must be none."""
        for start in range(first, stop, WIDTH):
            end = min(start + WIDTH, stop)
            for seq, problem in self.rows(start, end, {}):
                self._problem(problem, seq, year)
        if year is not None and first < stop:
            sentence = f"The entries {first} to {stop - 1} are in no year's log."
            self._problem(Problem(code="log-entry-lost", sentence=sentence), first, year)

    def rows(
        self, first: int, stop: int, sealed: Mapping[int, bytes], *, retired: bool = False
    ) -> Iterator[tuple[int, Problem]]:
        """What is wrong with the rows of a range, by their numbers.

        Of a ``retired`` log those that are not in ``sealed`` must be gone.
        """
        try:
            chunk = read_chunk(self._engine, first, stop, self._gone)
        except (TypeError, ValueError):  # a value of another kind than its column takes
            if stop - first > 1:
                middle = (first + stop) // 2
                yield from self.rows(first, middle, sealed, retired=retired)
                yield from self.rows(middle, stop, sealed, retired=retired)
                return
            sentence = f"What the database has of entry {first} cannot be read."
            yield first, Problem(code="log-row-differs", sentence=sentence)
            return
        if not chunk.entries and first < stop and not self._is_gone(first):
            sentence = f"The entries {first} to {stop - 1} are not in the database."
            yield first, Problem(code="log-entry-lost", sentence=sentence)
            return
        for seq in range(first, stop):
            is_kept = not retired or seq in sealed
            stored = chunk.entries.get(seq)
            if stored is not None:
                for problem in self._entry(stored, sealed.get(seq), chunk, is_kept=is_kept):
                    yield seq, problem
            elif not self._is_gone(seq) or (retired and is_kept):
                sentence = f"Entry {seq} is not in the database."
                yield seq, Problem(code="log-entry-lost", sentence=sentence)
        for table, seq in chunk.orphans:
            sentence = f"The table {table} has a row of an entry that is not there."
            yield seq, Problem(code="log-row-differs", sentence=sentence)
        self._reached(self.result.rows.entries, self._total)

    def _entry(
        self, stored: StoredEntry, sealed: bytes | None, chunk: Chunk, *, is_kept: bool
    ) -> Iterator[Problem]:
        if not is_kept:
            sentence = "The entry is in the database, and its log does not have it any more."
            yield Problem(code="log-row-differs", sentence=sentence)
        yield from entry_problems(stored, sealed, self._key, self.result.rows)
        if stored.decision is not None and stored.decision not in chunk.decisions:
            sentence = "The decision about the peer's keys that the leaf names is not there."
            yield Problem(code="log-decision-differs", sentence=sentence)

    def _is_gone(self, seq: int) -> bool:
        """Whether an entry need not be there: its time is over."""
        return any(seq in each for each in self._gone)

    def _tables(self) -> None:
        """What belongs to no single entry."""
        checked = table_problems(self._engine, self._key)
        self.result.decisions += checked.decisions
        self.result.holds += checked.holds
        for seq, problem in checked.problems:
            self._problem(problem, seq)

    # --- findings -------------------------------------------------------------------------------

    def _note(self, log: YearLog, finding: Finding) -> None:
        seq = None if finding.index is None else log.shard.first + finding.index
        self.result.add(Found(finding=finding, year=log.year, seq=seq))

    def _problem(
        self,
        problem: Problem,
        seq: int | None = None,
        year: int | None = None,
        index: int | None = None,
        good: Checkpoint | None = None,
    ) -> None:
        finding = Finding(
            code=problem.code,
            sentence=problem.sentence,
            index=index,
            expected=problem.expected,
            found=problem.found,
            last_good=good,
        )
        self.result.add(Found(finding=finding, year=year, seq=seq))


def _tile(log: YearLog, target: Checkpoint, level: int, number: int) -> tuple[bytes, ...]:
    tile = tile_at(level, number, target.size)
    return split_tile(tile, read_tile(log.folder, tile)) if tile else ()


class _Rows:
    """A ``tlog.audit.CheckEntries`` that also compares the rows; what is wrong is gathered."""

    def __init__(self, fsck: Fsck, log: YearLog) -> None:
        self._rows = fsck.rows
        self._first = log.shard.first
        self._numbered = numbered_from(log.shard.first)
        self.problems: list[tuple[int, Problem]] = []

    def take(self, first: int, entries: Sequence[bytes]) -> list[tuple[int, str]]:
        """Compare a bundle's entries with their rows."""
        start = self._first + first
        sealed = dict(enumerate(entries, start=start))
        found = self._rows(start, start + len(entries), sealed)
        self.problems += [(seq - self._first, problem) for seq, problem in found]
        return list(self._numbered(first, entries))
