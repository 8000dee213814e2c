"""``bugreport``: what is inside is said first, and what must not be is not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ended import Cli

from node.settings import NodeHome

SECRET = "hunter2secret"


@pytest.mark.usefixtures("joined")
def test_a_report_is_written_once_and_shows_no_setting_of_somebodys(
    cli: Cli, home: NodeHome, tmp_path: Path
) -> None:
    settings = home.settings_file
    text = settings.read_text(encoding="utf-8")
    settings.write_text(f'{text}\n[acme]\ncontact = "mailto:{SECRET}"\n', encoding="utf-8")
    file = tmp_path / "bug.json"
    dry = cli("bugreport", "--out", str(file), "--dry-run")
    assert dry.code == 0
    assert "No patient, no person, no secret is in it." in dry.err
    assert not file.exists()
    assert cli("bugreport", "--out", str(file)).code == 0
    written = file.read_text(encoding="utf-8")
    assert SECRET not in written
    assert json.loads(written)["settings"]["acme"]["contact"] == "(set, not shown)"
    again = cli("bugreport", "--out", str(file))
    assert again.code != 0
    assert "export-exists" in again.err
