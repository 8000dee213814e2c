"""What every organisation of the sample network holds: ``data/records.toml`` as documents."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any

from node.demo.ccda import Document, Section, care_times, write_document
from node.demo.ccda_entries import Row
from node.demo.people import Cast, read_table


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldFile:
    """One file of an organisation's records; ``made_about`` is the made-up person's key."""

    name: str
    content: bytes
    made_about: str | None = None

    @property
    def sha256(self) -> str:
        """SHA-256 of the content, in hex."""
        return sha256(self.content).hexdigest()


def made_records(cast: Cast, now: datetime) -> Mapping[str, tuple[HeldFile, ...]]:
    """The files of each organisation, by its key.

    A document that two organisations hold is written once: its bytes are the same in both.
    """
    held: dict[str, list[HeldFile]] = {organisation.key: [] for organisation in cast.answering}
    for row in read_table("records")["document"]:
        file = HeldFile(
            name=f"{row['key']}.xml",
            content=write_document(_document(row, cast, now)),
            made_about=row["person"],
        )
        for key in row["held_by"]:
            held[key].append(file)
    return {key: tuple(files) for key, files in held.items()}


def _document(row: dict[str, Any], cast: Cast, now: datetime) -> Document:
    person, author = cast.people[row["person"]], cast.clinicians[row["author"]]
    start, stop = care_times(now, days_ago=row["days_ago"], stay=row["stay"])
    code, display = row["facility"]
    return Document(
        key=row["key"],
        kind=row["kind"],
        title=row["title"],
        person=person,
        patient_number=person.numbers[author.works_for],
        author=author,
        organisation=cast.organisation(author.works_for),
        start=start,
        stop=stop,
        facility=(code, display),
        sections=tuple(_section(section) for section in row["section"]),
    )


def _section(section: dict[str, Any]) -> Section:
    rows = (Row(**{**row, "cells": tuple(row["cells"])}) for row in section.get("rows", ()))
    return Section(kind=section["kind"], text=tuple(section.get("text", ())), rows=tuple(rows))
