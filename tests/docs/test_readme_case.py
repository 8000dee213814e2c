"""The README's way from a flag to a closed case: commands as printed, pages in its order."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.console.conftest import Browser
from tests.docs.manual import blocks, section
from tests.docs.test_readme import kill_group

SECONDS = 240
PART = "### From a flag to a closed case"
FOUND = "Corvane Record Services asked about 24 people, and 24 of them (100 %) are not known here."


class Shell:
    """One shell that runs the commands as they stand, block by block."""

    def __init__(self, home: Path, warm_start: Path) -> None:
        env = {k: v for k, v in os.environ.items() if not k.startswith(("TEFCA_NODE", "PYTEST"))}
        env |= {"HOME": str(home), "PATH": f"{Path(sys.executable).parent}:{env['PATH']}"}
        self._output = home / "output"
        with self._output.open("wb") as stream:
            self.process = subprocess.Popen(
                ["bash", "-euo", "pipefail"], cwd=home, env=env, stdin=subprocess.PIPE,
                stdout=stream, stderr=stream, start_new_session=True,
            )  # fmt: skip
        self._send(f"shopt -s expand_aliases\nalias tefca-node={warm_start}/tefca-node\n")

    def run(self, block: str, mark: str) -> str:
        """What the commands print."""
        before = len(self.shown())
        self._send(f"{block}\necho {mark}\n")
        end = time.monotonic() + SECONDS
        while mark not in self.shown()[before:]:
            assert self.process.poll() is None, self.shown()
            assert time.monotonic() < end, self.shown()
            time.sleep(0.2)
        return self.shown()[before:]

    def end(self) -> None:
        """End it and all that it started."""
        kill_group(self.process.pid)
        if self.process.stdin is not None:
            self.process.stdin.close()
        self.process.wait()

    def shown(self) -> str:
        return self._output.read_text(encoding="utf-8")

    def _send(self, text: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(text.encode())
        self.process.stdin.flush()


def step(number: int) -> str:
    """The words of a numbered step, on one line."""
    found = re.search(rf"^{number}\. (.*?)(?=^\d\. |\n\n)", section(PART), re.MULTILINE | re.DOTALL)
    assert found
    return " ".join(found[1].split())


def sign_in(base: str, login: str, first: str) -> Browser:
    browser, new = Browser(base), "a sentence that only I know"
    browser.sign_in(login, first)
    form = browser.form("/sign-in")
    chosen = browser.post("/sign-in", {"form": form, "password": new, "again": new})
    assert chosen.status_code == 303
    return browser


@pytest.mark.e2e
@pytest.mark.timeout(400)
def test_from_a_flag_to_a_closed_case_as_printed(tmp_path: Path, warm_start: Path) -> None:
    first, last = blocks(section(PART), "sh")
    shell = Shell(tmp_path, warm_start)
    try:
        shown = shell.run(first, "first-block-done")
        assert f"found:       {FOUND}" in shown
        assert re.search(r"D14 +on +1 +1 ", shown)
        assert "The detectors looked at" in shown
        passwords = re.findall(r"first password\s+(\S+)", shown)
        assert len(passwords) == 2, shown
        demo = (tmp_path / "watching" / "demo.txt").read_text(encoding="utf-8")
        (base,) = re.findall(r"^its console: (\S+)", demo, re.MULTILINE)
        walk(base, passwords)
        shown = shell.run(last, "last-block-done")
        assert "A second person confirmed how a case was resolved, and closed it." in shown
    finally:
        shell.end()


def walk(base: str, passwords: list[str]) -> None:
    """The numbered steps; each names what it presses, and the page has it."""
    assert "`m.itoya`" in step(1)
    reviewer = sign_in(base, "m.itoya", passwords[0])
    assert FOUND in step(2)
    queue = reviewer.get("/review").text
    found = re.search(rf'href="/cases/([0-9-]+)">{re.escape(FOUND)}</a>', queue)
    assert found
    case = f"/cases/{found[1]}"
    page = reviewer.get(case).text
    flag = re.search(r'href="(/flags/[0-9]+)"', page)
    assert flag
    rests = reviewer.get(flag[1]).text
    assert len(set(re.findall(r'href="/exchanges/([0-9a-f-]{36})"', rests))) == 24
    assert "May be wrong about" in reviewer.get("/detectors/D14").text

    def press(browser: Browser, number: int, verb: str, **fields: str) -> None:
        pressed = re.findall(r"\*\*(.+?)\*\*", step(number))
        shown = browser.get(case).text
        assert any(f">{words}</button>" in shown for words in pressed), (pressed, shown)
        form = {"form": browser.form("/review"), "verb": verb, **fields}
        assert browser.post(case, form).status_code == 303

    press(reviewer, 3, "take")
    assert "*peer-misuse-confirmed*" in step(4)
    assert "*Reported to a peer*" in step(4)
    assert "Reported to a peer" in reviewer.get(case).text
    press(
        reviewer, 4, "resolve", outcome="peer-misuse-confirmed",
        text="They tried out people who are none of their patients.",
        **{"action-peer-told": "on"},
    )  # fmt: skip
    assert "Confirm and close</button>" not in reviewer.get(case).text
    assert "`l.brandt`" in step(5)
    lead = sign_in(base, "l.brandt", passwords[1])
    assert case in lead.get("/review?state=resolved").text
    press(lead, 5, "confirm")
    assert "100 %" in step(6)
    table = lead.get("/detectors").text
    row = table[table.index('href="/detectors/D14"') : table.index('href="/detectors/D15"')]
    assert re.search(r"confirmed#flags\">1</a>", row)
    assert re.search(r"100 %.*n = 1", row)
