"""``tefca-node cert inspect``: what a file of anybody's keys or certificates is."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from node.cli.exits import Exit
from node.cli.home import context_of
from node.cli.output import JsonOption, note, print_json, print_table
from node.errors import CodedError
from node.identity import all_identities, default_passphrase, network_anchors, passphrase
from node.identity_store import versions
from node.settings import NodeHome, load_settings
from trust.anchors import authorised
from trust.chain import Strength
from trust.errors import TrustError
from trust.inspection import MAX_FILE_BYTES, Inspected, Part, Surroundings, inspect_bytes
from trust.key_floor import Finding
from trust.keys import read_key_file
from trust.lifecycle import compromised_keys


def inspect(
    context: typer.Context,
    file: Annotated[
        Path, typer.Argument(help="A certificate, chain, signing request, key or CRL; PEM or DER.")
    ],
    as_json: JsonOption = False,
) -> None:
    """Explain a file of anybody's keys or certificates; 1 when there is something to say of it."""
    home = context_of(context).home
    found = inspect_bytes(_read(file), _surroundings(home))
    found = tuple(_with_file(each, file) for each in found)
    if as_json:
        print_json(
            [
                {
                    "part": each.part.value,
                    **each.facts,
                    "findings": [
                        {"code": finding.code, "sentence": finding.sentence}
                        for finding in each.findings
                    ],
                }
                for each in found
            ]
        )
    else:
        for each in found:
            _show(each)
    if any(each.findings for each in found):
        raise typer.Exit(Exit.NOT_GOOD)


def _show(inspected: Inspected) -> None:
    rows = [
        (name, _words(value))
        for name, value in inspected.facts.items()
        if value not in ([], None, "")
    ]
    rows += [("finding", f"{each.sentence} ({each.code})") for each in inspected.findings]
    print_table(("part", inspected.part.value), rows, empty="")


def _read(file: Path) -> bytes:
    try:
        with file.open("rb") as opened:
            return opened.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise TrustError("file-unreadable", "The file cannot be read.", where=str(file)) from error


def _surroundings(home: NodeHome) -> Surroundings:
    """What the node home adds, where there is one."""
    now = datetime.now(UTC)
    if not home.settings_file.exists():
        return Surroundings(now=now, passphrase=default_passphrase())
    try:
        settings = load_settings(home)
        known = _known_keys(home, now)
        compromised = compromised_keys(
            record for each in all_identities(home) for record in versions(home, each, now=now)
        )
        return Surroundings(
            now=now,
            floor=Strength(settings.trust.minimum_strength),
            anchors=authorised(network_anchors(home)),
            known_keys=known,
            compromised=compromised,
            passphrase=passphrase(settings),
        )
    except CodedError as error:
        note(f"The node home says nothing about it: {error.sentence}")
        return Surroundings(now=now, passphrase=default_passphrase())


def _known_keys(home: NodeHome, now: datetime) -> Mapping[str, str]:
    return {
        record.spki_sha256: f"our {identity}, version {record.version} ({record.state})"
        for identity in all_identities(home)
        for record in versions(home, identity, now=now)
        if record.spki_sha256
    }


def _with_file(inspected: Inspected, file: Path) -> Inspected:
    """A private key's file is judged too: who may read it, whose it is."""
    if inspected.part is not Part.PRIVATE_KEY:
        return inspected
    try:
        read_key_file(file)
    except TrustError as error:
        finding = Finding(code=error.code, sentence=error.sentence)
        return Inspected(
            part=inspected.part, facts=inspected.facts, findings=(finding, *inspected.findings)
        )
    return inspected


def _words(value: object) -> object:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(map(str, value)) if isinstance(value, list) else value
