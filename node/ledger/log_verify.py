"""Verifies a sealed log from its files alone: checkpoints by their keys, then every entry.

Bundles are hashed by several processes, a few at a time, so that memory does not grow with the log.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from multiprocessing import get_context
from typing import Final

import orjson

from node.errors import LogError
from node.ledger.leaf_check import number_of, numbered_from
from node.ledger.log_files import LogFolder
from node.ledger.log_link import successor
from node.ledger.retired_log import RECORD_MARK, RETIRED, Retired, check_retired, read_retired
from node.ledger.sealer import CHECKPOINT, WITNESSED
from node.ledger.tlog.audit import (
    MOST_FINDINGS,
    Audit,
    Batch,
    CheckEntries,
    Finding,
    LogReader,
    audit,
    examine,
    read_bundle,
)
from node.ledger.tlog.checkpoint import Checkpoint
from node.ledger.tlog.merkle import EMPTY_ROOT
from node.ledger.tlog.note import MAX_NOTE
from node.ledger.tlog.policy import Accepted, Policy, accept
from node.ledger.tlog.tiles import WIDTH, bundle_at

_AT_ONCE: Final = 16  # bundles of one task
_PARALLEL_FROM: Final = 1000 * WIDTH  # below it, starting processes takes longer than they save


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """What verifying one log came to.

    Attributes:
        origin: of the checkpoint; ``None`` when none could be read.
        entries: that were hashed again.
        size: of the checkpoint that the log was held against.
        root: its root.
        first: the number of the first entry; ``None`` without one.
        opening: its first entry.
        closing: its last entry.
        retired: what it says of its retirement, where its entries are gone.
        records: entries of it that say of other logs that theirs are gone.
        time: the newest that the log proves of its checkpoint: its last entry's, or a witness's.
        witnesses: those of the policy by their names there, each with the time at which it signed
            the checkpoint of ``witnessed`` entries; ``None`` for one that did not.
        witnessed: entries that the quorum signed for; ``None`` without witnesses or a quorum.
        findings: what does not hold.
        more: findings that are not listed.
    """

    origin: str | None = None
    entries: int = 0
    size: int = 0
    root: bytes = EMPTY_ROOT
    first: int | None = None
    opening: bytes | None = None
    closing: bytes | None = None
    retired: Retired | None = None
    records: tuple[bytes, ...] = ()
    time: datetime | None = None
    witnesses: Mapping[str, datetime | None] = field(default_factory=dict)
    witnessed: int | None = None
    findings: tuple[Finding, ...] = ()
    more: int = 0

    @property
    def ok(self) -> bool:
        """Whether nothing was found."""
        return not self.findings

    @property
    def ended(self) -> bool:
        """Whether its last entry says that another log goes on."""
        return self.closing is not None and successor(self.closing) is not None


@dataclass(slots=True, kw_only=True)
class Signed:
    """The checkpoints whose signatures hold, and what is wrong with others.

    ``witnessed`` is the newest one under which the policy's witnesses are; they sign now and then.
    """

    current: Accepted | None = None
    witnessed: Accepted | None = None
    known: list[Checkpoint] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    @property
    def target(self) -> Checkpoint | None:
        """What the log is held against: the newest checkpoint, or the largest one that holds."""
        if self.current is not None:
            return self.current.checkpoint
        return max(self.known, key=lambda each: each.size, default=None)

    def known_to(self, target: Checkpoint) -> list[Checkpoint]:
        """Those that the log must begin with; larger ones are findings."""
        self.findings += [_ahead(each, target) for each in self.known if each.size > target.size]
        return [each for each in self.known if each.size <= target.size]


def verify_log(
    reader: LogReader,
    policy: Policy,
    *,
    earlier: Iterable[tuple[str, bytes]] = (),
    workers: int = 1,
) -> Verified:
    """Verify one log.

    Args:
        reader: its files.
        policy: whose signatures are taken.
        earlier: checkpoints that were seen before, by what they are called: the log must begin with
            each.
        workers: processes that hash; more than one only for a log on disk.

    Raises:
        NetworkFault: when the log's address cannot be reached.
    """
    signed = checkpoints(reader, policy, earlier)
    target = signed.target
    if target is None:
        return Verified(findings=tuple(signed.findings))
    known = signed.known_to(target)
    try:
        retired = read_retired(reader)
    except LogError as error:
        return Verified(findings=(*signed.findings, _finding(error, RETIRED)))
    if retired is not None:
        return _verify_retired(reader, policy, signed, target, retired)
    opening = _first_entry(reader, target.size)
    first = number_of(opening) if opening is not None else None
    result = _audited(reader, target, known, first or 0, workers)
    findings = (*signed.findings, *result.findings)
    return Verified(
        origin=target.origin,
        entries=result.entries,
        size=target.size,
        root=target.root,
        first=first,
        opening=opening,
        closing=result.last,
        records=result.notes,
        time=_time(result.last, signed.witnessed),
        witnesses=_witnesses(policy, signed.witnessed),
        witnessed=signed.witnessed.checkpoint.size if signed.witnessed else None,
        findings=findings,
        more=result.more,
    )


def _verify_retired(
    reader: LogReader, policy: Policy, signed: Signed, target: Checkpoint, retired: Retired
) -> Verified:
    """What stays of a log: no earlier checkpoint can be held against it any more."""
    findings = list(signed.findings)
    ends: dict[int, bytes] = {}
    records: list[bytes] = []
    entries = 0
    for each in check_retired(reader, retired, target):
        if isinstance(each, Finding):
            findings.append(each)
            continue
        entries += 1
        if each.index in (0, target.size - 1):
            ends[each.index] = each.entry
        if RECORD_MARK in each.entry:
            records.append(each.entry)
    return Verified(
        origin=target.origin,
        entries=entries,
        size=target.size,
        root=target.root,
        first=retired.first,
        opening=ends.get(0),
        closing=ends.get(target.size - 1),
        retired=retired,
        records=tuple(records),
        time=_time(ends.get(target.size - 1), signed.witnessed),
        witnesses=_witnesses(policy, signed.witnessed),
        witnessed=signed.witnessed.checkpoint.size if signed.witnessed else None,
        findings=tuple(findings[:MOST_FINDINGS]),
        more=max(0, len(findings) - MOST_FINDINGS),
    )


def checkpoints(reader: LogReader, policy: Policy, earlier: Iterable[tuple[str, bytes]]) -> Signed:
    """Read and check a log's checkpoints: the newest, those it kept, and ``earlier`` ones."""
    signed = Signed()
    # what was seen or kept earlier need not have had the witnesses of today
    alone = replace(policy, witnesses={}, groups={}, quorum="none")
    kept: list[tuple[str, bytes]] = []
    if isinstance(reader, LogFolder):
        kept = [(name, reader.read(name, MAX_NOTE)) for name in reader.kept_checkpoints()]
    for name, data in (*kept, *earlier):
        try:
            signed.known.append(accept(alone, data).checkpoint)
        except LogError as error:
            signed.findings.append(_finding(error, name))
    last = max(signed.known, key=lambda each: each.size, default=None)
    try:
        data = reader.read(CHECKPOINT, MAX_NOTE)
        signed.current = accept(alone, data)
    except LogError as error:
        signed.findings.append(_finding(error, CHECKPOINT, last))
        return signed
    if policy.witnesses:
        _look_for_witnesses(reader, policy, data, signed)
    return signed


def _look_for_witnesses(reader: LogReader, policy: Policy, data: bytes, signed: Signed) -> None:
    """The policy must hold for the newest checkpoint, or for the newest that witnesses signed."""
    missing: Finding | None = None
    try:
        newest = accept(policy, data)
    except LogError as error:
        missing = _finding(error, CHECKPOINT)
    else:
        if newest.witnessed:
            signed.witnessed = newest
            return
    try:
        signed.witnessed = accept(policy, reader.read(WITNESSED, MAX_NOTE))
        signed.known.append(signed.witnessed.checkpoint)
    except LogError as error:
        if error.code != "log-file-missing":
            signed.findings.append(_finding(error, WITNESSED))
        elif missing is not None:
            signed.findings.append(missing)


def _witnesses(policy: Policy, witnessed: Accepted | None) -> dict[str, datetime | None]:
    times = witnessed.witnessed if witnessed else {}
    return {
        name: datetime.fromtimestamp(times[name], tz=UTC) if name in times else None
        for name in policy.witnesses
    }


def _finding(error: LogError, name: str, last: Checkpoint | None = None) -> Finding:
    return Finding(code=error.code, sentence=f"{name}: {error.sentence}", last_good=last)


def _ahead(known: Checkpoint, target: Checkpoint) -> Finding:
    return Finding(
        code="log-root-differs",
        sentence=f"The log has {target.size} entries, yet {known.size} were signed before.",
        expected=known.root.hex(),
        last_good=None,
    )


def _first_entry(reader: LogReader, size: int) -> bytes | None:
    bundle = bundle_at(0, size)
    try:
        return read_bundle(reader, bundle)[0] if bundle else None
    except LogError:
        return None  # the audit says so


def _audited(
    reader: LogReader, target: Checkpoint, known: Sequence[Checkpoint], first: int, workers: int
) -> Audit:
    count = -(-target.size // WIDTH)
    look = partial(_look, reader, target.size, first)
    result = Audit()
    with ExitStack() as stack:
        if workers > 1 and target.size >= _PARALLEL_FROM and isinstance(reader, LogFolder):
            context = get_context("forkserver")
            pool = stack.enter_context(ProcessPoolExecutor(workers, mp_context=context))
            batches = _side_by_side(pool, look, count, 2 * workers)
        else:
            batches = (batch for start in range(0, count, _AT_ONCE) for batch in look(start))
        for result in audit(reader, target, batches, known=known):  # noqa: B007  # the last counts
            pass
    return result


def _look(reader: LogReader, size: int, first: int, start: int) -> list[Batch]:
    """Examine the bundles of one task."""
    check = numbered_from(first)
    stop = min(start + _AT_ONCE, -(-size // WIDTH))
    found = []
    for number in range(start, stop):
        notes: list[bytes] = []
        batch = examine(reader, number, size, partial(_noting, check, notes))
        found.append(replace(batch, notes=tuple(notes)) if notes else batch)
    return found


def _noting(
    check: CheckEntries, notes: list[bytes], first: int, entries: Sequence[bytes]
) -> Iterable[tuple[int, str]]:
    """Check entries, and set aside those that say that the entries of another log are gone."""
    notes += [entry for entry in entries if RECORD_MARK in entry]
    return check(first, entries)


def _side_by_side(
    pool: ProcessPoolExecutor, look: partial[list[Batch]], count: int, ahead: int
) -> Iterator[Batch]:
    """The batches in their order, with a few tasks ahead."""
    waiting: deque[Future[list[Batch]]] = deque()
    for start in range(0, count, _AT_ONCE):
        waiting.append(pool.submit(look, start))
        if len(waiting) > ahead:
            yield from waiting.popleft().result()
    while waiting:
        yield from waiting.popleft().result()


def _time(last: bytes | None, accepted: Accepted | None) -> datetime | None:
    times = [
        datetime.fromtimestamp(each, tz=UTC)
        for each in (accepted.witnessed.values() if accepted else ())
    ]
    if last is not None:
        # the audit says what is wrong with an entry
        with suppress(orjson.JSONDecodeError, KeyError, TypeError, ValueError):
            times.append(datetime.fromisoformat(orjson.loads(last)["t"]))
    return max(times, default=None)
