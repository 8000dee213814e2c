"""``tefca-node log erase``: destroy private groups of entries; the log says that it was done."""

from __future__ import annotations

import sys
from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final

import typer
from sqlalchemy import Engine, select

from node.cli.exits import Exit
from node.cli.home import opened
from node.cli.output import JsonOption, note, print_json, say
from node.console.clinic.keeping import ClinicStore, Concerned
from node.ledger import leaf
from node.ledger.erasure import ABOUT_PATIENT, Eraser, Order, Tally, legs_of, survey
from node.ledger.erasure_codes import erasure_codes
from node.ledger.private import LedgerKey, load_key
from node.ledger.trust_log import operator
from node.model import PatientId
from node.storage.remains import Remains, clear_remains
from node.storage.tables import ENTRY
from node.wire.identifiers import parse_cx

app = typer.Typer()

_MOST: Final = 1000
_HELD_BY_REQUESTS: Final = frozenset({"patient", "query", "docs"})
"""Groups of an entry whose content a clinician's kept request holds as well."""

_LARGEST: Final = 2**53 - 1
_SIX_YEARS: Final = timedelta(days=6 * 365 + 2)
_LEFT: Final = {
    Remains.NONE: "Nothing of it is left in the database's files; backups are yours to see to.",
    Remains.WAL: (
        "Older pages are still in node.db-wal, which is in use. Next: run this command again."
    ),
    Remains.DEAD_ROWS: (
        "PostgreSQL keeps dead rows until VACUUM, their bytes until the space is used again, and "
        "its WAL and backups as you set it. Next: VACUUM ledger_private, ledger_token"
    ),
}


@app.command("erase")
def erase_private(
    context: typer.Context,
    references: Annotated[
        list[str] | None, typer.Argument(help="Numbers or leg ids of entries.")
    ] = None,
    authority: Annotated[str, typer.Option(help="Who ordered it: a code.")] = "",
    reason: Annotated[str, typer.Option(help="Why: a code.")] = "",
    patient: Annotated[
        str | None, typer.Option(help="All entries about this person: id^^^&oid&ISO.")
    ] = None,
    part: Annotated[
        list[str] | None,
        typer.Option(help=f"Only this group; may be repeated. Else: {', '.join(ABOUT_PATIENT)}."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would go; do nothing.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Destroy private groups of entries for good; entries, proofs and the sealed log stay."""
    authority, reason, parts = _codes(authority, reason, part or [])
    if bool(references) == bool(patient):
        raise typer.BadParameter("Name entries, or a person with --patient.")
    if len(references or ()) > _MOST:
        raise typer.BadParameter(f"At most {_MOST} entries can be named at once.")
    home, settings, wiring = opened(context)
    key = load_key(home.path)
    with wiring.stores(home, settings) as stores:
        order = Order(
            authority=authority,
            reason=reason,
            parts=parts,
            seqs=_numbers(stores.engine, references or []),
            token=key.patient_token(parse_cx(patient)) if patient else None,
        )
        tally = survey(stores.engine, order)
        clinic = ClinicStore(stores.engine, key)
        person = parse_cx(patient) if patient else None
        asked = _asked(clinic, person, legs_of(stores.engine, order), parts)
        _warn(tally)
        if dry_run:
            _tell(order, tally, len(asked), None, as_json=as_json)
            return
        if tally.entries or asked:
            _confirm(tally, len(asked), yes=yes)
            tally = _eraser(stores.engine, key, settings.node.home_community_id).run(order)
            clinic.erase(asked)
        # also when nothing was to do: an earlier run may have left the files as they were
        left = clear_remains(stores.engine)
    _tell(order, tally, len(asked), left, as_json=as_json)
    if left is Remains.WAL:
        raise typer.Exit(Exit.NOT_GOOD)


def _codes(authority: str, reason: str, parts: list[str]) -> tuple[str, str, tuple[str, ...]]:
    codes = erasure_codes()
    for option, code, known in (
        ("--authority", authority, codes.authorities),
        ("--reason", reason, codes.reasons),
    ):
        if code not in known:
            listed = "; ".join(f"{name}: {meaning}" for name, meaning in known.items())
            raise typer.BadParameter(f"{option} takes one of these codes. {listed}.")
    if not set(parts) <= set(leaf.GROUPS):
        raise typer.BadParameter(f"The private groups are {', '.join(leaf.GROUPS)}.")
    return authority, reason, tuple(dict.fromkeys(parts))


def _numbers(engine: Engine, references: list[str]) -> tuple[int, ...]:
    """The numbers of entries; ends the command with 1 where one is not there."""
    found = []
    with engine.connect() as connection:
        for reference in references:
            where = (
                ENTRY.c.seq == int(reference)
                if reference.isdecimal()
                else ENTRY.c.entry_id == reference.lower()
            )
            fits = not reference.isdecimal() or int(reference) <= _LARGEST
            number = connection.execute(select(ENTRY.c.seq).where(where)).scalar() if fits else None
            if number is None:
                note(f"The log has no entry {reference}. Nothing was erased. Next: log find")
                raise typer.Exit(Exit.NOT_GOOD)
            found.append(number)
    return tuple(found)


def _asked(
    clinic: ClinicStore, person: PatientId | None, legs: Collection[str], parts: tuple[str, ...]
) -> Sequence[Concerned]:
    """The clinicians' kept requests that hold what is to be erased."""
    if parts and not _HELD_BY_REQUESTS & set(parts):
        return ()
    return clinic.about(person, legs)


def _eraser(engine: Engine, key: LedgerKey, own: str) -> Eraser:
    return Eraser(engine, key, own=own, author=operator(), now=lambda: datetime.now(UTC))


def _confirm(tally: Tally, requests: int, *, yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise typer.BadParameter("Without a terminal to ask at, this needs --yes.")
    note(_sentence(tally, requests))
    typer.confirm("Destroy it for good?", abort=True, err=True)


def _sentence(tally: Tally, requests: int) -> str:
    kept = f"clinicians' kept requests: {requests}."
    if not tally.entries:
        return kept[:1].upper() + kept[1:]
    groups = ", ".join(f"{name} {count}" for name, count in tally.parts.items())
    entries = "1 entry" if tally.entries == 1 else f"{tally.entries} entries"
    return f"{entries}, begun from {_day(tally.first)} to {_day(tally.last)}; groups: {groups}." + (
        f" {kept[:1].upper()}{kept[1:]}" if requests else ""
    )


def _warn(tally: Tally) -> None:
    """Say that some of it may have to be kept (facts: tamper-evident-log C7)."""
    if tally.last is not None and tally.last > leaf.milliseconds(datetime.now(UTC) - _SIX_YEARS):
        note(
            "Some of it is less than six years old. HIPAA's documentation and its accounting of "
            "disclosures reach back so far (45 CFR 164.316(b)(2)(i), 164.528); whether a log like "
            "this one is meant is disputed. Ask your privacy official first."
        )


def _day(t: int | None) -> str | None:
    return None if t is None else f"{datetime.fromtimestamp(t / 1000, UTC):%Y-%m-%d}"


def _tell(
    order: Order, tally: Tally, requests: int, left: Remains | None, *, as_json: bool
) -> None:
    if as_json:
        print_json(
            {
                "erased": left is not None,
                "entries": tally.entries,
                "parts": tally.parts,
                "requests": requests,
                "first": _day(tally.first),
                "last": _day(tally.last),
                "authority": order.authority,
                "reason": order.reason,
                "left": left,
            }
        )
        return
    if not tally.entries and not requests:
        say("There is nothing to erase.")
    elif left is None:
        say(f"This would be erased: {_sentence(tally, requests)}")
    else:
        say(f"Erased: {_sentence(tally, requests)}")
    if left is None:
        say("Nothing was changed.")
    else:
        (note if left is Remains.WAL else say)(_LEFT[left])
