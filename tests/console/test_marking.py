"""Finding words: whatever their case and the blanks between them, and as a pattern alone would."""

from __future__ import annotations

import pytest

from node.console.reader.marking import finder


@pytest.mark.parametrize(
    ("term", "text", "is_in"),
    [
        ("metoprolol", "METOPROLOL 50 mg", True),
        ("metoprolol", "metformin", False),
        ("once daily", "once\n  Daily", True),
        ("once daily", "once", False),
        ("Straße", "STRAßE", True),
        ("ohm", "OHM \N{GREEK CAPITAL LETTER OMEGA}", True),
        ("kg", "5 \N{KELVIN SIGN}G", True),
        ("\N{KELVIN SIGN}g", "5 kg", True),
        ("a.c", "abc", False),
    ],
)
def test_the_look_before_the_pattern_changes_nothing(term: str, text: str, is_in: bool):
    wanted = finder(term)
    assert wanted.pattern is not None
    assert bool(wanted.pattern.search(text)) is is_in
    assert wanted.is_in(text) is is_in
