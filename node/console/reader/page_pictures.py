"""Pages of a peer's PDF or TIFF as pictures, made in a process that has nothing else.

Why not the browser's own viewer: Chromium shows a PDF that comes with ``Content-Security-Policy:
sandbox`` (tried with 156, in a frame and in a window of its own; the ``sandbox`` attribute of a
frame blocks it), but then the peer's file runs with its scripts and links on the clinician's
machine, the page around it can neither find nor print its words, and other browsers do otherwise.
A picture does nothing; its text stands beside it for those who listen, and *Find* looks through it.

The file reaches the process in memory alone. It has a time, memory and output limit of its own
(``page_worker``), and few run at a time.
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from threading import BoundedSemaphore
from typing import Any, Final

import orjson

from node.wire.reader.document import Unreadable

MOST_PAGES: Final = 40
"""Pages that are shown; the rest is in the file."""

MOST_CHARACTERS: Final = 400_000
WIDTH: Final = 1200
"""Pixels of a picture, for a column of half as many."""

_SECONDS: Final = 15.0
_MOST_OUTPUT: Final = 32 * 1024 * 1024
_WORKER: Final = str(Path(__file__).with_name("page_worker.py"))
_LOCKED: Final = 4
_AT_A_TIME: Final = 2
_places: Final = BoundedSemaphore(_AT_A_TIME)


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One page.

    Attributes:
        number: from 1.
        text: its words as the file has them, often none.
        shape: its height for a width of 1000.
    """

    number: int
    text: str
    shape: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Pages:
    """The pages that are shown, and how many there are."""

    pages: tuple[Page, ...]
    count: int


def pages_of(data: bytes) -> Pages | Unreadable:
    """The pages of a file with their texts."""
    found = _run(data, "texts", MOST_PAGES, MOST_CHARACTERS)
    if isinstance(found, Unreadable):
        return found
    told: Any = found[0]
    return Pages(
        pages=tuple(
            Page(number=number, text=str(text), shape=_shape(size))
            for number, (text, size) in enumerate(
                zip(told["texts"], told["sizes"], strict=True), start=1
            )
        ),
        count=int(told["pages"]),
    )


def picture_of(data: bytes, number: int) -> bytes | Unreadable:
    """One page, from 1, as PNG."""
    found = _run(data, "picture", number - 1, WIDTH)
    return found if isinstance(found, Unreadable) else found[1]


def _shape(size: Any) -> int:
    width, height = max(float(size[0]), 1.0), max(float(size[1]), 1.0)
    return max(1, min(round(1000 * height / width), 10_000))


def _run(data: bytes, *words: object) -> tuple[Any, bytes] | Unreadable:
    if not _places.acquire(timeout=_SECONDS):
        return Unreadable(
            reason="reader-busy", sentence="Too many files are being drawn just now. Try again."
        )
    try:
        status, output = _process(data, [str(word) for word in words])
    finally:
        _places.release()
    if status is None:
        return Unreadable(
            reason="reader-too-slow", sentence="Drawing the file took too long and was stopped."
        )
    if status == _LOCKED:
        return Unreadable(reason="reader-locked", sentence="The file is locked by a password.")
    head, _, body = output.partition(b"\n")
    if status or not head:
        return Unreadable(
            reason="reader-damaged",
            sentence="The file is damaged, or asks for too much to be drawn.",
        )
    return orjson.loads(head), body


def _process(data: bytes, words: list[str]) -> tuple[int | None, bytes]:
    """Run the worker over a file; its exit status (``None``: stopped) and what it wrote."""
    given, made = os.memfd_create("given", os.MFD_CLOEXEC), os.memfd_create("made", os.MFD_CLOEXEC)
    with os.fdopen(given, "w+b") as incoming, os.fdopen(made, "w+b") as outgoing:
        incoming.write(data)
        incoming.seek(0)
        process = subprocess.Popen(  # noqa: S603 - our own file, and numbers
            [sys.executable, "-I", _WORKER, *words],
            stdin=incoming,
            stdout=outgoing,
            stderr=subprocess.DEVNULL,
            cwd="/",
            env={},
            start_new_session=True,
        )
        try:
            status = process.wait(_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            return None, b""
        outgoing.seek(0)
        return status, outgoing.read(_MOST_OUTPUT)
