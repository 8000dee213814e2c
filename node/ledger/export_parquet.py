"""Entries as Parquet, for DuckDB, Spark and the like; needs the extra ``parquet`` (pyarrow).

One column for each field of the leaf table, in its order: ``t`` as a UTC timestamp in milliseconds,
numbers as 64-bit integers, fields that hold several names as lists, everything else as text, with
dictionaries for what repeats itself. ``leaf`` has the entry's exact bytes, to be hashed and proved
against the log. With private groups there is a column ``private_…`` for each, holding JSON, and
``states``. What a leaf does not have is null.

**A file that was cut cannot be taken for a whole one**: it has no footer, without which no reader
opens it, keeps the name ``.partial``, and its manifest says that it was cut. The manifest lists the
row groups with their places, entries and digests in any case.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from importlib import import_module
from typing import Any, Final

import orjson

from node.errors import OurFault
from node.ledger import leaf
from node.ledger.export import Exported, Format, columns
from node.ledger.export_file import Mark
from node.ledger.export_rendering import Chunk

_GROUP_ENTRIES: Final = 20_000
_GROUP_BYTES: Final = 32 * 1024 * 1024
_LISTS: Final = frozenset({"pol", "dev", "unfit", "uses"})
_REPEATED: Final = (
    "kind", "own", "dir", "txn", "outcome", "peer", "org", "key", "bind", "purpose", "reason",
    "dirver", "test", "act", "step", "by", "role", "source", "setting", "part", "authority",
    "trust",
)  # fmt: skip
_LEAF: Final = "leaf"


class ParquetRendering:
    """A Parquet file; implements ``Rendering``."""

    def __init__(self, *, private: bool, about: Mapping[str, object]) -> None:
        """``about`` goes into the file's own metadata, each value as JSON.

        Raises:
            OurFault: ``parquet-library-missing``.
        """
        self._arrow, parquet = _pyarrow()
        self._private = private
        self._names = columns(Format.PARQUET, private=private)
        self._about = {key: orjson.dumps(value) for key, value in about.items()}
        self._schema = self._arrow.schema([(name, self._type(name)) for name in self._names])
        self._sink = _Sink()
        self._writer = parquet.ParquetWriter(
            self._sink,
            self._schema,
            compression="zstd",
            use_dictionary=list(_REPEATED),
            store_schema=False,  # readers see plain Parquet types
        )
        self._waiting: list[Exported] = []
        self._bytes = 0
        self._groups: list[dict[str, object]] = []
        self._written = 0

    def begin(self) -> bytes:
        """The magic number."""
        return self._taken()

    def add(self, entries: Sequence[Exported]) -> Iterator[Chunk]:
        """Row groups, each when there are enough entries for one."""
        self._waiting.extend(entries)
        self._bytes += sum(_size(entry) for entry in entries)
        if len(self._waiting) >= _GROUP_ENTRIES or self._bytes >= _GROUP_BYTES:
            yield self._group()

    def end(self) -> Iterator[Chunk]:
        """The last row group, and the footer."""
        if self._waiting:
            yield self._group()
        self._writer.add_key_value_metadata(self._about)
        self._writer.close()
        yield self._taken(), ()

    def cut(self, reason: str, mark: Mark) -> bytes:
        """Nothing: without a footer it is no Parquet file. Row groups that were taken back go."""
        del reason
        self._groups = [row for row in self._groups if int(str(row["end"])) <= mark.size]
        return b""

    def facts(self) -> dict[str, object]:
        """The row groups."""
        return {"row_groups": self._groups}

    def _group(self) -> Chunk:
        rows = self._waiting
        self._waiting, self._bytes = [], 0
        self._writer.write_table(self._table(rows), row_group_size=len(rows))
        start = self._written
        data = self._taken()
        self._groups.append(
            {
                "start": start,
                "end": self._written,
                "entries": len(rows),
                "first_seq": rows[0].seq,
                "last_seq": rows[-1].seq,
                "sha256": hashlib.sha256(data).hexdigest(),
            }
        )
        return data, tuple(row.seq for row in rows)

    def _table(self, rows: Sequence[Exported]) -> Any:
        held = [orjson.loads(row.data) for row in rows]
        arrays = [
            self._arrow.array(self._values(name, rows, held), type=self._schema.field(name).type)
            for name in self._names
        ]
        return self._arrow.Table.from_arrays(arrays, schema=self._schema)

    def _values(
        self, name: str, rows: Sequence[Exported], held: Sequence[Mapping[str, Any]]
    ) -> list[Any]:
        if name == _LEAF:
            return [row.data for row in rows]
        if name == "states":
            return [
                orjson.dumps(row.groups.states).decode() if row.groups else None for row in rows
            ]
        if name.startswith("private_"):
            return [_opened(row, name.removeprefix("private_")) for row in rows]
        if name == "t":
            return [datetime.fromisoformat(fields["t"]) for fields in held]
        found = [fields.get(name) for fields in held]
        if name in _LISTS:
            return [None if value is None else value.split(",") for value in found]
        return found

    def _type(self, name: str) -> Any:
        arrow = self._arrow
        if name == _LEAF:
            return arrow.binary()
        if name == "t":
            return arrow.timestamp("ms", tz="UTC")
        if name in _LISTS:
            return arrow.list_(arrow.string())
        field = leaf.FIELDS.get(name)
        return arrow.int64() if field is not None and field.form is None else arrow.string()

    def _taken(self) -> bytes:
        data = self._sink.take()
        self._written += len(data)
        return data


class _Sink:
    """Where the writer writes to; what it wrote is taken from here."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._taken = 0

    def write(self, data: bytes) -> int:
        """Keep bytes."""
        self._data += data
        return len(data)

    def tell(self) -> int:
        """Bytes in all."""
        return self._taken + len(self._data)

    def flush(self) -> None:
        """Nothing waits here."""

    def close(self) -> None:
        """Nothing to close."""

    @property
    def closed(self) -> bool:
        """Never."""
        return False

    def take(self) -> bytes:
        """What was written since."""
        data = bytes(self._data)
        self._taken += len(data)
        self._data.clear()
        return data


def _size(entry: Exported) -> int:
    opened = entry.groups.opened.values() if entry.groups else ()
    return len(entry.data) + sum(len(group.data) for group in opened)


def _opened(entry: Exported, name: str) -> str | None:
    group = entry.groups.opened.get(name) if entry.groups else None
    return group.data.decode() if group else None


def _pyarrow() -> tuple[Any, Any]:
    try:
        return import_module("pyarrow"), import_module("pyarrow.parquet")
    except ImportError as error:
        raise OurFault(
            "parquet-library-missing", "Parquet files need the package pyarrow."
        ) from error
