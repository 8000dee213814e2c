"""FHIR rows from bundles and NDJSON, one at a time, each with the place it stood.

A row that cannot be read is a finding in the stream, in its place: nothing is left out silently.
Only :func:`rows_of_files` touches a disk.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

import orjson

from directory.errors import DirectoryError
from directory.finding import Finding, finding

Resource = Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One resource and the place it stood."""

    resource: Resource
    where: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FileLimits:
    """Limits of one file, in bytes after decompression; a bundle is read whole, NDJSON by line."""

    line: int = 4_000_000
    bundle: int = 200_000_000
    total: int = 8_000_000_000


_LIMITS = FileLimits()


def rows_of_bundle(bundle: object, *, where: str = "") -> Iterator[Row | Finding]:
    """The resources of a Bundle of any type; a single resource is a bundle of one.

    Raises:
        DirectoryError: ``not-fhir`` when it is not a JSON object with a resourceType.
    """
    if not isinstance(bundle, dict) or not isinstance(bundle.get("resourceType"), str):
        raise DirectoryError("not-fhir", "This is not a FHIR resource.", where=where or None)
    if bundle["resourceType"] != "Bundle":
        yield Row(resource=bundle, where=where or "resource")
        return
    entries = bundle.get("entry", [])
    if not isinstance(entries, list):
        raise DirectoryError("not-fhir", "The bundle's entry is not a list.", where=where or None)
    prefix = f"{where} " if where else ""
    for number, entry in enumerate(entries):
        place = f"{prefix}entry[{number}]"
        resource = entry.get("resource") if isinstance(entry, dict) else None
        if isinstance(resource, dict):
            yield Row(resource=resource, where=place)
        else:
            yield finding("no-resource", None, place)


def rows_of_lines(
    lines: Iterable[bytes], *, limits: FileLimits = _LIMITS, where: str = ""
) -> Iterator[Row | Finding]:
    """The resources of NDJSON, one a line; a line that holds a Bundle gives its entries.

    Raises:
        DirectoryError: ``file-too-large`` past ``limits.total``.
    """
    prefix = f"{where} " if where else ""
    total = 0
    for number, line in enumerate(lines, start=1):
        place = f"{prefix}line {number}"
        total += len(line)
        if total > limits.total:
            raise DirectoryError("file-too-large", "The file is too large.", where=place)
        if len(line) > limits.line:
            yield finding("line-too-long", None, place, limit=limits.line)
            continue
        if not line.strip():
            continue
        try:
            resource = orjson.loads(line)
        except orjson.JSONDecodeError:
            resource = None
        if not isinstance(resource, dict):
            yield finding("not-json", None, place)
        elif resource.get("resourceType") == "Bundle":
            yield from rows_of_bundle(resource, where=place)
        else:
            yield Row(resource=resource, where=place)


def rows_of_files(*paths: Path, limits: FileLimits = _LIMITS) -> Iterator[Row | Finding]:
    """The rows of several files as one stream: ``.json`` bundles or ``.ndjson``, also as ``.gz``.

    NDJSON is read line by line; memory does not grow with the file. Which of the two a file is
    shows in its content, not in its name.

    Raises:
        DirectoryError: ``file-unreadable``, ``file-too-large`` or ``not-fhir``.
    """
    for path in paths:
        where = path.name if len(paths) > 1 else ""
        try:
            with path.open("rb") as probe:
                packed = probe.read(2) == b"\x1f\x8b"
            with path.open("rb") as raw:
                stream = cast("BinaryIO", gzip.GzipFile(fileobj=raw)) if packed else raw
                yield from _rows_of_stream(stream, limits, where)
        except (OSError, EOFError, zlib.error) as error:
            raise DirectoryError(
                "file-unreadable", f"The file {path.name} cannot be read.", detail=str(error)
            ) from error


def _rows_of_stream(stream: BinaryIO, limits: FileLimits, where: str) -> Iterator[Row | Finding]:
    first = stream.readline(limits.line + 1)
    if _is_row(first):
        lines = _chain(first, _lines(stream, limits.line))
        yield from rows_of_lines(lines, limits=limits, where=where)
        return
    rest = stream.read(limits.bundle + 1 - len(first))
    if len(first) + len(rest) > limits.bundle:
        raise DirectoryError("file-too-large", "The bundle is too large.", where=where or None)
    try:
        bundle = orjson.loads(first + rest)
    except orjson.JSONDecodeError as error:
        if rest.strip():  # not one document: report its lines one by one
            lines = iter((first + rest).splitlines(keepends=True))
            yield from rows_of_lines(lines, limits=limits, where=where)
            return
        raise DirectoryError(
            "not-fhir", "The file is not JSON.", where=where or None, detail=str(error)
        ) from error
    yield from rows_of_bundle(bundle, where=where)


def _is_row(line: bytes) -> bool:
    try:
        return isinstance(orjson.loads(line), dict)
    except orjson.JSONDecodeError:
        return False


def _chain(first: bytes, lines: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from lines


def _lines(stream: BinaryIO, limit: int) -> Iterator[bytes]:
    """Lines, cut one byte past the limit; the rest of a long one is passed over."""
    while line := stream.readline(limit + 1):
        yield line
        while len(line) > limit and not line.endswith(b"\n"):
            line = stream.readline(limit + 1)
            if not line:
                return
