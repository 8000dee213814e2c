"""What must never stand in the repository, and what must always fit together."""

from __future__ import annotations

import ast
import filecmp
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("trust", "directory", "node")
MEBIBYTE = 1024 * 1024

# OIDs that name the structure of a wire format, not a rule that changes, where they stand
STRUCTURAL = {
    "node/settings.py": "the default role is a setting, and its code system goes with it",
}


@cache
def tracked() -> tuple[Path, ...]:
    """The files git keeps, and those it would: new ones are looked at before they are committed."""
    done = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    )  # fmt: skip
    return tuple(path for name in done.stdout.splitlines() if (path := ROOT / name).is_file())


def texts() -> Iterator[tuple[str, str]]:
    for path in tracked():
        yield str(path.relative_to(ROOT)), path.read_text(encoding="utf-8", errors="replace")


def found(pattern: str) -> list[str]:
    wanted = re.compile(pattern)
    return [name for name, text in texts() if wanted.search(text)]


# the patterns are built from pieces, so that this file does not hold what it looks for


def test_no_file_names_a_package_registry() -> None:
    hosts = (
        "pypi" + r"\.org",
        "files" + r"\.pythonhosted",
        "index" + "-url",
        "registry" + r"\.npm",
    )
    assert set(found("|".join(hosts))) <= {"Makefile"}  # whose lock target leaves the index out
    makefile = (ROOT / "Makefile").read_text("utf-8")
    assert "--no-emit-index" + "-url" in makefile


def test_no_file_names_a_folder_of_one_machine() -> None:
    assert found(r"(?<![\w.])/(?:work|root|home)" + r"/[a-z]") == []


def test_no_private_key_is_kept() -> None:
    assert found("-----BEGIN [A-Z ]*PRIVATE" + " KEY-----\n[A-Za-z0-9+/]{16}") == []
    assert [p.name for p in tracked() if p.suffix in {".key", ".p12", ".pfx", ".kek"}] == []


def test_no_file_is_larger_than_a_mebibyte() -> None:
    assert [str(p) for p in tracked() if p.stat().st_size > MEBIBYTE] == []


@pytest.mark.parametrize("name", ["runtime", "dev", "fuzz"])
def test_lock_files_have_a_hash_for_every_package_and_no_url(name: str) -> None:
    text = (ROOT / "requirements" / f"{name}.lock").read_text("utf-8")
    assert "://" not in text
    entries = re.split(r"\n(?=[A-Za-z0-9])", "\n" + text)[1:]
    assert len(entries) > {"fuzz": 0}.get(name, 30)
    assert [e.splitlines()[0] for e in entries if "==" not in e or "--hash=sha256:" not in e] == []


# --- law 8: rules that change are data ----------------------------------------------------------


@cache
def literals(path: Path) -> tuple[str, ...]:
    """The strings of a module, without its docstrings."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    documentation = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    return tuple(
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant)
        and id(node) not in documentation
        and isinstance(node.value, str)
    )


def modules() -> Iterator[Path]:
    for package in PACKAGES:
        yield from sorted((ROOT / package).rglob("*.py"))


def test_law_8_no_code_spells_a_purpose() -> None:
    wrong = [
        f"{path.relative_to(ROOT)}: {text!r}"
        for path in modules()
        for text in literals(path)
        # the help of an option may give an example
        if re.search(r"\bT-[A-Z]{2,}", text) and "e.g. T-" not in text
    ]
    assert wrong == []


def test_law_8_no_code_spells_an_oid() -> None:
    oid = re.compile(r"(?<![\d.])[0-2](?:\.\d+){4,}(?![\d.])")
    wrong: dict[str, list[str]] = {}
    for path in modules():
        name = str(path.relative_to(ROOT))
        spelled = [text for text in literals(path) if oid.search(text)]
        if spelled and name not in STRUCTURAL:
            wrong[name] = spelled
    assert wrong == {}


def test_the_allowed_exceptions_are_still_needed() -> None:
    oid = re.compile(r"(?<![\d.])[0-2](?:\.\d+){4,}(?![\d.])")
    assert [n for n in STRUCTURAL if not any(map(oid.search, literals(ROOT / n)))] == []


# --- what is generated or contracted ------------------------------------------------------------


def test_imports_keep_the_contracts() -> None:
    program = Path(sys.executable).parent / "lint-imports"
    done = subprocess.run(
        [program, "--no-cache"], cwd=ROOT, check=False, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout


def test_generated_stubs_equal_a_new_generation(tmp_path: Path) -> None:
    folder = Path("protos") / "tefca_node" / "v1"
    (tmp_path / folder).mkdir(parents=True)
    shutil.copy(ROOT / folder / "exchange.proto", tmp_path / folder)
    recipe = (ROOT / "Makefile").read_text("utf-8").partition("\nprotos:")[2].splitlines()[1]
    command = recipe.strip().removeprefix("@$(BIN)/python").replace("*.proto", "exchange.proto")
    subprocess.run([sys.executable, *command.split()], cwd=tmp_path, check=True, timeout=60)
    names = ["exchange_pb2.py", "exchange_pb2.pyi", "exchange_pb2_grpc.py"]
    same, different, missing = filecmp.cmpfiles(
        ROOT / folder, tmp_path / folder, names, shallow=False
    )
    assert (same, different, missing) == (names, [], [])
