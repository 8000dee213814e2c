"""Law 6: no PHI in logs, whatever a caller or a library does."""

from __future__ import annotations

import ast
import io
import json
import logging
import tomllib
from pathlib import Path

import pytest
import structlog

from node.errors import WireError
from node.ops.logging import configure_logging

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "node" / "ops" / "data"
CANARY = "Newman, Alice 1970-05-01"


def fail(error: Exception):
    raise error


@pytest.fixture
def lines():
    stream = io.StringIO()
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    configure_logging(stream=stream)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def test_listed_fields_are_written(lines):
    structlog.get_logger().info("leg ended", outcome="ok", ms=12, deviations=("a", "b"))
    (event,) = lines()
    assert event["event"] == "leg ended"
    assert (event["outcome"], event["ms"], event["deviations"]) == ("ok", 12, ["a", "b"])
    assert event["level"] == "info"


def test_law_6_an_unlisted_field_is_withheld(lines):
    structlog.get_logger().info("request", family_name=CANARY)
    assert lines()[0]["family_name"] == "[withheld]"


def test_law_6_a_peers_message_id_is_written_only_where_it_is_a_uuid(lines):
    good = "urn:uuid:0190a3c2-7b1e-7f00-8a11-2b3c4d5e6f70"
    for value in (good, None, f"urn:uuid:{CANARY}", f"{good} {CANARY}"):
        structlog.get_logger().warning("request refused", message_id=value)
    assert [e["message_id"] for e in lines()] == [good, None, "[withheld]", "[withheld]"]


def test_law_6_the_text_of_an_exception_is_not_written(lines):
    try:
        fail(ValueError(CANARY))
    except ValueError:
        structlog.get_logger().exception("failed")
    (event,) = lines()
    assert event["exception"]["type"] == "ValueError"
    assert any("test_logging" in frame for frame in event["exception"]["frames"])
    assert "Alice" not in json.dumps(event)


def test_our_errors_keep_their_code(lines):
    try:
        fail(WireError("xml-malformed", "The XML is not well-formed."))
    except WireError:
        structlog.get_logger().exception("failed")
    assert lines()[0]["exception"]["code"] == "xml-malformed"


def test_law_6_another_librarys_arguments_are_not_written(lines):
    logging.getLogger("some.library").warning("cannot read %s", CANARY)
    try:
        fail(ValueError(CANARY))
    except ValueError:
        logging.getLogger("some.library").exception("gave up on %s", CANARY)
    first, second = lines()
    assert first["event"] == "cannot read %s"
    assert first["logger"] == "some.library"
    assert second["exception"]["type"] == "ValueError"
    assert "Alice" not in json.dumps([first, second])


def test_a_value_cannot_forge_a_line_and_is_short(lines):
    structlog.get_logger().info(
        "x", reason='a\n{"event": "forged"}', detail="y" * 5000, bytes=b"abc"
    )
    (event,) = lines()
    assert "\n" not in event["reason"]
    assert len(event["detail"]) <= 201
    assert event["bytes"] == "3 bytes"


def test_every_field_that_our_code_logs_may_be_written():
    """A field that is not listed is withheld: whoever reads the log would find nothing there."""
    listed = set(tomllib.loads((DATA / "log_fields.toml").read_text("utf-8"))["fields"])
    unlisted = {
        f"{path.name}: {keyword.arg}"
        for path in (ROOT / "node").rglob("*.py")
        for call in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Attribute)
        and isinstance(call.func.value, ast.Name)
        and call.func.value.id == "_log"
        for keyword in call.keywords
        if keyword.arg is not None and keyword.arg not in listed
    }
    assert unlisted == set()
