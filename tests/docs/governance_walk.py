"""The manual's way from a flag to a closed case: the pages in the order of its numbered steps."""

from __future__ import annotations

import re

from tests.console.conftest import Browser
from tests.docs.sample_network import GOVERNANCE
from tests.docs.sample_network import step as step_of

FOUND = "Corvane Record Services asked about 24 people, and 24 of them (100 %) are not known here."


def step(number: int) -> str:
    return step_of(GOVERNANCE, number)


def sign_in(base: str, login: str, first: str) -> Browser:
    browser, new = Browser(base), "a sentence that only I know"
    browser.sign_in(login, first)
    form = browser.form("/sign-in")
    chosen = browser.post("/sign-in", {"form": form, "password": new, "again": new})
    assert chosen.status_code == 303
    return browser


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
