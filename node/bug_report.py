"""A report for whoever maintains the program: what runs, how it is set, what it finds wrong.

It names no patient and no person and holds no secret, by construction: of settings only numbers,
switches, words of a fixed list and defaults are shown, and that something else is set; of the log
only counts and codes. Paths below the node home are written as ``HOME``.
"""

from __future__ import annotations

import platform
import shutil
import sys
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from typing import Any, Final

import orjson
from pydantic import BaseModel

from node.examined import Examined
from node.governance.traffic import Faults, faults
from node.ledger.find import newest
from node.opened import OpenedHome
from node.settings import Settings
from node.settings_digest import settings_digest
from node.storage.engine import recorded

CONTENTS: Final = (
    "the version of the program, of Python and of the operating system",
    "the settings: numbers, switches and defaults; of others only that they are set",
    "what doctor finds",
    "faults of the last 7 days by code and peer: how many, first, last",
    "how many entries the log has, and how much of the disk is free",
)
"""What is inside, as it is told before it is made."""

_WINDOW: Final = timedelta(days=7)


def bug_report(opened: OpenedHome, checks: Iterable[Examined], *, now: datetime) -> bytes:
    """The report: indented JSON in UTF-8."""
    usage = shutil.disk_usage(opened.home.path)
    report = {
        "report": "tefca-node bug report 1",
        "made": now.astimezone(UTC).isoformat(timespec="seconds"),
        "version": version("tefca-node"),
        "python": sys.version.split()[0],
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "database": {"kind": opened.engine.dialect.name, "schema": recorded(opened.engine)},
        "settings_digest": settings_digest(opened.home),
        "settings": shown_settings(opened.settings),
        "checks": [_check(each, str(opened.home.path)) for each in checks],
        "faults": _faults(faults(opened.engine, window=_WINDOW, now=now)),
        "log_entries": newest(opened.engine) + 1,
        "disk": {"bytes": usage.total, "free": usage.free},
    }
    return orjson.dumps(report, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def shown_settings(settings: Settings) -> dict[str, dict[str, object]]:
    """Every setting, as far as it may be shown."""
    return {
        section: _section(getattr(settings, section)) for section in type(settings).model_fields
    }


def _section(section: BaseModel) -> dict[str, object]:
    return {
        name: _shown(getattr(section, name), is_default=getattr(section, name) == field.default)
        for name, field in type(section).model_fields.items()
    }


def _shown(value: Any, *, is_default: bool) -> object:
    if isinstance(value, bool | int | float) or value is None:
        return value
    if isinstance(value, BaseModel):
        return _section(value)
    if is_default and isinstance(value, str | tuple | Mapping):
        return value if isinstance(value, str) else f"({len(value)} values, the default)"
    if isinstance(value, tuple | Mapping):
        return f"({len(value)} values, not shown)"
    return "(set, not shown)"


def _check(found: Examined, home: str) -> dict[str, object]:
    return {
        "check": found.check,
        "status": found.status.value,
        "sentence": found.sentence.replace(home, "HOME"),
    }


def _faults(found: Faults) -> dict[str, object]:
    return {
        "capped": found.capped,
        "groups": [
            {
                "code": group.code,
                "outcome": group.outcome,
                "peer": group.peer,
                "number": group.number,
                "first": group.first.isoformat(timespec="seconds"),
                "last": group.last.isoformat(timespec="seconds"),
            }
            for group in found.groups
        ],
    }
