"""Every finding has a side and a next step, and none is dead."""

from __future__ import annotations

import ast
import tomllib
from importlib import resources
from pathlib import Path

import pytest

from node.policy.reasons import reasons
from node.probe.layers import Layer, Side, found, layer_of
from trust.errors import error_table

ROOT = Path(__file__).resolve().parents[2]
TABLE = tomllib.loads(
    resources.files("node.probe").joinpath("data/findings.toml").read_text("utf-8")
)
WIRE_CODES = {*error_table("node"), *error_table("trust"), *reasons()}


def strings() -> set[str]:
    """Every string of the probe's code."""
    return {
        node.value
        for path in (ROOT / "node" / "probe").glob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


@pytest.mark.parametrize("code", TABLE)
def test_every_row_is_known_and_says_what_to_do(code) -> None:
    result = found(Layer.SOAP, code, "")
    assert result.side in Side
    assert result.next_step.endswith(".")
    assert set(TABLE[code]) <= {"side", "next", "layer"}
    assert Layer(layer_of(code))
    saml = code.startswith("saml-")
    assert saml or code in WIRE_CODES | strings(), "nothing finds this"


def test_what_no_table_knows_is_on_no_side() -> None:
    assert found(Layer.ANSWER, "never-heard-of", "").side is Side.UNKNOWN
