"""Entries as the bytes of an export file: what stands first, between, last, and when it is cut.

``csv`` and ``ndjson`` are of ``node.ledger.export``. ``atna`` has one DICOM audit message on each
line, ``auditevent`` one FHIR AuditEvent on each line (several of an entry stand together); a file
that was cut ends with a line that is neither: ``<Cut …/>`` or ``{"cut":true,…}``. Parquet is
``node.ledger.export_parquet``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol

from node.ledger.audit import Site, audit_event
from node.ledger.export import Exported, Format, csv_header, csv_rows, cut_line, ndjson
from node.ledger.export_file import Mark
from node.ledger.leaf_check import fields_of
from node.ledger.row_check import GroupState
from node.wire.atna import write_audit_messages
from node.wire.audit_event import AuditEvent
from node.wire.balp import write_audit_events
from node.wire.elements import fill, new_root
from node.wire.xml import serialize

Chunk = tuple[bytes, tuple[int, ...]]
"""Bytes, and the numbers of the entries that are whole with them."""


class Rendering(Protocol):
    """Makes the bytes of one file."""

    def begin(self) -> bytes:
        """What stands before the first entry."""
        ...

    def add(self, entries: Sequence[Exported]) -> Iterable[Chunk]:
        """The next entries; they may be kept back for a later chunk."""
        ...

    def end(self) -> Iterable[Chunk]:
        """What was kept back, and what stands after the last entry."""
        ...

    def cut(self, reason: str, mark: Mark) -> bytes:
        """What stands at the end of a file that was cut."""
        ...

    def facts(self) -> dict[str, object]:
        """What the manifest is told besides."""
        ...


class LineRendering:
    """A text file; implements ``Rendering``."""

    def __init__(
        self,
        lines: Callable[[Sequence[Exported]], bytes],
        cut: Callable[[str, Mark], bytes],
        head: bytes = b"",
    ) -> None:
        self._lines = lines
        self._cut = cut
        self._head = head

    def begin(self) -> bytes:
        """The header row, where there is one."""
        return self._head

    def add(self, entries: Sequence[Exported]) -> Iterator[Chunk]:
        """The lines of the entries."""
        yield self._lines(entries), tuple(entry.seq for entry in entries)

    def end(self) -> Iterator[Chunk]:
        """Nothing."""
        return iter(())

    def cut(self, reason: str, mark: Mark) -> bytes:
        """The last line."""
        return self._cut(reason, mark)

    def facts(self) -> dict[str, object]:
        """Nothing."""
        return {}


def line_rendering(how: Format, *, private: bool, site: Site) -> LineRendering:
    """The rendering of a text format; ``site`` is this node, for the audit formats.

    Raises:
        ValueError: for a format that has no lines.
    """
    match how:
        case Format.CSV:
            # rows have no room for a cut: the manifest says it
            return LineRendering(csv_rows, lambda _, __: b"", csv_header(private=private))
        case Format.NDJSON:
            return LineRendering(ndjson, _cut_json)
        case Format.ATNA:
            return LineRendering(_audit_lines(write_audit_messages, site), _cut_xml)
        case Format.AUDITEVENT:
            return LineRendering(_audit_lines(write_audit_events, site), _cut_json)
        case _:
            raise ValueError(how)


def _audit_lines(
    write: Callable[[AuditEvent], tuple[bytes, ...]], site: Site
) -> Callable[[Sequence[Exported]], bytes]:
    def lines(entries: Sequence[Exported]) -> bytes:
        return b"".join(
            message + b"\n" for entry in entries for message in write(event_of(entry, site))
        )

    return lines


def event_of(entry: Exported, site: Site) -> AuditEvent:
    """What an audit record says of an entry."""
    opened = entry.groups.opened if entry.groups else {}
    groups = {name: group.value for name, group in opened.items()}
    states = entry.groups.states if entry.groups else {}
    erased = [name for name, state in states.items() if state is GroupState.ERASED]
    return audit_event(entry.data, fields_of(entry.data), groups, site, erased=erased)


def _cut_json(reason: str, mark: Mark) -> bytes:
    return cut_line(reason=reason, entries=mark.entries, last=mark.last)


def _cut_xml(reason: str, mark: Mark) -> bytes:
    last = None if mark.last is None else str(mark.last)
    element = new_root("Cut", {})
    fill(element, reason=reason, entries=str(mark.entries), last_seq=last)
    return serialize(element) + b"\n"
