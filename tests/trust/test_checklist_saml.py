"""Every known attack on assertions has its tests, and each of them exists (facts ihe-wire 8)."""

from __future__ import annotations

import tomllib

import pytest
from test_checklist_a11 import TESTS, functions_of

ATTACKS = tomllib.loads((TESTS / "trust/checklist_saml.toml").read_text("utf-8"))["attack"]


@pytest.mark.parametrize("row", ATTACKS, ids=lambda row: row["what"])
def test_each_attack_has_tests_that_exist(row):
    assert row["tests"]
    for test in row["tests"]:
        module, _, name = test.partition("::")
        assert name.startswith("test_")
        assert name in functions_of(module), test


def test_no_attack_stands_twice():
    assert len({row["what"] for row in ATTACKS}) == len(ATTACKS)
