"""The account of the responder's CPU time adds up."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.bench.homes import make_pair
from tests.bench.responder import CHARTS, SMALL
from tests.bench.responder_steps import step_rows
from tests.bench.row import QUICK
from tests.bench.steps import LOOP, STEPS, WRITER


def test_the_steps_of_the_responder_add_up_to_all_of_it(tmp_path):
    """A step that no request goes through is named in vain; what is no answer ends it."""
    sizes = replace(QUICK, rounds=1, requests=16)
    pair = make_pair(
        tmp_path, patients=50, organizations_known=100, sizes=(SMALL,), charts=CHARTS[:1]
    )
    rows = list(step_rows(pair, sizes))
    *steps, whole = rows
    assert [row.name.partition(", ")[2] for row in steps] == [
        *(step.name for step in STEPS),
        LOOP,
        WRITER,
    ]
    assert all(row.value > 0 for row in steps)
    assert whole.value == pytest.approx(sum(row.value for row in steps))
    assert whole.ratio == pytest.approx(whole.value / whole.floor)
