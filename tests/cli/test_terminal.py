"""Nothing that a peer wrote steers the terminal of who reads it."""

from __future__ import annotations

from io import StringIO

import pytest
from rich.markup import escape
from rich.table import Table

from node.cli import output
from node.cli.terminal import PlainConsole, printable

STEERING = {
    "clears the screen": "\x1b[2J",
    "sets the title": "\x1b]0;pwned\x07",
    "a link": "\x1b]8;;http://evil.example\x1b\\",
    "CSI in one character": "\x9b31m",
    "goes back": "\b\b\b",
    "hides the line": "shown\rother",
    "turns the reading direction": "\u202egnp.exe",
    "isolates": "\u2066a\u2069",
    "nothing seen": "a\u200bb",
    "NUL": "a\0b",
    "line separator": "a\u2028b",
}


def printed(*things) -> str:
    console = PlainConsole(file=StringIO(), force_terminal=True, color_system=None, width=100)
    for each in things:
        console.print(each)
    return console.file.getvalue()


@pytest.mark.parametrize("text", STEERING.values(), ids=STEERING)
def test_what_would_steer_the_terminal_is_replaced_wherever_it_is_printed(text):
    table = Table("name")
    table.add_row(escape(text))
    for shown in (printed(escape(text)), printed(table), printed(f"[bold]{escape(text)}[/]")):
        left = shown.replace("\n", "")
        assert left.isprintable(), repr(left)
        assert text not in shown


def test_other_text_and_our_own_colours_stay():
    text = "Clínica Niño \N{CJK UNIFIED IDEOGRAPH-4E2D}\u00a0[bold]x[/]\n\tnext"
    assert printable(text) == text.replace("\u00a0", " ")
    console = PlainConsole(file=StringIO(), force_terminal=True, color_system="standard")
    console.print(f"[red]{escape('fails')}[/]")
    assert console.file.getvalue() == "\x1b[31mfails\x1b[0m\n"


def test_all_commands_print_by_it():
    assert isinstance(output.out, PlainConsole)
    assert isinstance(output.err, PlainConsole)
