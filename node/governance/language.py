"""The languages of reports for patients: a data file each, all with the same keys, read once."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from datetime import date
from functools import cache
from importlib import resources
from typing import Any

from node.errors import SettingsError


@cache
def languages() -> Mapping[str, str]:
    """The languages that have a file: code and own name, in order of the codes."""
    folder = resources.files("node.governance").joinpath("data", "languages")
    codes = sorted(
        each.name.removesuffix(".toml") for each in folder.iterdir() if each.name.endswith(".toml")
    )
    return {code: _read(code)["language"]["name"] for code in codes}


def language(code: str) -> Mapping[str, Any]:
    """The sentences of a language.

    Raises:
        SettingsError: ``language-missing``.
    """
    if code not in languages():
        raise SettingsError(
            "language-missing",
            f"There are no sentences in this language. These have some: {', '.join(languages())}.",
        )
    return _read(code)


def day_in(words: Mapping[str, Any], day: date) -> str:
    """A day as a language writes it."""
    months = words["language"]["months"]
    text: str = words["language"]["date"]
    return text.format(day=day.day, month=months[day.month - 1], year=day.year)


@cache
def _read(code: str) -> dict[str, Any]:
    path = resources.files("node.governance").joinpath("data", "languages", f"{code}.toml")
    return tomllib.loads(path.read_text(encoding="utf-8"))
