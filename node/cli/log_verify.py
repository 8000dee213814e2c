"""``tefca-node log verify``: needs no node home, no database and none of the node's secrets."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final

import typer

from node.cli.exits import Exit
from node.cli.output import JsonOption, print_json, print_table, say
from node.errors import LogError
from node.ledger.log_address import LogAddress
from node.ledger.log_chain import chain_findings
from node.ledger.log_files import LogFolder
from node.ledger.log_verify import Verified, verify_log
from node.ledger.retired_log import Retired
from node.ledger.sealer import CHECKPOINT
from node.ledger.tlog.audit import Finding, LogReader
from node.ledger.tlog.checkpoint import parse_checkpoint
from node.ledger.tlog.note import MAX_NOTE, parse_note, parse_verifier_key, to_base64
from node.ledger.tlog.policy import MAX_POLICY, Policy, of_log, parse_policy

app = typer.Typer()

_MOST_WORKERS: Final = 8


@app.command()
def verify(
    place: Annotated[str, typer.Argument(help="The log's folder, or its address.")],
    vkey: Annotated[
        list[str] | None, typer.Option(help="A verifier key of the log; may be repeated.")
    ] = None,
    policy: Annotated[
        Path | None, typer.Option(help="A C2SP policy file: logs, witnesses, quorum.")
    ] = None,
    checkpoint: Annotated[
        list[Path] | None,
        typer.Option(help="A checkpoint seen before, which the log must begin with."),
    ] = None,
    ca: Annotated[Path | None, typer.Option(help="CAs of the address's certificate, PEM.")] = None,
    cert: Annotated[Path | None, typer.Option(help="Our own client certificate, PEM.")] = None,
    key: Annotated[Path | None, typer.Option(help="The key of --cert, PEM.")] = None,
    workers: Annotated[
        int, typer.Option(min=1, max=_MOST_WORKERS, help="Processes that hash.")
    ] = min(os.cpu_count() or 1, _MOST_WORKERS),
    as_json: JsonOption = False,
) -> None:
    """Check a sealed log: every entry is hashed again. Needs no node and no secret of one."""
    trusted = _policy(vkey or (), policy)
    earlier = [(str(file), _file(file, MAX_NOTE)) for file in checkpoint or ()]
    started = time.monotonic()
    with ExitStack() as stack:
        readers: list[LogReader] = []
        if "://" in place:
            address = LogAddress(place, anchors=ca, certificate=cert, key=key)
            stack.callback(address.close)
            readers.append(address)
        else:
            readers.extend(_folders(Path(place)))
        results = [
            verify_log(
                reader,
                trusted,
                earlier=_of_same_log(reader, earlier) if len(readers) > 1 else earlier,
                workers=workers,
            )
            for reader in readers
        ]
    _tell(results, chain_findings(results), seconds=time.monotonic() - started, as_json=as_json)


def _policy(vkeys: Iterable[str], file: Path | None) -> Policy:
    keys = [parse_verifier_key(text) for text in vkeys]
    if bool(keys) == (file is not None):
        raise typer.BadParameter("Say whose signature counts: --vkey KEY, or --policy FILE.")
    return parse_policy(_file(file, MAX_POLICY)) if file else of_log(*keys)


def _file(file: Path, limit: int) -> bytes:
    return LogFolder(file.parent).read(file.name, limit)


def _folders(place: Path) -> Iterable[LogFolder]:
    """The log of a folder, or those of the years in it."""
    found = sorted(
        path for path in place.glob("[0-9][0-9][0-9][0-9]") if (path / CHECKPOINT).is_file()
    )
    if found and not (place / CHECKPOINT).exists():
        return [LogFolder(path) for path in found]
    return [LogFolder(place)]


def _of_same_log(reader: LogReader, earlier: list[tuple[str, bytes]]) -> list[tuple[str, bytes]]:
    """Of several logs, each is held against the checkpoints of its own origin."""
    try:
        origin = parse_checkpoint(parse_note(reader.read(CHECKPOINT, MAX_NOTE)).text).origin
        return [
            each for each in earlier if parse_checkpoint(parse_note(each[1]).text).origin == origin
        ]
    except LogError:
        return earlier


def _tell(results: list[Verified], breaks: list[Finding], *, seconds: float, as_json: bool) -> None:
    findings = [*(f for each in results for f in each.findings), *breaks]
    newest = results[-1]
    entries = sum(each.entries for each in results)
    age = (datetime.now(UTC) - newest.time).total_seconds() if newest.time else None
    if as_json:
        print_json(
            {
                "ok": not findings,
                "origin": newest.origin,
                "entries": entries,
                "size": newest.size,
                "root": to_base64(newest.root),
                "checkpoint_age_s": None if age is None else max(0, round(age)),
                "witnessed": newest.witnessed,
                "witnesses": newest.witnesses,
                "retired": [_retired(each.retired) for each in results if each.retired],
                "findings": [_plain(each) for each in findings],
                "findings_not_listed": sum(each.more for each in results),
                "seconds": round(seconds, 3),
            }
        )
    else:
        rate = f", {entries / seconds:,.0f} a second" if seconds > 1 else ""
        say(f"{newest.origin or 'The log'}: entries hashed again: {entries}{rate}.")
        say(f"size {newest.size}, root {to_base64(newest.root)}")
        for each in results:
            if each.retired:
                say(_retired_sentence(each.retired))
        if age is not None:
            say(f"the checkpoint is at most {max(0, round(age))} s old")
        for name, signed in newest.witnesses.items():
            when = f"signed at {signed:%Y-%m-%d %H:%M:%S} UTC" if signed else "did not sign"
            say(f"witness {name} {when}")
        if newest.witnessed is not None and newest.witnessed < newest.size:
            later = newest.size - newest.witnessed
            say(f"witnessed up to size {newest.witnessed}; what is later ({later}), not yet")
        print_table(
            ("code", "index", "what", "expected", "found", "last good checkpoint"),
            [_row(each) for each in findings],
            empty="Everything holds.",
        )
    if findings:
        raise typer.Exit(Exit.NOT_GOOD)


def _retired(retired: Retired) -> dict[str, object]:
    return {
        "origin": retired.origin,
        "entries": retired.size,
        "until": f"{retired.until:%Y-%m-%d}",
        "kept": retired.kept,
    }


def _retired_sentence(retired: Retired) -> str:
    return (
        f"The {retired.size} entries of {retired.origin} were retained until "
        f"{retired.until:%Y-%m-%d} and are gone; {retired.kept} kept entries prove."
    )


def _plain(finding: Finding) -> dict[str, object]:
    good = finding.last_good
    return {
        "code": finding.code,
        "sentence": finding.sentence,
        "index": finding.index,
        "expected": finding.expected,
        "found": finding.found,
        "last_good_checkpoint": (
            {"size": good.size, "root": to_base64(good.root)} if good else None
        ),
    }


def _row(finding: Finding) -> tuple[object, ...]:
    good = finding.last_good
    return (
        finding.code,
        finding.index,
        finding.sentence,
        finding.expected,
        finding.found,
        f"{good.size} {to_base64(good.root)}" if good else "none",
    )
