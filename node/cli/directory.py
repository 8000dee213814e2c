"""``tefca-node directory``: who is out there, imported, searched, checked, and our own entry."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Annotated

import orjson
import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from directory.export import export_bundle
from directory.finding import Severity
from directory.mapping import CommunityMapping, community_mapping
from directory.model import Organization
from directory.rows import rows_of_files
from node.cli.exits import Exit
from node.cli.home import opened
from node.cli.output import JsonOption, counted, err, note, print_json, print_table, say
from node.ledger.trust_change import TrustChange
from node.own_entry import own_organization
from node.policy.purposes import purpose_register
from node.published_keys import published_keys
from node.settings import NodeHome, Settings

_ANCESTORS = 12  # shown; a chain in a circle may have thousands

app = typer.Typer(help="The directory of organisations and endpoints.", no_args_is_help=True)

_GZIP = b"\x1f\x8b"
_MAX_NAMES = 100


@app.command("import")
def import_directory(
    context: typer.Context,
    files: Annotated[list[Path], typer.Argument(help="FHIR bundles or NDJSON, also gzipped.")],
    source: Annotated[
        str, typer.Option(help="Whose entries these are; they replace the source's former ones.")
    ] = "network",
    as_json: JsonOption = False,
) -> None:
    """Import Organizations and Endpoints; what cannot be used is reported, never dropped."""
    home, settings, wiring = opened(context)
    with (
        wiring.stores(home, settings) as stores,
        stores.trust.change(_importing(files, source)) as made,
        _progress(files) as moved,
    ):
        report = stores.directory.import_rows(
            rows_of_files(*files),
            source=source,
            now=datetime.now(UTC),
            mapping=mapping_of(home, settings),
            progress=moved,
        )
        counts = report.organizations
        made.add(
            TrustChange(
                act="directory-import",
                counts={
                    "added": counts.added,
                    "changed": counts.changed,
                    "removed": counts.removed,
                    "left_out": report.left_out,
                },
            )
        )
    if as_json:
        print_json(report)
        return
    organizations = report.organizations
    say(
        f"Imported {counted(organizations.total, 'organisation')} "
        f"from {counted(report.rows, 'row')}: "
        f"{organizations.added} new, {organizations.changed} changed, "
        f"{organizations.unchanged} as before, {organizations.removed} gone."
    )
    if report.left_out:
        say(f"{counted(report.left_out, 'row')} could not be used.")
    if report.findings:
        total = sum(report.findings.values())
        say(
            f"The check gave {counted(total, 'finding')}, "
            f"{counted(report.errors, 'error')} among them. Next: directory check"
        )


@app.command()
def find(
    context: typer.Context,
    text: Annotated[str, typer.Argument(help="Words of a name, or an HCID, NPI, id or host.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most so many.")] = 50,
    as_json: JsonOption = False,
) -> None:
    """Find organisations by name or by any identifier."""
    home, settings, wiring = opened(context)
    with wiring.stores(home, settings) as stores:
        page = stores.directory.search(text, limit=limit)
    if as_json:
        print_json([_brief(organization) for organization in page.organizations])
        return
    print_table(
        ("id", "name", "home community id", "state", "answers"),
        [
            (o.id, o.name, o.home_community_id, _state(o), ", ".join(_answers(o)))
            for o in page.organizations
        ],
        empty="No organisation fits. If the directory is empty: directory import FILE",
    )
    if page.after:
        note(f"There are more; --limit shows more than {limit}.")


@app.command()
def show(
    context: typer.Context,
    key: Annotated[str, typer.Argument(help="The entry's id or home community id.")],
    as_json: JsonOption = False,
) -> None:
    """Show one organisation with its endpoints, purposes, pins and findings."""
    home, settings, wiring = opened(context)
    with wiring.stores(home, settings) as stores:
        found = stores.directory.search(key, limit=1).organizations
        if not found:
            note(f"The directory has no organisation {key}. Next: directory import FILE")
            raise typer.Exit(Exit.NOT_GOOD)
        organization = found[0]
        pins = stores.directory.local.pins(organization.id)
        findings = [f for _, f in stores.directory.findings(resource_id=organization.id)]
        ancestors = stores.directory.ancestors(organization.id)
    if as_json:
        print_json({"organization": organization, "pins": pins, "findings": findings})
        return
    say(f"{organization.name} ({organization.id}), {_state(organization)}")
    say(f"  home community id  {organization.home_community_id or 'none'}")
    if ancestors:
        more = len(ancestors) - _ANCESTORS
        names = [a.name for a in ancestors[:_ANCESTORS]] + ([f"{more} more"] if more > 0 else [])
        say(f"  under              {' < '.join(names)}")
    say(f"  asks for           {', '.join(sorted(organization.initiates)) or 'nothing'}")
    for endpoint in organization.endpoints:
        what = ", ".join(sorted(endpoint.transactions)) or "no transaction"
        say(f"  {what:18} {endpoint.address or 'no address'}")
        say(f"    answers for      {', '.join(sorted(endpoint.responds)) or 'not said'}")
    for pin in pins:
        say(f"  pinned ({pin.use})  {pin.spki}")
    for name, value in organization.profile.items():
        say(f"  profile            {name} = {value}")
    for finding in findings:
        say(f"  {finding.severity}: {finding.sentence} ({finding.code})")


@app.command()
def check(
    context: typer.Context,
    severity: Annotated[Severity | None, typer.Option(help="Only this severity.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most so many.")] = 100,
    as_json: JsonOption = False,
) -> None:
    """List what is wrong with the rows that were imported; exit code 1 when a row has an error."""
    home, settings, wiring = opened(context)
    with wiring.stores(home, settings) as stores:
        findings = [f for _, f in stores.directory.findings(severity=severity, limit=limit)]
        errors = stores.directory.findings(severity=Severity.ERROR, limit=1)
        counts = stores.directory.finding_counts()
    if as_json:
        print_json({"counts": counts, "findings": findings})
    else:
        print_table(
            ("severity", "code", "entry", "what", "where"),
            [(f.severity.value, f.code, f.resource_id, f.sentence, f.where) for f in findings],
            empty="There is no finding.",
        )
        for code, count in sorted(counts.items(), key=lambda item: -item[1]):
            note(f"{count:6} {code}")
    if errors:
        raise typer.Exit(Exit.NOT_GOOD)


@app.command()
def export(
    context: typer.Context,
    own: Annotated[
        bool, typer.Option("--self", help="Our own entry, as our settings say.")
    ] = False,
    out: Annotated[Path | None, typer.Option(help="Write to a file.")] = None,
) -> None:
    """Write an entry as a FHIR bundle in the RCE form, for others to import."""
    home, settings, _ = opened(context)
    if not own:
        raise typer.BadParameter("Name what to export: --self is our own entry.")
    organization = replace(
        own_organization(settings, purpose_register()),
        keys=published_keys(home, settings, now=datetime.now(UTC)),
    )
    content = orjson.dumps(export_bundle(organization), option=orjson.OPT_INDENT_2) + b"\n"
    if out is None:
        say(content.decode().rstrip())
    else:
        out.write_bytes(content)
        say(f"Wrote our entry to {out}: give it to your peers, and import it yourself.")
    if not organization.initiates:
        note("This entry asks for nothing: name purposes with policy.initiates in node.toml.")


def _importing(files: list[Path], source: str) -> TrustChange:
    """The change that an import is; of several files the digest is that of their digests."""
    digests = [_digest(file) for file in files if file.is_file()]
    whole = digests[0] if len(digests) == 1 else sha256(b"".join(map(bytes.fromhex, digests)))
    return TrustChange(
        act="directory-import",
        source=source,
        thing=whole if isinstance(whole, str) else whole.hexdigest(),
        private={"files": [file.name for file in files[:_MAX_NAMES]]},
    )


def _digest(file: Path) -> str:
    with file.open("rb") as stream:
        return file_digest(stream, "sha256").hexdigest()


def mapping_of(home: NodeHome, settings: Settings) -> CommunityMapping:
    """The mapping with the operator's own files over it."""
    return community_mapping(*(home.resolve(name) for name in settings.directory.mappings))


def _brief(organization: Organization) -> dict[str, object]:
    return {
        "id": organization.id,
        "name": organization.name,
        "hcid": organization.home_community_id,
        "state": _state(organization),
        "initiates": sorted(organization.initiates),
        "answers": _answers(organization),
    }


def _state(organization: Organization) -> str:
    if organization.suspended:
        return "suspended"
    return "active" if organization.active else "inactive"


def _answers(organization: Organization) -> list[str]:
    return sorted({t for e in organization.endpoints if e.active for t in e.transactions})


@contextmanager
def _progress(files: list[Path]) -> Iterator[Callable[[int], None]]:
    """A bar over the rows of the files; a bundle's rows are not known beforehand."""
    lines = sum(_lines(file) for file in files)
    columns = (TextColumn("importing"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as progress:
        task = progress.add_task("", total=lines if lines > len(files) else None)
        yield lambda done: progress.update(task, completed=done)


def _lines(file: Path) -> int:
    if not file.is_file():
        return 0  # reading it says what is wrong
    with file.open("rb") as probe:
        packed = probe.read(2) == _GZIP
    with gzip.open(file, "rb") if packed else file.open("rb") as stream:
        return sum(block.count(b"\n") for block in iter(lambda: stream.read(1 << 20), b""))
