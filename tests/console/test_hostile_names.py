"""Names are a peer's own: whatever they are, pages keep their form and their words."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser as Chromium

from node.model import Outcome
from tests.console import clinic_world, network
from tests.console.chromium import sign_in, window
from tests.console.conftest import Site, leg, made_site

LONG = f"Katharinen-Universitätsklinikum der Vereinigten Gemeinden{'X' * 80}"
MARKUP = '<script>alert(1)</script> & "Quoted" Hospital'
TURNED = "Ironbeck \u202eygoloidraC\u2066 Group"
ARABIC = "مستشفى الملك فيصل"
WIDTHS = (1440, 768, 390)


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Four peers with such names, an exchange with each, and a case about one."""
    with (
        pytest.MonkeyPatch.context() as patched,
        made_site(tmp_path_factory.mktemp("names")) as site,
    ):
        patched.setattr(network, "NAMES", (MARKUP, LONG, ARABIC, TURNED))
        network.fill(site)
        for number in range(1, 5):
            site.write(leg(number, Outcome.DECLINED), leg(2, Outcome.FAILED, ago=59))
            site.write(leg(number, Outcome.OK))
        found = site.write(leg(2, Outcome.FAILED))
        lead = site.browser("lead")
        form = {"form": lead.form(), "text": f"{LONG} {LONG}", "case": ""}
        assert lead.post(f"/exchanges/{found}/flag", form).status_code == 303
        yield site


def test_no_page_is_wider_than_its_window(chromium: Chromium, named: Site) -> None:
    with window(chromium, named.base) as page:
        sign_in(page, "lead")
        page.goto("/exchanges")
        opened = page.locator("button.expand").first.get_attribute("value")
        for address in (
            "/", f"/exchanges?since=24h&open={opened}", "/denials?side=theirs", "/peers",
            "/peers/2.999.2.2", "/review", "/cases/2026-0001", "/trust",
        ):  # fmt: skip
            page.goto(address.replace("2026", _year(named)))
            for width in WIDTHS:
                page.set_viewport_size({"width": width, "height": 900})
                wide = page.evaluate("document.documentElement.scrollWidth")
                assert wide <= width, (address, width, wide)


def test_a_clinician_s_answers_are_no_wider_either(
    chromium: Chromium, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clinic_world, "NAMES", {1: MARKUP, 2: LONG, 3: ARABIC, 4: LONG})
    peers = clinic_world.world_peers()[:4]
    with (
        clinic_world.clinic_site(tmp_path, *peers) as site,
        window(chromium, site.base) as page,
    ):
        sign_in(page, "clinician")
        browser = site.browser("clinician")
        path = site.ask(browser)
        clinic_world.ended(browser, path)
        page.goto(f"{path}")
        page.get_by_role("link", name="Compare").first.click()
        for width in (*WIDTHS, 1024):
            page.set_viewport_size({"width": width, "height": 900})
            wide = page.evaluate("document.documentElement.scrollWidth")
            assert wide <= width, (width, wide)


def test_markup_in_a_name_is_text_and_a_name_turns_no_other_word(named: Site) -> None:
    lead = named.browser("lead")
    for address in ("/peers", "/peers/2.999.2.1", "/peers/2.999.2.4", "/denials?side=theirs"):
        text = lead.get(address).text
        assert "<script>alert" not in text
        assert not re.search("[\u202a-\u202e\u2066-\u2069]", text), address
    text = lead.get("/peers").text
    assert re.search(r"Ironbeck \S*ygoloidraC\S* Group", text)
    assert ARABIC in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; &#34;Quoted&#34; Hospital" in text


def test_one_is_counted_as_one(named: Site) -> None:
    lead = named.browser("lead")
    one = named.write(leg(3, Outcome.OK))
    page = lead.get(f"/exchanges/{one}").text
    assert "Timeline of 1 leg<" in page
    assert "The entry agrees: bytes" in page
    assert "1 leg over time" in lead.get(f"/exchanges?exchange={one}").text
    assert "They gave no reason" in lead.get("/denials?side=theirs").text


def _year(site: Site) -> str:
    found = re.search(r'href="/cases/([0-9]{4})-0001"', site.browser("lead").get("/review").text)
    assert found
    return found[1]
