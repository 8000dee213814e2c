"""``tefca-node log``: what happened. Entries are found without PHI; ``show`` opens one."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated

import orjson
import typer
from sqlalchemy import Engine

from node.cli.exits import Exit
from node.cli.home import opened
from node.cli.log_bodies import looked_at, plain_bodies, say_bodies
from node.cli.log_filter import (
    FilterCommand,
    filtered,
    fixed,
    plain_filter,
    say_filter,
    usage,
)
from node.cli.output import JsonOption, note, print_json, print_json_line, print_table, say
from node.errors import SettingsError
from node.ledger import leaf
from node.ledger.aged_out import retained_until
from node.ledger.erasure_codes import erasure_sentence
from node.ledger.filter import LedgerFilter
from node.ledger.filter_text import parse_filter, sentence
from node.ledger.find import Cursor, Entry, count, find, newest, tail
from node.ledger.private import LedgerKey, load_key
from node.ledger.row_check import GroupState
from node.ledger.show import Shown, show
from node.ledger.trust_change import sentence as trust_sentence
from node.ledger.windows import nothing_found, wider
from node.model import Direction
from node.settings import NodeHome

app = typer.Typer()

_WHAT = "what"
_NO_NUMBER = 2**53
_COLUMNS = ("seq", "time", "side", "transaction", "peer", "outcome", "reason", "docs", "ms")
_ARROWS = {Direction.INITIATING.value: "asked", Direction.RESPONDING.value: "served"}


@app.command("find", cls=FilterCommand)
@filtered
def find_entries(
    context: typer.Context,
    chosen: LedgerFilter,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most so many.")] = 50,
    after: Annotated[str | None, typer.Option(help="Go on after a page, as it said.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Find entries, newest first; every condition given must hold."""
    home, settings, wiring = opened(context)
    key = _key_for(chosen, home)
    with wiring.stores(home, settings) as stores:
        page = find(stores.engine, fixed(chosen), key=key, limit=limit, after=_cursor(after))
        empty = "" if page.entries else _nothing(stores.engine, chosen, key)
    following = f"{page.following.t}-{page.following.seq}" if page.following else None
    if as_json:
        entries = [_plain(entry) for entry in page.entries]
        print_json({**plain_filter(chosen), "entries": entries, "after": following})
        return
    say_filter(chosen)
    _print_entries(page.entries, empty=empty)
    if following:
        note(f"There are more: --after {following}")


def _nothing(engine: Engine, chosen: LedgerFilter, key: LedgerKey | None) -> str:
    """What an empty page says: how many there are in a longer time."""
    now = datetime.now(UTC)

    def counting(longer: LedgerFilter) -> tuple[int, str]:
        found = count(engine, longer.at(now), key=key)
        return found.number, str(found)

    return nothing_found(chosen, wider(chosen, now=now, count=counting))


@app.command("show", cls=FilterCommand)
def show_entry(
    context: typer.Context,
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="ENTRY",
            help="Its number or leg id; or qualifiers that choose one entry, such as message:ID.",
        ),
    ],
    sealed: Annotated[
        bool, typer.Option("--sealed", help="Leave the private part closed.")
    ] = False,
    bodies: Annotated[
        bool, typer.Option("--bodies", help="With its messages as they were on the wire.")
    ] = False,
    reason: Annotated[
        str | None, typer.Option(help="Why --bodies: a code; the look is an entry of the log.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show one entry whole, its private part opened, and whether the two belong together."""
    if bodies and not leaf.fits("reason", reason):
        raise typer.BadParameter("--bodies needs --reason with a code: words joined by hyphens.")
    home, settings, wiring = opened(context)
    key = None if sealed else load_key(home.path)
    reference: str | None = words[0]
    with wiring.stores(home, settings) as stores:
        if len(words) > 1 or ":" in words[0]:
            reference = _only(stores.engine, words, home)
        shown = show(stores.engine, reference, key) if reference else None
        gone = None if shown else _gone(stores.engine, reference)
        messages = looked_at(stores, home, shown.entry, str(reason)) if shown and bodies else {}
    if gone is not None:
        note(f"The entry {reference} was retained until {gone:%Y-%m-%d} and is gone.")
        raise typer.Exit(Exit.NOT_GOOD)
    if shown is None and reference is None:
        raise typer.Exit(Exit.NOT_GOOD)
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
                **({"bodies": plain_bodies(messages)} if bodies else {}),
            }
        )
    else:
        _say_entry(shown, groups)
        if bodies:
            say_bodies(messages)
    if shown.findings:
        raise typer.Exit(Exit.NOT_GOOD)


def _only(engine: Engine, words: list[str], home: NodeHome) -> str | None:
    """The number of the one entry that qualifiers choose; says so when it is not one."""
    with usage():
        chosen = parse_filter(" ".join(words))
    found = find(engine, fixed(chosen), key=_key_for(chosen, home), limit=2).entries
    if len(found) == 1:
        return str(found[0].seq)
    what = "No entry fits" if not found else "More than one entry fits"
    note(f"{what}. {sentence(chosen)} Next: log find")
    return None


def _gone(engine: Engine, reference: str | None) -> datetime | None:
    """Until when an entry was kept that is gone because its time was over."""
    if reference is None or not reference.isdecimal() or int(reference) >= _NO_NUMBER:
        return None
    return retained_until(engine, int(reference))


def _say_entry(shown: Shown, groups: Mapping[str, object]) -> None:
    if said := _sentence(shown.entry):
        say(said)
    for name, value in shown.entry.fields.items():
        say(f"{name:10} {value}")
    if shown.decision is not None:
        say("-- decision about the peer's keys")
        _say_value(shown.decision)
    for name, state in shown.states.items():
        if state is not GroupState.ABSENT:
            say(f"-- {name} ({state}{_by_entry(shown.erasures.get(name))})")
        if name in groups:
            _say_value(groups[name])
    for finding in shown.findings:
        note(f"Finding: {finding}")


def _say_value(value: object) -> None:
    """A nested value over several lines, to be read."""
    for line in orjson.dumps(value, default=str, option=orjson.OPT_INDENT_2).decode().splitlines():
        say(f"   {line}")


def _by_entry(erasure: Entry | None) -> str:
    """Which entry says that a group was erased, and by whose order."""
    if erasure is None:
        return ""
    told = erasure.fields
    return f", see entry {erasure.seq}: ordered by {told['authority']}, {told['reason']}"


@app.command("tail", cls=FilterCommand)
@filtered
def tail_entries(
    context: typer.Context,
    chosen: LedgerFilter,
    lines: Annotated[int, typer.Option("--lines", "-n", min=1, max=1000, help="How many.")] = 20,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as they come.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Show the newest entries, oldest of them first; with --follow, JSON is one entry a line."""
    home, settings, wiring = opened(context)
    key = _key_for(chosen, home)
    say_filter(chosen)
    with wiring.stores(home, settings) as stores:
        last = newest(stores.engine)
        if chosen == LedgerFilter():
            # the newest by time may not be the last written, the numbers are what has no gap
            entries = tail(stores.engine, after=max(-1, last - lines), bound=last, limit=lines)
        else:
            page = find(stores.engine, fixed(chosen), key=key, limit=lines)
            entries = tuple(sorted(page.entries, key=lambda entry: entry.seq))
            last = max([last, *(entry.seq for entry in entries)])
        if as_json and not follow:
            print_json([_plain(entry) for entry in entries])
            return
        _print_tail(entries, as_json=as_json, header=True)
        while follow:
            time.sleep(0.5)
            bound = min(newest(stores.engine), last + 1000)
            entries = tail(
                stores.engine, fixed(chosen), key=key, after=last, bound=bound, limit=1000
            )
            last = max(last, bound)
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
    return trust_sentence(entry.fields) or erasure_sentence(entry.fields)


def _key_for(chosen: LedgerFilter, home: NodeHome) -> LedgerKey | None:
    return load_key(home.path) if chosen.needs_key else None


def _cursor(text: str | None) -> Cursor | None:
    if text is None:
        return None
    t, _, seq = text.partition("-")
    if not (t.isdecimal() and seq.isdecimal()):
        raise SettingsError("settings-invalid", "--after takes what a former page said.")
    return Cursor(t=int(t), seq=int(seq))
