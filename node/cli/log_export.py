"""``tefca-node log export``: a file of entries for others, a manifest, and an entry about it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final, NoReturn

import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from sqlalchemy.exc import SQLAlchemyError

from node.audit_site import audit_site
from node.cli.home import opened
from node.cli.log_filter import FilterCommand, filtered, fixed, say_filter
from node.cli.output import JsonOption, err, note, print_json, say
from node.errors import LogError, OurFault, SettingsError
from node.ledger.export import (
    Format,
    columns,
    pieces,
)
from node.ledger.export_file import Mark, PartialFile, Place, write_manifest
from node.ledger.export_parquet import ParquetRendering
from node.ledger.export_rendering import Rendering, line_rendering
from node.ledger.export_run import ExportCut, write_export
from node.ledger.filter import LedgerFilter
from node.ledger.filter_text import conditions, sentence
from node.ledger.find import newest
from node.ledger.log_files import LogFolder
from node.ledger.private import load_key
from node.ledger.sealer import CHECKPOINT
from node.ledger.tlog.checkpoint import Checkpoint, parse_checkpoint
from node.ledger.tlog.note import MAX_NOTE, parse_note, to_base64
from node.ledger.trust_change import TrustChange
from node.ledger.trust_log import operator
from node.settings import NodeHome
from node.yearly_sealer import sealed_years

app = typer.Typer()

_ACT: Final = "log-export"
_VERSION: Final = 1


@app.command("export", cls=FilterCommand)
@filtered
def export_entries(
    context: typer.Context,
    chosen: LedgerFilter,
    out: Annotated[Path, typer.Option(help="The file to make; never an existing one.")],
    how: Annotated[
        Format | None, typer.Option("--format", help="Otherwise by the file's ending.")
    ] = None,
    private: Annotated[
        bool, typer.Option("--private", help="With the private parts, which are about patients.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Write entries to a file for others, with a manifest; the export is an entry itself."""
    home, settings, wiring = opened(context)
    chosen = fixed(chosen)
    place = Place(file=out)
    how = how or _by_ending(out)
    place.check()
    key = load_key(home.path) if private or chosen.needs_key else None
    point, signed = _checkpoint(home)
    manifest: dict[str, object] = {
        "v": _VERSION,
        "complete": False,
        "file": out.name,
        "format": how.value,
        "private": private,
        "node": settings.node.home_community_id,
        "exported_by": operator().who["user_id"],
        "exported_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "filter": conditions(chosen, private=private),
        "sentence": sentence(chosen, private=private),
        "checkpoint": signed,
        "columns": columns(how, private=private),
    }
    change = TrustChange(
        act=_ACT,
        root=point.root.hex() if point else None,
        counts={"size": point.size} if point else {},
        private={
            "format": how.value,
            "private": private,
            # values about a person would be beyond what an erasure finds
            "filter": sentence(chosen),
            "origin": point.origin if point else None,
        },
    )
    rendering: Rendering = (
        ParquetRendering(private=private, about=manifest)
        if how is Format.PARQUET
        else line_rendering(how, private=private, site=audit_site(settings))
    )
    with wiring.stores(home, settings) as stores:
        bound = newest(stores.engine)
        manifest["bound"] = bound
        with stores.trust.change(change) as made, _progress(bound) as reached:
            file = PartialFile(place.partial, own=private)
            found = pieces(stores.engine, chosen, key, bound=bound, private=private)
            try:
                mark = write_export(file, found, rendering, reached=reached)
            except ExportCut as cut:
                made.add(_with(change, cut.mark))
                manifest |= _of(cut.mark) | rendering.facts()
                manifest |= {"file": place.partial.name, "cut": cut.reason}
                with suppress(OSError, SettingsError):  # a full disk may have no room for it
                    write_manifest(place.partial_manifest, manifest, own=private)
                _raise_cause(cut, place)
            made.add(_with(change, mark))
            manifest |= _of(mark) | rendering.facts() | {"complete": True}
            try:
                write_manifest(place.partial_manifest, manifest, own=private)
            except OSError as error:
                raise _unwritten("The manifest", error, place) from error
    place.hand_over()
    if as_json:
        print_json(manifest)
        return
    say_filter(chosen)
    say(f"Entries exported to {out}: {mark.entries}.")
    say(f"SHA-256 {mark.sha256}, manifest {place.manifest.name}")


@contextmanager
def _progress(bound: int) -> Iterator[Callable[[int], None]]:
    """Shows how far it is by the entries' numbers: how many fit is known at the end only."""
    shown = (
        TextColumn("exporting"),
        BarColumn(),
        TextColumn("entry {task.completed:.0f} of {task.total:.0f}"),
        TimeElapsedColumn(),
    )
    with Progress(*shown, console=err, transient=True, disable=not err.is_terminal) as bar:
        task = bar.add_task("", total=bound + 1)
        yield lambda seq: bar.update(task, completed=seq + 1)


def _by_ending(out: Path) -> Format:
    try:
        return Format(out.suffix.removeprefix(".").lower())
    except ValueError:
        raise typer.BadParameter(
            "Say --format csv, ndjson, parquet, atna or auditevent, or let the file end so."
        ) from None


def _checkpoint(home: NodeHome) -> tuple[Checkpoint | None, dict[str, object] | None]:
    """The newest sealed checkpoint, if there is one, and how a manifest has it."""
    for year in reversed(sealed_years(home)):
        try:
            data = LogFolder(home.log / str(year)).read(CHECKPOINT, MAX_NOTE)
        except LogError as error:
            if error.code != "log-file-missing":
                raise
            continue  # begun, not signed yet
        point = parse_checkpoint(parse_note(data).text)
        return point, {
            "origin": point.origin,
            "size": point.size,
            "root": to_base64(point.root),
            "note": data.decode(),
        }
    return None, None


def _of(mark: Mark) -> dict[str, object]:
    return {
        "entries": mark.entries,
        "first_seq": mark.first,
        "last_seq": mark.last,
        "size": mark.size,
        "sha256": mark.sha256,
    }


def _with(change: TrustChange, mark: Mark) -> TrustChange:
    counts = {**change.counts, "entries": mark.entries}
    return replace(change, thing=mark.sha256, counts=counts)


def _raise_cause(cut: ExportCut, place: Place) -> NoReturn:
    match cause := cut.__cause__:
        case OSError():
            raise _unwritten("The export", cause, place) from cause
        case SQLAlchemyError():  # its own text may quote a value
            raise OurFault(
                "export-cut",
                "The log could not be read to its end.",
                where=str(place.partial),
                detail=type(cause).__name__,
            ) from None
        case _:
            note(f"Cut: {place.partial} has the first {cut.mark.entries} entries, and says so.")
            raise cause or cut


def _unwritten(what: str, error: OSError, place: Place) -> OurFault:
    return OurFault(
        "export-cut",
        f"{what} could not be written to its end: {error.strerror}.",
        where=str(place.partial),
    )
