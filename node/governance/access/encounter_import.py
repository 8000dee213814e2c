"""Encounters from files: ADT messages, single, framed or in batches, and CSV (``encounter_csv``).

Files are read one after the other and taken in portions, each an entry of the log; what cannot be
used is counted by its reason, with the file and the place in it, never with its content.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from node.encounter import EncounterEvent
from node.errors import SettingsError
from node.governance.access.encounters import Encounters
from node.ledger.trust_change import Author
from node.settings_relationships import EncountersSection
from node.wire.encounter_csv import LineRefusal, read_encounters
from node.wire.hl7v2.adt import read_adt
from node.wire.hl7v2.message import split_messages
from node.wire.hl7v2.refusals import refusal
from node.wire.hl7v2.values import Reading

LARGEST_FILE: Final = 64 * 1024 * 1024
MOST_FILES: Final = 100_000
MOST_NAMED: Final = 1000
"""Messages that are named in a report as not used; all are counted."""

PORTION: Final = 500
_CSV: Final = "csv-line"
_TOO_LARGE: Final = "file-too-large"


@dataclass(frozen=True, slots=True, kw_only=True)
class NotUsed:
    """A message or line that was not used: where it stands, and why."""

    file: str
    place: int
    code: str
    sentence: str
    wrong: bool


@dataclass(slots=True, kw_only=True)
class ImportReport:
    """What an import did. ``codes`` counts what was not used by its reason."""

    files: int = 0
    messages: int = 0
    used: int = 0
    added: int = 0
    changed: int = 0
    codes: Counter[str] = field(default_factory=Counter)
    not_used: list[NotUsed] = field(default_factory=list)

    @property
    def wrong(self) -> bool:
        """Whether something was wrong with a message, rather than of no use."""
        return any(each.wrong for each in self.not_used)


def reading_of(settings: EncountersSection) -> Reading:
    """How messages are read.

    Raises:
        SettingsError: ``settings-invalid`` for a time zone that there is not.
    """
    try:
        zone = ZoneInfo(settings.time_zone)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise SettingsError(
            "settings-invalid",
            f"encounters.time_zone: there is no time zone {settings.time_zone}.",
        ) from error
    return Reading(
        zone=zone,
        authorities=settings.authorities,
        default_authority=settings.default_authority,
    )


def import_path(
    path: Path,
    encounters: Encounters,
    settings: EncountersSection,
    *,
    author: Author,
    now: datetime,
) -> ImportReport:
    """Take a file, or all files of a folder and those below, in the order of their names.

    Raises:
        SettingsError: ``encounters-unreadable`` where there is nothing to read, and that of
            ``reading_of``.
        OurFault: when the log cannot take an entry; what came before is taken.
    """
    reading = reading_of(settings)
    files = sorted(each for each in path.rglob("*") if each.is_file()) if path.is_dir() else [path]
    if not files or not files[0].exists():
        raise SettingsError("encounters-unreadable", f"{path} has no file to read.")
    report = ImportReport()
    portion: list[EncounterEvent] = []
    left_out = 0

    def take() -> None:
        nonlocal left_out
        if portion or left_out:
            done = encounters.take(
                portion, author=author, source="file", now=now, left_out=left_out
            )
            report.added, report.changed = report.added + done.added, report.changed + done.changed
        portion.clear()
        left_out = 0

    for each in files[:MOST_FILES]:
        report.files += 1
        for place, found in enumerate(_read(each, reading, settings, now), 1):
            report.messages += 1
            if isinstance(found, NotUsed):
                report.codes[found.code] += 1
                left_out += 1
                if len(report.not_used) < MOST_NAMED:
                    report.not_used.append(
                        NotUsed(
                            file=each.name,
                            place=found.place or place,
                            code=found.code,
                            sentence=found.sentence,
                            wrong=found.wrong,
                        )
                    )
            else:
                report.used += 1
                portion.extend(found)
            if len(portion) + left_out >= PORTION:
                take()
    take()
    return report


def _read(
    path: Path, reading: Reading, settings: EncountersSection, now: datetime
) -> Iterator[tuple[EncounterEvent, ...] | NotUsed]:
    """The messages or lines of one file."""
    if path.stat().st_size > LARGEST_FILE:
        sentence = f"The file is larger than {LARGEST_FILE // 1024 // 1024} MiB."
        yield _not_used(_TOO_LARGE, sentence)
        return
    data = path.read_bytes()
    if path.suffix.lower() == ".csv":
        yield from _lines(data, reading, now)
        return
    for message in split_messages(data):
        read = read_adt(message, reading, now=now, max_bytes=settings.message_bytes)
        if read.refusal is not None:
            wrong = read.refusal.ack != "AA"
            yield _not_used(read.refusal.code, read.refusal.sentence, wrong=wrong)
        else:
            yield read.events


def _lines(
    data: bytes, reading: Reading, now: datetime
) -> Iterator[tuple[EncounterEvent, ...] | NotUsed]:
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        unreadable = refusal("hl7-charset")
        yield _not_used(unreadable.code, "The file is not in UTF-8.")
        return
    for found in read_encounters(text, now=now, zone=reading.zone):
        if isinstance(found, LineRefusal):
            sentence = f"The column {found.column} is missing, or its value is not of its form."
            yield _not_used(_CSV, sentence, place=found.line)
        else:
            yield (found,)


def _not_used(code: str, sentence: str, *, place: int = 0, wrong: bool = True) -> NotUsed:
    return NotUsed(file="", place=place, code=code, sentence=sentence, wrong=wrong)


def in_words(codes: Mapping[str, int]) -> str:
    """Reasons with their numbers, the most frequent first."""
    ordered = sorted(codes.items(), key=lambda each: (-each[1], each[0]))
    return ", ".join(f"{code} {count}" for code, count in ordered)
