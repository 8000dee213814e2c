"""Every code that can be raised has its row, and every row is raised somewhere."""

from __future__ import annotations

import ast
import gc
import tomllib
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import pytest

from node.policy.reasons import reasons
from trust.errors import Party, error_table

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("trust", "directory", "node")
FIELDS = {"party", "retryable", "advice", "fault"}  # a fault is the subcode a peer is told


@pytest.fixture(autouse=True, scope="module")
def _trees_are_kept_and_not_collected() -> Iterator[None]:
    """Looking for garbage among 800,000 nodes again and again takes longer than making them."""
    gc.disable()
    yield
    nodes.cache_clear()
    gc.enable()


@lru_cache
def nodes(package: str) -> tuple[tuple[str, ast.AST], ...]:
    """The classes, calls, keywords and constants of a package's code, each with its file."""
    return tuple(
        (str(path.relative_to(ROOT)), node)
        for path in sorted((ROOT / package).rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef | ast.Call | ast.Constant | ast.keyword)
    )


def families() -> dict[str, str]:
    """The error classes of the project by name, with the package whose table they use."""
    bases: dict[str, list[str]] = {}
    tables: dict[str, str] = {}
    for package in PACKAGES:
        for _, node in nodes(package):
            if not isinstance(node, ast.ClassDef):
                continue
            bases[node.name] = [b.id for b in node.bases if isinstance(b, ast.Name)]
            for line in node.body:
                match line:
                    case ast.Assign(
                        targets=[ast.Name(id="table_package")], value=ast.Constant(value=str(v))
                    ):
                        tables[node.name] = v

    def table(name: str) -> str | None:
        above = (table(base) for base in bases.get(name, ()))
        return tables.get(name) or next((each for each in above if each), None)

    return {name: found for name in bases if (found := table(name))}


def raised() -> Iterator[tuple[str, str, str]]:
    """Place, package and code of every error made with its code written out."""
    known = families()
    for package in PACKAGES:
        for name, node in nodes(package):
            match node:
                case ast.Call(func=ast.Name(id=cls), args=[ast.Constant(value=str(c)), *_]):
                    if cls in known:
                        yield f"{name}:{node.lineno}", known[cls], c


def strings(package: str) -> set[str]:
    """Every string of a package's code and of its data files, as keys or values."""
    found = {
        node.value
        for _, node in nodes(package)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    for path in (ROOT / package).rglob("*.toml"):
        if path.name != "errors.toml":
            found |= set(leaves(tomllib.loads(path.read_text(encoding="utf-8"))))
    return found


def leaves(value: object) -> Iterator[str]:
    match value:
        case dict():
            for key, below in value.items():
                yield key
                yield from leaves(below)
        case list():
            for below in value:
                yield from leaves(below)
        case str():
            yield value


def test_the_three_families_are_found() -> None:
    assert set(families().values()) == set(PACKAGES)
    assert len(list(raised())) > 100


def test_every_raised_code_has_its_row() -> None:
    missing = [
        f"{place}: {code} is not in {package}/data/errors.toml"
        for place, package, code in raised()
        if code not in error_table(package)
    ]
    assert missing == []


@pytest.mark.parametrize("package", PACKAGES)
def test_every_row_is_used(package: str) -> None:
    # the wire hands codes of the XML reader on: same code, another family
    used = strings(package) | (set(error_table("trust")) if package == "node" else set())
    assert [code for code in error_table(package) if code not in used] == []


@pytest.mark.parametrize("package", PACKAGES)
def test_every_row_says_whose_side_whether_again_and_what_next(package: str) -> None:
    for code, row in error_table(package).items():
        assert {"party", "retryable", "advice"} <= set(row) <= FIELDS, code
        assert row["party"] in list(Party), code
        assert isinstance(row["retryable"], bool), code
        assert str(row["advice"]).endswith("."), code


def test_every_refusal_reason_is_a_sentence_with_a_rule() -> None:
    for code, row in reasons().items():
        assert row.sentence.endswith("."), code
        assert row.cite, code
        assert bool(row.fault) != bool(row.xcpd and row.xds), code


def refusals() -> Iterator[tuple[str, str]]:
    """Place and code of every refusal that authentication and trust can give."""
    for package in ("node", "trust"):
        for name, node in nodes(package):
            if package == "node" and name != "node/gateway/authentication.py":
                continue
            match node:
                case ast.Call(
                    func=ast.Name(id="_Refused"), args=[ast.Constant(value=str(code)), *_]
                ):
                    yield f"{name}:{node.lineno}", code
                case ast.Call(func=ast.Name(id="Finding"), keywords=keywords):
                    for each in keywords:
                        if each.arg == "code" and isinstance(each.value, ast.Constant):
                            yield f"{name}:{node.lineno}", str(each.value.value)
                case ast.keyword(arg="reason_code", value=ast.Constant(value=str(code))):
                    yield f"{name}:{node.value.lineno}", code


def test_every_refusal_of_authentication_is_a_reason_or_an_error() -> None:
    known = set(reasons()) | set(error_table("trust")) | set(error_table("node"))
    found = list(refusals())
    assert len({code for _, code in found}) > 10
    assert [f"{place}: {code}" for place, code in found if code not in known] == []
