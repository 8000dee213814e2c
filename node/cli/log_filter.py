"""How commands take a filter of the log: qualifiers as words, and an option for each of them.

``filtered`` is the one place that carries both; its options are made of the table of qualifiers.
A command under it gets one ``chosen``, with its times fixed.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import wraps
from typing import Annotated, Any, Final

import typer
from typer.core import TyperCommand

from node.cli.output import note
from node.errors import OurFault
from node.ledger.filter import LedgerFilter
from node.ledger.filter_text import format_filter, of_options, parse_filter, sentence
from node.ledger.qualifiers import QUALIFIERS, TIMES

_FEW: Final = 8
"""Values that the help of an option lists."""

_EXCLUDED: Final = re.compile(r"-[A-Za-z][A-Za-z-]*:")

WordsArgument = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[QUALIFIER]...",
        help="Such as peer:2.999.2 since:24h outcome:declined,failed -outcome:ok; the names are"
        " those of the options, the values of one are joined by commas.",
        show_default=False,
    ),
]


class FilterCommand(TyperCommand):
    """A command whose words may begin with a minus: ``-outcome:ok`` is no option."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the words that exclude behind ``--``, where nothing is an option."""
        words = [word for word in args if _EXCLUDED.match(word)]
        if words:
            rest = [word for word in args if not _EXCLUDED.match(word)]
            args = [*rest, *words] if "--" in rest else [*rest, "--", *words]
        return super().parse_args(ctx, args)


def filtered(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the words and the options of a filter, and their filter as ``chosen``."""
    own = inspect.signature(command, eval_str=True)
    added = {"words": (WordsArgument, None)} | {
        name.replace("-", "_"): (Annotated[str | None, typer.Option(help=text)], None)
        for name, text in _options()
    }

    @wraps(command)
    def run(**given: Any) -> None:
        words = given.pop("words") or []
        options = [(name, given.pop(name.replace("-", "_"))) for name, _ in _options()]
        with usage():
            typed = parse_filter(" ".join(words))
            typed = of_options([(name, text) for name, text in options if text], typed)
        command(chosen=typed, **given)

    kind = inspect.Parameter.KEYWORD_ONLY
    parameters = [
        *(p.replace(kind=kind) for name, p in own.parameters.items() if name != "chosen"),
        *(
            inspect.Parameter(name, kind, default=default, annotation=annotation)
            for name, (annotation, default) in added.items()
        ),
    ]
    run.__signature__ = own.replace(parameters=parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {p.name: p.annotation for p in parameters}
    return run


@contextmanager
def usage() -> Iterator[None]:
    """A filter that cannot be read is a mistake in how the command was called."""
    try:
        yield
    except OurFault as error:
        if error.code != "filter-unreadable":
            raise
        raise typer.BadParameter(error.sentence) from None


def fixed(chosen: LedgerFilter) -> LedgerFilter:
    """The filter with instants in place of "so long ago"."""
    return chosen.at(datetime.now(UTC))


def say_filter(chosen: LedgerFilter) -> None:
    """Say beside the result what is chosen; nothing about a person is repeated."""
    if chosen != LedgerFilter():
        note(sentence(chosen))


def plain_filter(chosen: LedgerFilter) -> dict[str, object]:
    """The filter for programs: its sentence, and its qualifiers unless they name a person."""
    return {
        "sentence": sentence(chosen),
        "filter": None if chosen.needs_key else format_filter(chosen),
    }


def _options() -> Iterator[tuple[str, str]]:
    yield from TIMES.items()
    for name, row in QUALIFIERS.items():
        some = f" One of: {', '.join(row.values)}." if 0 < len(row.values) <= _FEW else ""
        yield name, f"{row.help}{some}"
