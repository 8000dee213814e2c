"""``tefca-node log verify|prove|checkpoint``: what the log proves, to us and to others.

``verify`` needs no node home, no database and none of the node's secrets.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final

import typer
from sqlalchemy import select

from node.cli.exits import Exit
from node.cli.home import opened
from node.cli.log import app
from node.cli.output import JsonOption, note, print_json, print_table, say
from node.errors import LogError, SettingsError
from node.ledger.log_address import LogAddress
from node.ledger.log_chain import chain_findings
from node.ledger.log_files import LogFolder
from node.ledger.log_verify import Verified, verify_log
from node.ledger.retired_log import Retired
from node.ledger.sealed_proof import prove_entry
from node.ledger.sealer import CHECKPOINT
from node.ledger.tlog.audit import Finding, LogReader
from node.ledger.tlog.checkpoint import parse_checkpoint
from node.ledger.tlog.note import MAX_NOTE, parse_note, parse_verifier_key, to_base64
from node.ledger.tlog.policy import MAX_POLICY, Policy, accept, of_log, parse_policy
from node.ledger.witness_peers import witness_peers
from node.ledger.witness_policy import witnessed_by
from node.storage.tables import ENTRY
from node.yearly_sealer import sealed_years, verifier_keys

__all__ = ["app", "checkpoint", "prove", "verify"]

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


@app.command()
def prove(
    context: typer.Context,
    reference: Annotated[str, typer.Argument(help="The entry's number or leg id.")],
    out: Annotated[
        Path | None, typer.Option(help="Write the proof here; convention: NAME.tlog-proof.")
    ] = None,
    entry: Annotated[
        Path | None, typer.Option(help="Write the entry's bytes here, which the proof is about.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Write a C2SP tlog-proof that an entry is in the log, for whoever has our verifier key."""
    home, settings, wiring = opened(context)
    with wiring.stores(home, settings) as stores:
        column = ENTRY.c.seq if reference.isdecimal() else ENTRY.c.entry_id
        value = int(reference) if reference.isdecimal() else reference
        with stores.engine.connect() as connection:
            number = connection.execute(select(ENTRY.c.seq).where(column == value)).scalar()
    found = prove_entry(home.log, number) if number is not None else None
    if number is None or found is None:
        what = "is not sealed yet" if number is not None else "is not there"
        note(f"The entry {reference} {what}. Next: log find, or wait ten seconds while it serves.")
        raise typer.Exit(Exit.NOT_GOOD)
    proof, data, point = found.proof, found.data, found.point
    if entry is not None:
        entry.write_bytes(data)
    if out is not None:
        out.write_bytes(bytes(proof))
    if as_json:
        print_json(
            {
                "seq": number,
                "origin": point.origin,
                "index": proof.index,
                "size": point.size,
                "proof": bytes(proof).decode(),
                "entry": data.decode(),
            }
        )
    elif out is None:
        typer.echo(bytes(proof), nl=False)
    else:
        say(f"Proved entry {number}: index {proof.index} of {point.origin}, {point.size} entries.")


@app.command()
def checkpoint(context: typer.Context, as_json: JsonOption = False) -> None:
    """Show the newest checkpoint, the key by which others check it, and who witnessed it."""
    home, settings, wiring = opened(context)
    years = sealed_years(home)
    if not years:
        note("Nothing is sealed yet. Next: serve; a checkpoint is signed within ten seconds.")
        raise typer.Exit(Exit.NOT_GOOD)
    folder = LogFolder(home.log / str(years[-1]))
    data = folder.read(CHECKPOINT, MAX_NOTE)
    origin = parse_checkpoint(parse_note(data).text).origin
    keys = verifier_keys(home, settings, origin, now=datetime.now(UTC))
    if not keys:
        raise SettingsError("log-key-missing", "This node home has no key that signs its log.")
    point = accept(of_log(*keys), data).checkpoint
    with wiring.stores(home, settings) as stores:
        peers = witness_peers(stores.engine)
    witnessed = witnessed_by(folder, keys, peers)
    if as_json:
        print_json(
            {
                "origin": point.origin,
                "size": point.size,
                "root": to_base64(point.root),
                "vkeys": [str(key) for key in keys],
                "folder": folder.path,
                "checkpoint": data.decode(),
                "witnessed": witnessed.size if witnessed else None,
                "witnesses": witnessed.times if witnessed else {},
            }
        )
        return
    say(data.decode().rstrip("\n"))
    say("")
    for key in keys:
        say(f"vkey   {key}")
    say(f"folder {folder.path}")
    if witnessed:
        for name, signed in witnessed.times.items():
            say(f"witness {name} signed size {witnessed.size} at {signed:%Y-%m-%d %H:%M:%S} UTC")
