"""Writes the file of an export, and ends it honestly when it cannot be written whole."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from sqlalchemy.exc import SQLAlchemyError

from node.errors import CodedError
from node.ledger.export import Exported, Format, csv_header, csv_rows, cut_line, ndjson
from node.ledger.export_file import Mark, PartialFile


class ExportCut(Exception):
    """The export ended before its end; ``__cause__`` is why, ``mark`` what the file holds."""

    def __init__(self, mark: Mark, reason: str) -> None:
        super().__init__(reason)
        self.mark = mark
        self.reason = reason


def write_export(
    file: PartialFile,
    pieces: Iterable[tuple[Exported, ...]],
    how: Format,
    *,
    private: bool,
    reached: Callable[[int], None] = lambda _: None,
) -> Mark:
    """Write all entries, see that they are on the disk, and close the file.

    Args:
        file: empty.
        pieces: of ``export.pieces``.
        how: CSV or NDJSON.
        private: whether the entries have their groups.
        reached: is told the number of the last entry of each piece.

    Raises:
        ExportCut: when anything ends it early, Ctrl-C too.
    """
    render = csv_rows if how is Format.CSV else ndjson
    try:
        if how is Format.CSV:
            file.append(csv_header(private=private))
        for piece in pieces:
            seqs = tuple(entry.seq for entry in piece)
            file.append(render(piece), seqs=seqs)
            reached(seqs[-1])
        return file.finish()
    except BaseException as error:
        reason = _reason(error)
        mark = file.cut(
            lambda mark: (
                cut_line(reason=reason, entries=mark.entries, last=mark.last)
                if how is Format.NDJSON
                else b""  # rows have no room for it: the manifest says it
            )
        )
        raise ExportCut(mark, reason) from error
    finally:
        file.close()


def _reason(error: BaseException) -> str:
    match error:
        case CodedError():
            return error.code
        case OSError():
            return "file-unusable"
        case SQLAlchemyError():
            return "database-unavailable"
        case KeyboardInterrupt():
            return "interrupted"
        case _:
            return "failed"
