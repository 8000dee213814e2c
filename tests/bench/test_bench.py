"""The bench itself: what it writes, and that a cost above its target is said."""

from __future__ import annotations

import sys
from dataclasses import replace

import orjson
import pytest

from tests.bench.__main__ import main
from tests.bench.chains import chain_rows
from tests.bench.clinic import clinic_rows
from tests.bench.fhir import fhir_rows
from tests.bench.fhir_merge import merge_rows
from tests.bench.revocations import revocation_rows
from tests.bench.row import QUICK, Row, alternately, compared
from tests.bench.sealed_log import sealed_log_rows
from tests.bench.signatures import signature_rows
from tests.bench.sweeps import sweep_rows


def test_the_file_is_a_list_of_rows_with_exactly_the_six_keys(tmp_path, monkeypatch, capsys):
    out = tmp_path / "bench.json"
    monkeypatch.setattr(
        sys, "argv", ["bench", "--quick", "--only", "patient-match", "--out", str(out)]
    )
    assert main() == 0
    rows = orjson.loads(out.read_bytes())
    keys = {"name", "value", "unit", "floor", "ratio", "target"}
    assert rows
    assert all(set(row) == keys for row in rows)
    assert all(row["value"] > 0 for row in rows)
    assert {row["target"] for row in rows if row["ratio"] is not None} == {1.5}
    assert all(row["name"] in capsys.readouterr().out for row in rows[:1])


@pytest.mark.parametrize(
    ("rows", "count"), [(chain_rows, 4), (signature_rows, 6), (revocation_rows, 2)]
)
def test_trust_is_measured_beside_what_others_need_for_the_same(rows, count):
    """A chain that is refused, or a signature that is not verified, ends the measurement."""
    sizes = replace(QUICK, rounds=1, requests=4, crl_entries=200)
    found = list(rows(sizes))
    assert len(found) == count
    assert all(row.value > 0 and row.ratio == row.value / row.floor for row in found)


def test_a_log_is_sealed_and_every_entry_of_it_verified():
    """A log that does not verify, or not with all its entries, ends the measurement."""
    found = list(sealed_log_rows(replace(QUICK, rounds=1, sealed=700)))
    assert [row.unit for row in found].count("µs CPU/entry") == 2
    assert all(row.value > 0 for row in found)


def test_a_sweep_is_measured_in_a_log_and_in_one_that_went_on_for_longer(tmp_path):
    """A sweep that sees nothing, or a detector that breaks, ends the measurement."""
    for row in sweep_rows(tmp_path, small=600, large=1200, new=100, rounds=1):
        assert row.ratio == row.value / row.floor
        assert row.value > 0
    assert list(tmp_path.iterdir()) == []


def test_an_answer_on_a_clinicians_page_is_measured_beside_taking_it_alone():
    """An answer that is not shown ends the measurement."""
    found = list(clinic_rows(replace(QUICK, rounds=1, requests=4)))
    assert [row.unit for row in found] == ["ms CPU, the slowest", "ms CPU", "ms CPU"]
    assert all(row.value > 0 and not row.missed for row in found)


def test_fhir_is_measured_beside_the_same_answers_from_memory():
    """An answer of another form ends the measurement."""
    found = list(fhir_rows(replace(QUICK, rounds=1, requests=16)))
    assert [row.unit for row in found].count("µs CPU/request") == 2
    assert all(row.value > 0 for row in found)


def test_a_merge_is_measured_beside_a_plain_pass_over_the_same_bytes():
    """Another number of entries, or of those recognised, ends the measurement."""
    (row,) = merge_rows(replace(QUICK, rounds=1, requests=8))
    assert row.ratio is not None
    assert row.target == 3.0
    assert row.value > 0


def test_a_measurement_that_is_not_there_is_an_error(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["bench", "--only", "nothing"])
    with pytest.raises(SystemExit):
        main()
    assert "no such measurement" in capsys.readouterr().err


def test_a_target_limits_the_ratio_where_there_is_one_else_the_value():
    assert Row(name="a", value=900, unit="µs", floor=300, ratio=3, target=2).missed
    assert not Row(name="a", value=900, unit="µs", floor=600, ratio=1.5, target=2).missed
    assert Row(name="a", value=41, unit="MB", target=40).missed
    assert not Row(name="a", value=41, unit="MB").missed


def test_the_ratio_is_the_median_of_the_rounds_not_of_the_medians():
    row = compared("a", "µs", [10, 30, 12], [5, 10, 6])
    assert (row.value, row.floor, row.ratio) == (12, 6, 2)


def test_sides_take_turns_in_changing_order():
    log = []
    sides = [lambda name=name: log.append(name) or len(log) for name in "ab"]
    assert alternately(sides, 2) == [[1, 4], [2, 3]]
    assert log == ["a", "b", "b", "a"]
