"""``tefca-node detect``: the detectors, that look at the log and say what is unusual."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from node.cli.home import opened
from node.cli.output import JsonOption, counted, note, print_json, print_table, say
from node.governance.detectors.backtest import DAYS, backtest
from node.governance.detectors.catalogue import State, unfed
from node.governance.detectors.flags import flags
from node.governance.detectors.scoreboard import scoreboard
from node.governance.detectors.store import checked, known, settings
from node.governance.detectors.trying import of_try
from node.governance.sample_reading import drawn_months, results
from node.governance.watching import watching
from node.ledger import leaf
from node.ledger.private import load_key
from node.ledger.trust_log import operator
from node.wire.identifiers import home_community_id

if TYPE_CHECKING:
    from node.cli.home import Stores
    from node.governance.sample_reading import Result
    from node.governance.watching import Watching

app = typer.Typer(
    help="Detectors: what looks at the log and says what is unusual.", no_args_is_help=True
)

_NOBODY = ""
_EXAMPLES = 5
LimitOption = Annotated[
    list[str] | None, typer.Option("--limit", metavar="NAME=NUMBER", help="May be repeated.")
]


@app.command("list")
def list_detectors(context: typer.Context, as_json: JsonOption = False) -> None:
    """Show each detector: its state, its limits, and how often it was right."""
    now = datetime.now(UTC)
    with _watching(context) as (stores, _):
        rows = scoreboard(stores.engine, reader=_NOBODY, now=now)
    if as_json:
        print_json(
            {
                "detectors": [
                    {
                        "id": row.setting.detector.id,
                        "title": row.setting.detector.title,
                        "version": row.setting.detector.version,
                        "state": row.setting.state,
                        "sentence": row.setting.detector.template,
                        "limits": {
                            name: {
                                "value": row.setting.limits[name],
                                "shipped": limit.value,
                                "least": limit.least,
                                "most": limit.most,
                                "words": limit.words,
                            }
                            for name, limit in row.setting.detector.limits.items()
                        },
                        "flags_30_days": row.flags,
                        "confirmed": row.confirmed,
                        "dismissed": row.dismissed,
                        "precision": row.precision,
                        "median_review_hours": row.median_hours,
                    }
                    for row in rows
                ],
                "not_fed": [
                    {"id": each.id, "title": each.title, "why": each.why} for each in unfed()
                ],
            }
        )
        return
    print_table(
        ("id", "state", "v", "flags 30 d", "confirmed", "dismissed", "what it looks for"),
        [
            (
                row.setting.detector.id,
                row.setting.state.value,
                row.setting.detector.version,
                row.flags,
                row.confirmed,
                row.dismissed,
                row.setting.detector.title,
            )
            for row in rows
        ],
        empty="",
    )
    for each in unfed():
        note(f"{each.id} is not fed: {each.title}. {each.why}")


@app.command("run")
def run_detectors(context: typer.Context, as_json: JsonOption = False) -> None:
    """Look at what is new now, as a running node does by itself; flags become cases."""
    with _watching(context) as (stores, parts):
        exchanges = found = shadow = 0
        failed: set[str] = set()
        cases: dict[str, None] = {}
        more = True
        while more:
            swept = parts.sweeper.run(now=datetime.now(UTC))
            exchanges += swept.exchanges
            found += swept.flags
            shadow += swept.shadow
            failed |= set(swept.failed)
            cases |= dict.fromkeys(swept.cases)
            more = swept.more
        sampled = parts.sampler.run(now=datetime.now(UTC))
        cases |= dict.fromkeys(sampled.cases)
        newest = flags(stores.engine, reader=_NOBODY, limit=found + shadow or 1)
        sentences = [parts.names.sentence(each) for each in newest] if found + shadow else []
        detectors = [each.detector for each in newest]
        states = [each.state.value for each in newest]
    if as_json:
        print_json(
            {
                "exchanges": exchanges,
                "flags": found,
                "shadow": shadow,
                "failed": sorted(failed),
                "cases": list(cases),
                "drawn": sampled.drawn,
                "found": [
                    {"detector": code, "state": state, "sentence": sentence}
                    for code, state, sentence in zip(detectors, states, sentences, strict=False)
                ],
            }
        )
        return
    say(
        f"{counted(exchanges, 'exchange')} examined, {counted(found, 'flag')}, {shadow} in shadow;"
        f" {'detectors ok' if not failed else 'failed: ' + ', '.join(sorted(failed))}."
    )
    for code, state, sentence in zip(detectors, states, sentences, strict=False):
        say(f"{code} ({state}): {sentence}")
    if sampled.drawn:
        say(f"{counted(sampled.drawn, 'exchange')} drawn by lot, for people to judge.")
    for number in cases:
        say(f"Case {number}")


@app.command("set")
def set_detector(
    context: typer.Context,
    detector: Annotated[str, typer.Argument(help="Such as D14, see detect list.")],
    reason: Annotated[str, typer.Option(help="Why, in a sentence; never a patient's data.")],
    state: Annotated[State | None, typer.Option(help="off, shadow or on.")] = None,
    limit: LimitOption = None,
) -> None:
    """Change a detector's state or limits; the change is an entry of the log."""
    limits = _limits(limit)
    if state is None and not limits:
        raise typer.BadParameter("Say what is to be changed: --state or --limit.")
    author = operator()
    with _watching(context) as (_, parts):
        setting = parts.detectors.set(
            detector,
            author,
            login=str(author.who["user_id"])[:64],
            state=state,
            limits=limits,
            reason=reason,
            now=datetime.now(UTC),
        )
    words = ", ".join(f"{name} {value:g}" for name, value in setting.limits.items())
    say(f"{detector} is {setting.state.value} ({words or 'no limits'}).")


@app.command("backtest")
def try_detector(
    context: typer.Context,
    detector: Annotated[str, typer.Argument(help="Such as D14, see detect list.")],
    limit: LimitOption = None,
    as_json: JsonOption = False,
) -> None:
    """Try a detector on the last 30 days, with other limits if given; nothing is flagged."""
    now = datetime.now(UTC)
    with _watching(context) as (stores, parts):
        found = known(detector)
        limits = checked(found, _limits(limit))
        setting = settings(stores.engine)[detector]
        setting = replace(setting, limits={**setting.limits, **limits})
        tried = backtest(stores.engine, parts.looking(), setting, now=now)
        stores.trust.fact(
            of_try(setting.detector, setting.limits, subjects=tried.subjects, flags=tried.flags)
        )
        examples = [
            (leaf.from_time(datetime.fromtimestamp(t / 1000, UTC))[:10], whom, finding)
            for whom, t, finding in tried.examples
        ]
    if as_json:
        print_json(
            {
                "detector": detector,
                "days": DAYS,
                "limits": dict(setting.limits),
                "subjects": tried.subjects,
                "legs": tried.legs,
                "flags": tried.flags,
                "examples": [
                    {
                        "day": day,
                        "about": whom.about,
                        "sentence": found.sentence(finding),
                        "entries": [seq for seq, _ in finding.entries],
                    }
                    for day, whom, finding in examples
                ],
            }
        )
        return
    say(
        f"{detector} on the last {DAYS} days: {counted(tried.flags, 'flag')} among"
        f" {counted(tried.legs, 'leg')} of {counted(tried.subjects, found.subject.value)}."
    )
    for day, whom, finding in examples[:_EXAMPLES]:
        sentence = found.sentence(finding).replace(f"{{{found.subject}}}", whom.about)
        say(f"{day}  {sentence}")


@app.command("sample")
def show_sample(context: typer.Context, as_json: JsonOption = False) -> None:
    """Show what people found wrong among exchanges that were drawn by lot, for each who asked."""
    with _watching(context) as (stores, _):
        months = drawn_months(stores.engine)
        found = results(stores.engine, months)
    rows = [
        {
            "asker": each.asker,
            "exchanges": each.exchanges,
            "drawn": each.drawn,
            "judged": each.judged,
            "wrong": each.wrong,
            "share": each.share,
            "interval_95": each.interval,
        }
        for each in found
    ]
    if as_json:
        print_json({"months": list(months), "askers": rows})
        return
    print_table(
        ("who asked", "exchanges", "drawn", "judged", "wrong", "95 %"),
        [
            (each.asker, each.exchanges, each.drawn, each.judged, each.wrong, _interval(each))
            for each in found
        ],
        empty="No month was drawn yet.",
    )


def _interval(each: Result) -> str:
    if each.interval is None:
        return ""
    low, high = (round(100 * bound) for bound in each.interval)
    return f"{low} to {high} %"


@contextmanager
def _watching(context: typer.Context) -> Iterator[tuple[Stores, Watching]]:
    home, set_, wiring = opened(context)
    key = load_key(home.path)
    own = home_community_id(set_.node.home_community_id)
    with wiring.stores(home, set_) as stores:
        yield stores, watching(stores.engine, key, stores.directory, stores.index, own=own)


def _limits(given: list[str] | None) -> dict[str, float]:
    found: dict[str, float] = {}
    for each in given or ():
        name, _, number = each.partition("=")
        try:
            found[name] = float(number)
        except ValueError as error:
            raise typer.BadParameter(f"--limit takes NAME=NUMBER, not {each!r}.") from error
    return found
