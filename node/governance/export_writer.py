"""Writes the files of exports, one after the other, in a thread of its own.

A file is under its name only when it is whole, and sealed; it is opened as it is taken along.
Whatever ends it early (cancelled, a full disk, the end of the process) leaves no part of it behind.
A file whose time is over is deleted.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from threading import Event, Lock
from typing import Final

import orjson
import structlog
from sqlalchemy import Engine, select
from sqlalchemy.exc import SQLAlchemyError

from node.errors import CodedError
from node.governance.export_model import Job, Source, State, of_kind
from node.governance.export_sealing import SealedFile, is_left, opened_file
from node.governance.export_store import ExportStore
from node.governance.spreadsheet import csv_of
from node.ledger import leaf
from node.ledger.export import (
    Exported,
    Format,
    columns,
    csv_header,
    csv_rows,
    cut_line,
    ndjson,
    pieces,
)
from node.ledger.export_file import Mark
from node.ledger.export_rendering import LineRendering
from node.ledger.export_run import ExportCut, write_export
from node.ledger.private import LedgerKey
from node.storage.tables import TOKEN

_EVERY: Final = 2000
"""Rows after which the writer says how far it is, and asks whether the file is still wanted."""

_SILENT: Final = timedelta(minutes=5)
"""A writer that has said nothing for so long is no more, wherever it was."""

_PATIENT: Final = "patient"
_COLUMN: Final = "patient_tokens"

_log = structlog.get_logger(__name__)


class _NotWanted(Exception):
    """The file is not wanted any more, or the process ends."""


class ExportWriter:
    """Writes, hands out and deletes files below one folder."""

    def __init__(
        self,
        engine: Engine,
        key: LedgerKey,
        store: ExportStore,
        folder: Path,
        clock: Callable[[], datetime],
    ) -> None:
        """Nothing is made or read yet."""
        self._engine = engine
        self._key = key
        self._store = store
        self._folder = folder
        self._clock = clock
        self._pool: ThreadPoolExecutor | None = None
        self._lock = Lock()
        self._ends = Event()
        self._held: set[int] = set()

    def submit(self, number: int) -> None:
        """Let a queued export be written as soon as those before it are."""
        with self._lock:
            if self._ends.is_set() or number in self._held:
                return
            if self._pool is None:
                self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="export")
            self._held.add(number)
            self._pool.submit(self._run, number)

    def close(self) -> None:
        """End in good order: what is being written is given up, without a trace but its entry."""
        self._ends.set()
        with self._lock:
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown(wait=True, cancel_futures=True)

    def path(self, job: Job) -> Path:
        """Where the whole file of an export is."""
        return self._folder / job.file_name

    def pieces_of(self, job: Job) -> Iterator[bytes]:
        """The bytes of a whole file. Raises ``OurFault`` ``export-unreadable``."""
        return opened_file(self.path(job), self._key)

    def sweep(self) -> int:
        """Delete what is over, give up what nobody writes any more, go on with what waits.

        Returns how many files were deleted.
        """
        now = self._clock()
        self._store.lapse(now=now)
        gone = 0
        for job in self._store.in_state(State.DONE, until=now):
            self.path(job).unlink(missing_ok=True)
            gone += self._store.deleted(job, now=now)
        for job in self._store.in_state(State.RUNNING):
            partial = self._partial(job)
            silent = job.seen is None or job.seen + _SILENT < now
            if job.id not in self._held and (silent or is_left(partial)):
                _drop(partial, self.path(job))
                self._store.fail(job, "interrupted", now=now)
        for job in self._store.in_state(State.QUEUED):
            self.submit(job.id)
        return gone

    def _run(self, number: int) -> None:
        try:
            job = None if self._ends.is_set() else self._store.begin(number, now=self._clock())
            if job is not None:
                self._write(job)
        except (CodedError, OSError, SQLAlchemyError) as error:
            # without its text: it may quote a value; the next sweep gives the export up
            _log.error("console.export-failed", code=getattr(error, "code", type(error).__name__))
        finally:
            with self._lock:
                self._held.discard(number)

    def _write(self, job: Job) -> None:
        partial = self._partial(job)
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            partial.unlink(missing_ok=True)  # of a process that died
            file = SealedFile(partial, self._key)
            mark = write_export(file, self._pieces(job), self._rendering(job))
        except ExportCut as cut:
            _drop(partial)
            reason = "interrupted" if self._ends.is_set() else cut.reason
            self._store.fail(job, reason, now=self._clock())  # nothing, where it was cancelled
            return
        except (CodedError, OSError) as error:
            _drop(partial)
            self._store.fail(job, getattr(error, "code", "file-unusable"), now=self._clock())
            return
        self._hand_over(job, partial, mark)

    def _hand_over(self, job: Job, partial: Path, mark: Mark) -> None:
        """Give the file its name, and say so; if that cannot be said, there is no file."""
        place = self.path(job)
        try:
            partial.rename(place)
            handle = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)
            whole = self._store.finish(job, mark, now=self._clock())
        except BaseException:
            _drop(partial, place)
            raise
        if not whole:
            place.unlink(missing_ok=True)

    def _pieces(self, job: Job) -> Iterator[tuple[Exported, ...]]:
        chosen, written, said = of_kind(job.source, job.ask.chosen), 0, 0
        found = pieces(
            self._engine,
            chosen,
            self._key,
            bound=job.bound,
            private=job.source is Source.ACCESS,
        )
        for piece in found:
            if not piece:
                continue
            yield piece
            written += len(piece)
            if self._ends.is_set():
                raise _NotWanted
            if written - said >= _EVERY:
                said = written
                if not self._store.reached(job.id, written, now=self._clock()):
                    raise _NotWanted

    def _rendering(self, job: Job) -> LineRendering:
        private = job.source is Source.ACCESS
        how = Format(job.format)
        if private or not job.tokens:
            if how is Format.CSV:
                return LineRendering(csv_rows, _no_row, csv_header(private=private))
            return LineRendering(ndjson, _cut)
        if how is Format.CSV:
            head = csv_of([(*columns(Format.CSV, private=False), _COLUMN)])
            return LineRendering(self._csv_with_tokens, _no_row, head)
        return LineRendering(self._ndjson_with_tokens, _cut)

    def _csv_with_tokens(self, entries: Sequence[Exported]) -> bytes:
        tokens = self._tokens(entries)
        rows = []
        for entry in entries:
            held = orjson.loads(entry.data)
            cells = [held.get(name, "") for name in leaf.FIELDS]
            rows.append([*cells, " ".join(tokens.get(entry.seq, ()))])
        return csv_of(rows)

    def _ndjson_with_tokens(self, entries: Sequence[Exported]) -> bytes:
        tokens = self._tokens(entries)
        return b"".join(
            b'%b,"%b":%b}\n'
            % (entry.data[:-1], _COLUMN.encode(), orjson.dumps(tokens.get(entry.seq, [])))
            for entry in entries
        )

    def _tokens(self, entries: Sequence[Exported]) -> dict[int, list[str]]:
        """The patients' tokens of entries, in hex with the mark that filters know them by."""
        query = (
            select(TOKEN.c.seq, TOKEN.c.token)
            .where(TOKEN.c.seq.in_([entry.seq for entry in entries]), TOKEN.c.part == _PATIENT)
            .order_by(TOKEN.c.seq, TOKEN.c.token)
        )
        found: dict[int, list[str]] = {}
        with self._engine.connect() as connection:
            for seq, token in connection.execute(query):
                found.setdefault(seq, []).append(f"~{bytes(token).hex()}")
        return found

    def _partial(self, job: Job) -> Path:
        return self._folder / f"{job.file_name}.partial"


def _drop(*paths: Path) -> None:
    """Delete what there is; a folder that is gone or no folder has nothing."""
    for path in paths:
        with suppress(OSError):
            path.unlink(missing_ok=True)


def _cut(reason: str, mark: Mark) -> bytes:
    return cut_line(reason=reason, entries=mark.entries, last=mark.last)


def _no_row(_reason: str, _mark: Mark) -> bytes:
    return b""
