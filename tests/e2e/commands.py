"""Runs commands in the test's own process: starting one takes longer than most of them do."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import orjson
import pytest
from node_network import Site

from node.app import Composition
from node.cli.main import run


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return orjson.loads(self.out)


Command = Callable[..., Ended]


def commands(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Run a command of a site as ``tefca-node`` does; not from inside an event loop."""

    def command(site: Site, *words: object) -> Ended:
        argv = ["tefca-node", "--home", str(site.home.path), *map(str, words)]
        monkeypatch.setattr(sys, "argv", argv)
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            run(Composition())
        shown = capsys.readouterr()
        return Ended(code=int(ended.value.code or 0), out=shown.out, err=shown.err)

    return command
