"""Writes the file of an export, and ends it honestly when it cannot be written whole."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from sqlalchemy.exc import SQLAlchemyError

from node.errors import CodedError
from node.ledger.export import Exported
from node.ledger.export_file import Mark, PartialFile
from node.ledger.export_rendering import Rendering


class ExportCut(Exception):
    """The export ended before its end; ``__cause__`` is why, ``mark`` what the file holds."""

    def __init__(self, mark: Mark, reason: str) -> None:
        super().__init__(reason)
        self.mark = mark
        self.reason = reason


def write_export(
    file: PartialFile,
    pieces: Iterable[tuple[Exported, ...]],
    rendering: Rendering,
    *,
    reached: Callable[[int], None] = lambda _: None,
) -> Mark:
    """Write all entries, see that they are on the disk, and close the file.

    Args:
        file: empty.
        pieces: of ``export.pieces``.
        rendering: of the file's format; for this file alone.
        reached: is told the number of the last entry of each piece.

    Raises:
        ExportCut: when anything ends it early, Ctrl-C too.
    """
    try:
        if head := rendering.begin():
            file.append(head)
        for piece in pieces:
            for data, seqs in rendering.add(piece):
                file.append(data, seqs=seqs)
            reached(piece[-1].seq)
        for data, seqs in rendering.end():
            file.append(data, seqs=seqs)
        return file.finish()
    except BaseException as error:
        reason = _reason(error)
        mark = file.cut(lambda mark: rendering.cut(reason, mark))
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
