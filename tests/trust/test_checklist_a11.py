"""Every item of the negative-test checklist has its tests, and each of them exists (facts A11)."""

from __future__ import annotations

import ast
import re
import tomllib
from functools import cache
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]
ITEMS = tomllib.loads((TESTS / "trust/checklist_a11.toml").read_text("utf-8"))["item"]
HANDSHAKES = {"trust/test_tls.py", "trust/test_tls_revocation.py", "ops/test_rotation.py"}
"""Modules whose tests make TLS handshakes."""


def name_of(row) -> str:
    return f"{row['group']}: {row['rule']}"


@cache
def functions_of(module: str) -> frozenset[str]:
    path = TESTS / module
    if not path.is_file():
        return frozenset()
    tree = ast.parse(path.read_text("utf-8"))
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return frozenset(node.name for node in tree.body if isinstance(node, functions))


def test_the_checklist_is_whole():
    assert len(ITEMS) == 78
    assert len({name_of(row) for row in ITEMS}) == len(ITEMS)


@pytest.mark.parametrize("row", ITEMS, ids=name_of)
def test_each_item_has_tests_that_exist(row):
    assert row["tests"]
    for test in (*row["tests"], *row.get("handshake", ())):
        module, _, name = test.partition("::")
        assert name.startswith("test_")
        assert name in functions_of(module), test


@pytest.mark.parametrize("row", [r for r in ITEMS if "handshake" in r], ids=name_of)
def test_a_starred_item_has_a_test_at_the_handshake(row):
    assert row["handshake"]
    assert {test.partition("::")[0] for test in row["handshake"]} <= HANDSHAKES


@pytest.mark.shared
def test_no_item_of_the_facts_is_missing(shared_data: Path):
    facts = (shared_data.parent / "facts/pki-and-directory.md").read_text("utf-8")
    section = re.search(r"### A11\..*?\n(.*?)\n### ", facts, re.DOTALL)
    assert section is not None
    theirs = {}
    for group, text in re.findall(r"- \*\*(.+?):\*\* (.+)", section[1]):
        for item in re.split(r", (?!000)", text.strip().rstrip(".")):
            plain = item.strip().rstrip(".").replace("★", "")
            theirs[f"{group.lower().replace(' ', '-')}: {plain}"] = "★" in item
    ours = {name_of(row): "handshake" in row for row in ITEMS}
    assert ours == theirs
