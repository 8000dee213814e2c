"""``tefca-node log``: what happened. Entries are found without PHI; ``show`` opens one."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Annotated

import typer

from node.cli.exits import Exit
from node.cli.home import opened
from node.cli.log_filter import (
    ActOption,
    DirectionOption,
    DocumentOption,
    ExchangeOption,
    KindOption,
    MessageOption,
    OutcomeOption,
    PatientOption,
    PeerOption,
    PurposeOption,
    ReasonOption,
    SinceOption,
    TransactionOption,
    UntilOption,
    UserOption,
    filter_of,
)
from node.cli.output import JsonOption, note, print_json, print_json_line, print_table, say
from node.errors import SettingsError
from node.ledger.erasure_codes import erasure_sentence
from node.ledger.find import Cursor, Entry, LedgerFilter, find, tail
from node.ledger.private import LedgerKey, load_key
from node.ledger.row_check import GroupState
from node.ledger.show import Shown, show
from node.ledger.trust_change import sentence
from node.model import Direction
from node.settings import NodeHome

app = typer.Typer(help="The exchange log of this node.", no_args_is_help=True)

_WHAT = "what"
_COLUMNS = ("seq", "time", "side", "transaction", "peer", "outcome", "reason", "docs", "ms")
_ARROWS = {Direction.INITIATING.value: "asked", Direction.RESPONDING.value: "served"}


@app.command("find")
def find_entries(
    context: typer.Context,
    peer: PeerOption = None,
    kind: KindOption = None,
    act: ActOption = None,
    transaction: TransactionOption = None,
    outcome: OutcomeOption = None,
    direction: DirectionOption = None,
    purpose: PurposeOption = None,
    reason: ReasonOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    exchange: ExchangeOption = None,
    message: MessageOption = None,
    patient: PatientOption = None,
    user: UserOption = None,
    document: DocumentOption = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most so many.")] = 50,
    after: Annotated[str | None, typer.Option(help="Go on after a page, as it said.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Find entries, newest first; every condition given must hold."""
    home, settings, wiring = opened(context)
    chosen = filter_of(
        peer=peer,
        kind=kind,
        act=act,
        transaction=transaction,
        outcome=outcome,
        direction=direction,
        purpose=purpose,
        reason=reason,
        since=since,
        until=until,
        exchange=exchange,
        message=message,
        patient=patient,
        user=user,
        document=document,
    )
    key = load_key(home.path) if chosen.needs_key else None
    with wiring.stores(home, settings) as stores:
        page = find(stores.engine, chosen, key=key, limit=limit, after=_cursor(after))
    following = f"{page.following.t}-{page.following.seq}" if page.following else None
    if as_json:
        print_json({"entries": [_plain(e) for e in page.entries], "after": following})
        return
    _print_entries(page.entries, empty="No entry fits.")
    if following:
        note(f"There are more: --after {following}")


@app.command("show")
def show_entry(
    context: typer.Context,
    reference: Annotated[str, typer.Argument(help="The entry's number or leg id.")],
    sealed: Annotated[
        bool, typer.Option("--sealed", help="Leave the private part closed.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Show one entry whole, its private part opened, and whether the two belong together."""
    home, settings, wiring = opened(context)
    key = None if sealed else _key(home)
    with wiring.stores(home, settings) as stores:
        shown = show(stores.engine, reference, key)
    if shown is None:
        note(f"The log has no entry {reference}. Next: log find")
        raise typer.Exit(Exit.NOT_GOOD)
    groups = {name: group.value for name, group in shown.groups.items()}
    if as_json:
        print_json(
            {
                **_plain(shown.entry),
                "private": groups,
                "states": shown.states,
                "erasures": {name: _plain(entry) for name, entry in shown.erasures.items()},
                "decision": shown.decision,
                "findings": shown.findings,
            }
        )
    else:
        _say_entry(shown, groups)
    if shown.findings:
        raise typer.Exit(Exit.NOT_GOOD)


def _say_entry(shown: Shown, groups: Mapping[str, object]) -> None:
    if said := _sentence(shown.entry):
        say(said)
    for name, value in shown.entry.fields.items():
        say(f"{name:10} {value}")
    if shown.decision is not None:
        say("-- decision about the peer's keys")
        say(f"   {shown.decision}")
    for name, state in shown.states.items():
        if state is not GroupState.ABSENT:
            say(f"-- {name} ({state}{_by_entry(shown.erasures.get(name))})")
        if name in groups:
            say(f"   {groups[name]}")
    for finding in shown.findings:
        note(f"Finding: {finding}")


def _by_entry(erasure: Entry | None) -> str:
    """Which entry says that a group was erased, and by whose order."""
    if erasure is None:
        return ""
    told = erasure.fields
    return f", see entry {erasure.seq}: ordered by {told['authority']}, {told['reason']}"


@app.command("tail")
def tail_entries(
    context: typer.Context,
    count: Annotated[int, typer.Option("--lines", "-n", min=1, max=1000, help="How many.")] = 20,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as they come.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Show the newest entries, oldest of them first; with --follow, JSON is one entry a line."""
    home, settings, wiring = opened(context)
    with wiring.stores(home, settings) as stores:
        newest = find(stores.engine, LedgerFilter(), limit=1).entries
        last = newest[0].seq if newest else -1
        # the newest by time may not be the last written, the numbers are what has no gap
        entries = tail(stores.engine, after=max(-1, last - count), limit=count)
        if as_json and not follow:
            print_json([_plain(entry) for entry in entries])
            return
        _print_tail(entries, as_json=as_json, header=True)
        while follow:
            last = entries[-1].seq if entries else last
            time.sleep(0.5)
            entries = tail(stores.engine, after=last, limit=1000)
            _print_tail(entries, as_json=as_json, header=False)


def _print_tail(entries: tuple[Entry, ...], *, as_json: bool, header: bool) -> None:
    if as_json:
        for entry in entries:
            print_json_line(_plain(entry))
        return
    if header:
        _print_entries(entries, empty="The log is empty.")
        return
    for entry in entries:
        say("  ".join(str(cell) for cell in (*_row(entry), _sentence(entry) or "")).rstrip())


def _print_entries(entries: tuple[Entry, ...], *, empty: str) -> None:
    """A table; changes of trust say in a last column what they are."""
    sentences = [_sentence(entry) for entry in entries]
    columns = (*_COLUMNS, _WHAT) if any(sentences) else _COLUMNS
    rows = [
        (*_row(entry), what)[: len(columns)] for entry, what in zip(entries, sentences, strict=True)
    ]
    print_table(columns, rows, empty=empty)


def _row(entry: Entry) -> tuple[object, ...]:
    fields = entry.fields
    return (
        entry.seq,
        fields["t"],
        _ARROWS.get(str(fields.get("dir")), fields["kind"]),
        fields.get("txn", fields.get("act", "")),
        fields.get("peer", ""),
        fields.get("outcome", fields.get("step", "")),
        fields.get("reason", ""),
        fields.get("docs", ""),
        fields.get("dur_ms", ""),
    )


def _plain(entry: Entry) -> dict[str, object]:
    said = _sentence(entry)
    told = {"sentence": said} if said else {}
    return {"seq": entry.seq, "entry_id": entry.entry_id, **entry.fields, **told}


def _sentence(entry: Entry) -> str | None:
    return sentence(entry.fields) or erasure_sentence(entry.fields)


def _key(home: NodeHome) -> LedgerKey:
    return load_key(home.path)


def _cursor(text: str | None) -> Cursor | None:
    if text is None:
        return None
    t, _, seq = text.partition("-")
    if not (t.isdecimal() and seq.isdecimal()):
        raise SettingsError("settings-invalid", "--after takes what a former page said.")
    return Cursor(t=int(t), seq=int(seq))
