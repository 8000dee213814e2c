"""The sealed logs of a node home, one for each year: which there are, and what seals them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from threading import Lock
from typing import Final

from node.errors import LogError, OurFault
from node.identity import LogKey, history_file, live_file
from node.ledger.entry_source import StoredEntries
from node.ledger.log_files import LogFolder
from node.ledger.log_link import year_of
from node.ledger.private import load_key
from node.ledger.sealer import (
    CHECKPOINT,
    MAX_STATE,
    STATE,
    WITNESSED,
    Sealed,
    Sealer,
    Shard,
    read_state,
    verifier_key,
)
from node.ledger.tlog.checkpoint import Checkpoint, parse_checkpoint
from node.ledger.tlog.note import MAX_NOTE, Note, VerifierKey, parse_note
from node.ledger.year_turn import turn_year
from node.log_keys import log_signers
from node.log_origin import origin_of
from node.opened import OpenedHome
from node.settings import NodeHome, Settings
from trust.log_key import LogKeySigner

_YEAR: Final = re.compile(r"[0-9]{4}", re.ASCII)


def years(folder: Path) -> list[int]:
    """The years of the logs, or of what was signed, in a folder."""
    found = folder.iterdir() if folder.is_dir() else ()
    return sorted(int(path.name) for path in found if _YEAR.fullmatch(path.name))


def sealed_years(home: NodeHome) -> list[int]:
    """The years that have a log."""
    return [year for year in years(home.log) if (home.log / str(year) / STATE).is_file()]


def begun_origin(home: NodeHome, year: int) -> str | None:
    """The name of a year's log that was begun; the settings may name logs otherwise since.

    Raises:
        LogError: when the log's state cannot be read.
    """
    if year not in sealed_years(home):
        return None
    shard, _, _ = read_state(LogFolder(home.log / str(year)).read(STATE, MAX_STATE))
    return shard.origin


def verifier_keys(
    home: NodeHome, settings: Settings, origin: str, *, now: datetime
) -> tuple[VerifierKey, ...]:
    """The keys by which others check a log of ours, the one in use first.

    Raises:
        TrustError: when a key cannot be opened.
    """
    return tuple(verifier_key(origin, signer) for signer in log_signers(home, settings, now=now))


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """The newest checkpoint of a year's log, as it is published."""

    year: int
    folder: LogFolder
    note: Note
    point: Checkpoint


def unwitnessed(home: NodeHome) -> list[Published]:
    """What witnesses are to sign: the newest log, and the one before until its end was signed.

    Raises:
        LogError: when a checkpoint cannot be read.
    """
    found = []
    years = sealed_years(home)[-2:]
    for year in years:
        folder = LogFolder(home.log / str(year))
        note = _note(folder, CHECKPOINT)
        if note is None:
            continue  # begun, not signed yet
        ended = year != years[-1]
        if ended and (done := _note(folder, WITNESSED)) and done.text == note.text:
            continue
        point = parse_checkpoint(note.text)
        if point.size:
            found.append(Published(year=year, folder=folder, note=note, point=point))
    return found


def _note(folder: LogFolder, name: str) -> Note | None:
    try:
        return parse_note(folder.read(name, MAX_NOTE))
    except LogError as error:
        if error.code == "log-file-missing":
            return None
        raise


class YearlySealer:
    """Seals the log of the year, and begins the next one when a year is over.

    Safe for several threads: a pass and what witnesses bring (node/witnessing.py) take turns.
    """

    def __init__(self, opened: OpenedHome) -> None:
        """Nothing is locked or written yet."""
        self._opened = opened
        self._memory = opened.home.resolve(opened.settings.log.signed)
        self._sealer: Sealer | None = None
        self._year = 0
        self._signers = Signers(opened, LogKey.LOG)
        self._claims: dict[int, list[bytes]] = {}
        self._turn = Lock()

    def run(self) -> Sealed:
        """One pass.

        Raises:
            OurFault: ``log-busy``, and as ``Sealer.run``.
            LogError: as ``Sealer.run``.
            TrustError: when a key that signs cannot be opened.
            OSError: when a file cannot be written.
        """
        with self._turn:
            return self._run(self._opened.clock.now().year)

    def _run(self, year: int) -> Sealed:
        sealer = self._sealer or self._resume(year)
        while True:
            sealed = sealer.run()
            if sealed.successor is not None:
                sealer.close()
                first = sealer.shard.first + sealed.checkpoint.size
                shard = Shard(origin=sealed.successor, first=first)
                sealer = self._open(year_of(sealed.successor), shard)
            elif year > self._year:
                self._end_year(sealer.shard, sealed.checkpoint.size, year)
            else:
                return sealed

    def _end_year(self, shard: Shard, size: int, year: int) -> None:
        """End the log of a year that is over, and begin the next one's."""
        opened = self._opened
        turn_year(
            opened.engine,
            load_key(opened.home.path),
            LogFolder(opened.home.log / str(self._year)),
            own=opened.home_community_id,
            origins=(shard.origin, origin_of(opened.settings, year)),
            first=shard.first,
            size=size,
            now=opened.clock.now(),
        )

    def close(self) -> None:
        """Let another process seal."""
        with self._turn:
            if self._sealer is not None:
                self._sealer.close()
                self._sealer = None

    # --- what witnesses bring ---------------------------------------------------------------

    @property
    def is_sealing(self) -> bool:
        """Whether it is this process that seals."""
        return self._sealer is not None

    def claim(self, year: int, note: bytes) -> None:
        """Take a checkpoint that we signed, as a witness shows it, for the next pass.

        Its signature and its origin, that of the year, were checked.
        """
        with self._turn:
            if self._sealer is not None and year == self._year:
                self._sealer.claim(note)
            else:
                self._claims.setdefault(year, []).append(note)

    def publish(self, year: int, note: bytes, *, quorum: bool) -> None:
        """Publish a checkpoint with the signatures of witnesses.

        With a quorum it becomes the year's file ``witnessed``. It replaces the newest checkpoint
        only where nothing was signed since.

        Raises:
            LogError: when the published checkpoint cannot be read.
            OSError: when a file cannot be written; the next round writes it.
        """
        log = LogFolder(self._opened.home.log / str(year))
        with self._turn:
            if quorum:
                log.write(WITNESSED, note)
            if parse_note(log.read(CHECKPOINT, MAX_NOTE)).text == parse_note(note).text:
                log.write(CHECKPOINT, note)

    def _resume(self, year: int) -> Sealer:
        found = sealed_years(self._opened.home)
        newest = found[-1] if found else None
        remembered = sorted({*years(self._memory), *years(self._memory / WITNESSED), *self._claims})
        # a log's state is written before anything of it is signed
        if remembered and (newest is None or remembered[-1] > newest):
            for note in self._claims.get(remembered[-1], ())[-1:]:
                memory = LogFolder(self._memory)
                memory.write(f"{WITNESSED}/{remembered[-1]}", note)
            raise OurFault(
                "log-rolled-back",
                f"The log of {remembered[-1]} was signed before, and its folder is not there.",
            )
        if newest is None:
            return self._begin(year, 0)
        data = LogFolder(self._opened.home.log / str(newest)).read(STATE, MAX_STATE)
        shard, _, _ = read_state(data)
        return self._open(newest, shard)

    def _begin(self, year: int, first: int) -> Sealer:
        return self._open(year, Shard(origin=origin_of(self._opened.settings, year), first=first))

    def _open(self, year: int, shard: Shard) -> Sealer:
        self._year = year
        self._sealer = Sealer(
            LogFolder(self._opened.home.log / str(year)),
            shard,
            StoredEntries(self._opened.engine),
            memory=LogFolder(self._memory),
            name=str(year),
            signers=self._signers,
        )
        for note in self._claims.pop(year, ()):
            self._sealer.claim(note)
        return self._sealer


class Signers:
    """The keys that sign now; opened again when their files have changed."""

    def __init__(self, opened: OpenedHome, name: LogKey) -> None:
        """Nothing is opened yet."""
        self._opened = opened
        self._name = name
        self._seen: tuple[int, ...] = ()
        self._signers: Sequence[LogKeySigner] = ()

    def __call__(self) -> Sequence[LogKeySigner]:
        """The signers; raises ``TrustError`` when a key cannot be opened."""
        home = self._opened.home
        files = (live_file(home, self._name), history_file(home, self._name))
        seen = tuple(file.stat().st_mtime_ns if file.exists() else 0 for file in files)
        if seen != self._seen or not self._signers:
            now = self._opened.clock.now()
            self._signers = log_signers(home, self._opened.settings, now=now, name=self._name)
            self._seen = seen
        return self._signers
