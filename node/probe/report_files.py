"""Where the reports of connectivity runs are: ``reports/connectivity-TIME.json`` and ``.md``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import orjson

from node.probe.report import RunReport, markdown, standing

_PREFIX = "connectivity-"
_MAX_BYTES = 256 * 1024 * 1024
_LOOKED_AT = 100  # reports of stopped runs that are skipped at most


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlierRun:
    """When the run before was begun, and how each peer stood: name and standing by its id."""

    started: datetime
    standings: Mapping[str, tuple[str, str]]


def write_report(folder: Path, report: RunReport) -> tuple[Path, Path]:
    """Write both forms; a name that is taken is never written over.

    Raises:
        OSError: when the folder cannot be written.
    """
    folder.mkdir(mode=0o700, exist_ok=True)
    stem = f"{_PREFIX}{report.started:%Y%m%dT%H%M%S%fZ}"
    data, text = folder / f"{stem}.json", folder / f"{stem}.md"
    with data.open("xb") as file:
        file.write(orjson.dumps(report, option=orjson.OPT_INDENT_2 | orjson.OPT_UTC_Z) + b"\n")
    with text.open("x", encoding="utf-8") as readable:
        readable.write(markdown(report))
    return data, text


def earlier_run(folder: Path, scope: str) -> EarlierRun | None:
    """The newest complete run over the same peers; ``None`` when there is none that can be read."""
    newest_first = sorted(folder.glob(f"{_PREFIX}*.json"), reverse=True)
    for path in newest_first[:_LOOKED_AT]:
        run = _read(path, scope)
        if run is not None:
            return run
    return None


def _read(path: Path, scope: str) -> EarlierRun | None:
    try:
        if path.stat().st_size > _MAX_BYTES:
            return None
        held = orjson.loads(path.read_bytes())
        if not held["complete"] or held["scope"] != scope:
            return None
        return EarlierRun(
            started=datetime.fromisoformat(held["started"]),
            standings={
                row["organization_id"]: (
                    str(row["name"]),
                    standing(row["result"], row["layer"], row["code"]),
                )
                for row in held["rows"]
            },
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None  # a file that somebody else made or damaged is no run to compare with
