"""Structured logs that cannot hold a patient's data (DESIGN law 6).

Rules:

* An event is a constant text; everything that varies is a field.
* Only fields listed in ``data/log_fields.toml`` are written; any other field's value is replaced,
  its name stays, so that a missing line in the list is seen.
* A field with a form in that file is written only when its value has it: a message id comes from
  the peer, who may put anything into it.
* Values are short single-line scalars: bytes become their length, long texts are cut, control
  characters are replaced (no forged lines).
* An exception is written as its type, its code and detail when it is one of ours, and its stack of
  (file, line, function). Its text is not: a foreign exception may quote what it choked on.
* Records of other libraries keep their template, not their arguments.

Logs go to standard error: JSON, one object a line, or columns for a person.
"""

from __future__ import annotations

import logging
import re
import sys
import tomllib
import traceback
from collections.abc import MutableMapping
from functools import lru_cache
from importlib import resources
from typing import Any, TextIO

import structlog

from trust.errors import CodedError

_LONGEST = 200
_WITHHELD = "[withheld]"
_MOST_FRAMES = 20
_OWN = frozenset(
    {"event", "level", "timestamp", "logger", "exception", "_record", "_from_structlog"}
)

Event = MutableMapping[str, Any]


def configure_logging(
    *, level: str = "info", json: bool = True, stream: TextIO | None = None
) -> None:
    """Send structlog's and the standard library's records through the same processors.

    Args:
        level: ``debug``, ``info``, ``warning`` or ``error``.
        json: one JSON object a line, else columns for a person.
        stream: where to write; standard error when ``None``.
    """
    numeric = logging.getLevelNamesMapping()[level.upper()]
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        safe_exception,
        safe_fields,
    ]
    renderer: Any = (
        structlog.processors.JSONRenderer(sort_keys=True)
        if json
        else structlog.dev.ConsoleRenderer(colors=False)
    )
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[foreign_template, *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    for old in list(root.handlers):
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(numeric)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )


def foreign_template(_logger: object, _method: str, event: Event) -> Event:
    """Keep the template of another library's record, not what was put into it."""
    record: logging.LogRecord | None = event.get("_record")
    if record is not None:
        event["event"] = str(record.msg)
        event["logger"] = record.name
        if record.exc_info:
            event["exc_info"] = record.exc_info
    return event


def safe_exception(_logger: object, _method: str, event: Event) -> Event:
    """Replace ``exc_info`` by type, code and frames; never the exception's text."""
    info = event.pop("exc_info", None)
    if info is True:
        info = sys.exc_info()
    error = info[1] if isinstance(info, tuple) else info
    if not isinstance(error, BaseException):
        return event
    frames = traceback.extract_tb(error.__traceback__)[-_MOST_FRAMES:]
    event["exception"] = {
        "type": type(error).__name__,
        "code": error.code if isinstance(error, CodedError) else None,
        "cause": type(error.__cause__).__name__ if error.__cause__ else None,
        "frames": [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames],
    }
    return event


def safe_fields(_logger: object, _method: str, event: Event) -> Event:
    """Withhold fields that are not listed, and make every value a short single line."""
    event.pop("positional_args", None)
    allowed, forms = _fields()
    for name, value in event.items():
        if name in _OWN:
            continue
        form = forms.get(name)
        fits = form is None or value is None or form.fullmatch(str(value)) is not None
        event[name] = _scalar(value) if name in allowed and fits else _WITHHELD
    event["event"] = _scalar(event.get("event", ""))
    return event


def _scalar(value: object) -> object:
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, bytes | bytearray | memoryview):
        return f"{len(value)} bytes"
    if isinstance(value, tuple | list | set | frozenset):
        return [_scalar(item) for item in list(value)[:20]]
    text = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in str(value))
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "…"


@lru_cache
def _fields() -> tuple[frozenset[str], dict[str, re.Pattern[str]]]:
    text = resources.files("node.ops").joinpath("data/log_fields.toml").read_text(encoding="utf-8")
    table = tomllib.loads(text)
    forms = {name: re.compile(form, re.ASCII) for name, form in table["forms"].items()}
    return frozenset(table["fields"]), forms
