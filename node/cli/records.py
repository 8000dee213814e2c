"""``tefca-node records``: the documents this node answers with."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from node.cli.exits import Exit
from node.cli.home import opened
from node.cli.output import JsonOption, counted, err, note, print_json, print_table, say
from node.records.folder import LoadLimits, load_folder

app = typer.Typer(help="The documents this node answers with.", no_args_is_help=True)

_MAX = 1000


@app.command()
def add(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(help="C-CDA documents and FHIR R4 bundles.")],
    as_json: JsonOption = False,
) -> None:
    """Index a folder; what cannot be indexed is listed with its reason, the rest loads."""
    home, settings, wiring = opened(context)
    limits = LoadLimits(max_bytes=min(settings.limits.document_bytes, LoadLimits().max_bytes))
    columns = (TextColumn("indexing"), BarColumn(), MofNCompleteColumn())
    total = sum(1 for path in folder.rglob("*") if path.is_file()) if folder.is_dir() else 0
    with (
        wiring.stores(home, settings) as stores,
        Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as bar,
    ):
        task = bar.add_task("", total=total)
        report = load_folder(
            folder,
            stores.index,
            stores.content,
            datetime.now(UTC),
            fhir=stores.fhir,
            limits=limits,
            progress=lambda _: bar.advance(task),
        )
    if as_json:
        print_json(report)
    else:
        say(
            f"Of {counted(report.files, 'file')} indexed: {report.indexed} "
            f"({counted(report.documents, 'document')}, "
            f"{counted(report.new_patients, 'new patient')}, "
            f"{counted(report.resources, 'FHIR resource')}), "
            f"known already: {report.duplicates}, not indexed: {len(report.failures)}."
        )
        for failure in report.failures:
            note(f"Not indexed: {failure.path}: {failure.sentence} ({failure.code})")
    if report.failures:
        raise typer.Exit(Exit.NOT_GOOD)


@app.command("list")
def list_records(
    context: typer.Context,
    failures: Annotated[
        bool, typer.Option("--failures", help="What could not be indexed instead.")
    ] = False,
    limit: Annotated[int, typer.Option(min=1, max=_MAX, help="At most so many.")] = 100,
    as_json: JsonOption = False,
) -> None:
    """List the documents, or what could not be indexed and why."""
    home, settings, wiring = opened(context)
    with wiring.stores(home, settings) as stores:
        counts = stores.index.counts()
        failed = stores.index.failures(limit=limit)
        documents = [] if failures else stores.index.documents(limit=limit)
    if as_json:
        entries = [{**_entry(held.entry), "sha256": held.sha256} for held in documents]
        print_json({"counts": counts, "documents": entries, "failures": failed})
        return
    if failures:
        print_table(
            ("file", "code", "why", "where"),
            [(f.path, f.code, f.sentence, f.place) for f in failed],
            empty="Every file could be indexed.",
        )
        return
    print_table(
        ("patient", "type", "title", "service", "mime type", "size", "unique id"),
        [
            (
                held.entry.patient_id.id if held.entry.patient_id else "",
                held.entry.type_code.code if held.entry.type_code else "",
                held.entry.title,
                held.entry.service_start,
                held.entry.mime_type,
                held.entry.size,
                held.entry.unique_id,
            )
            for held in documents
        ],
        empty="There is no document yet. Next: records add FOLDER",
    )
    note(
        f"{counted(counts.documents, 'document')} of {counted(counts.patients, 'patient')}; "
        f"{counted(counts.failures, 'file')} could not be indexed (records list --failures)."
    )


def _entry(entry: object) -> dict[str, object]:
    return {name: getattr(entry, name) for name in entry.__slots__}  # type: ignore[attr-defined]
