"""Every case of the NIST toolkit has its tests, or says why not (facts ihe-wire 17)."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from tests.trust.test_checklist_a11 import TESTS, functions_of

CASES = tomllib.loads((TESTS / "gateway/checklist_nist.toml").read_text("utf-8"))["case"]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['section']} {case['row'][:60]}")
def test_each_case_has_tests_that_exist_or_says_why_not(case):
    assert case.get("tests") or case.get("why")
    for test in case.get("tests", ()):
        module, _, name = test.partition("::")
        assert name.startswith("test_")
        assert name in functions_of(module), test


@pytest.mark.shared
def test_no_case_of_the_facts_is_missing(shared_data: Path):
    facts = (shared_data.parent / "facts/ihe-wire.md").read_text("utf-8")
    theirs = []
    # 17.8 is only for who offers changes of metadata
    for number in (1, 2, 3, 4, 5, 6, 7, 9):
        found = re.search(rf"### 17\.{number} .*?\n(.*?)(?=\n### |\n## |\Z)", facts, re.DOTALL)
        assert found is not None
        rows = [line for line in found[1].splitlines() if line.startswith("|")][2:]
        for row in rows:
            cells = [cell.strip() for cell in row.strip("|").split("|")]
            theirs.append((f"17.{number}", f"{cells[0]}: {cells[1]}"))
    assert [(case["section"], case["row"]) for case in CASES] == theirs
