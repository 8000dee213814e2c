"""``tefca-node explain``: what a code means, whose side it is on, what to do."""

from __future__ import annotations

from typing import Annotated

import typer

from node.cli.exits import Exit
from node.cli.output import JsonOption, note, print_json, print_table
from node.policy.reasons import reasons
from node.probe.layers import finding_codes
from trust.errors import error_table

_PACKAGES = ("trust", "directory", "node")


def explain(
    code: Annotated[str, typer.Argument(help="A code from an error, a table or the log.")] = "",
    as_json: JsonOption = False,
) -> None:
    """Explain one code, or list all: errors, refusals, findings of probes, and their advice."""
    rows = [row for row in _rows() if code in ("", row["code"])]
    if as_json:
        print_json(rows)
    elif rows:
        print_table(
            ("code", "kind", "side", "again later", "what it means, or the next step"),
            [(r["code"], r["kind"], r["side"], r["retryable"], r["text"]) for r in rows],
            empty="",
        )
    if not rows:
        note(f"There is no code {code}. Next: tefca-node explain lists all")
        raise typer.Exit(Exit.NOT_GOOD)


def _rows() -> list[dict[str, object]]:
    errors: list[dict[str, object]] = [
        {
            "code": code,
            "kind": f"error of {package}",
            "side": row["party"],
            "retryable": "yes" if row["retryable"] else "no",
            "text": row["advice"],
        }
        for package in _PACKAGES
        for code, row in error_table(package).items()
    ]
    refusals: list[dict[str, object]] = [
        {
            "code": each.code,
            "kind": "refusal",
            "side": "",
            "retryable": "",
            "text": f"{each.sentence} ({each.cite})",
        }
        for each in reasons().values()
    ]
    known = {str(row["code"]) for row in (*errors, *refusals)}
    findings: list[dict[str, object]] = [
        {"code": code, "kind": "finding of a probe", "side": side, "retryable": "", "text": step}
        for code, (side, step) in finding_codes().items()
        if code not in known
    ]
    return [*errors, *refusals, *findings]
