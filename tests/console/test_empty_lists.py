"""A list without rows says why: none at all, none of these, or not this person's to see (5.1)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from node.model import Direction, Outcome
from tests.console import network
from tests.console.conftest import Site, leg, made_site

NONE_AT_ALL = {
    "/exchanges": "Nothing exchanged yet.",
    "/review": "No case yet.",
    "/denials": "This node has refused nothing.",
    "/exports": "Open the exchanges, filter them",
    "/peers": "No peer yet.",
    "/requests": "Nothing.",
    "/detectors/D14": "The detectors have not looked yet.",
}
NONE_OF_THESE = {
    "/exchanges?since=1h&outcome=cancelled": "No exchange fits.",
    "/review?state=closed": 'open in all: <a href="/review">',
    "/denials?side=theirs": '<a href="/denials?side=ours">Refusals of ours: 1</a>',
    "/denials?side=ours&after=1.0": "None older.",
    "/exports?before=1": "None older.",
    "/access?after=1.0": "Nothing older.",
    "/peers?q=nobodyhasthisname": 'in all: <a href="/peers">show them</a>',
}
NOT_THEIRS = {
    "/exchanges": "clinician",
    "/review": "integrator",
    "/denials": "integrator",
    "/exports": "auditor",
    "/access": "reviewer",
    "/peers": "clinician",
    "/trust": "reviewer",
    "/operations": "lead",
    "/patients": "auditor",
    "/detectors": "integrator",
}


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with made_site(tmp_path_factory.mktemp("bare")) as site:
        yield site


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with made_site(tmp_path_factory.mktemp("filled")) as site:
        network.fill(site)
        exchange = site.write(
            leg(4, Outcome.DECLINED, direction=Direction.RESPONDING, reason="opted-out")
        )
        reviewer = site.browser("reviewer")
        form = {"form": reviewer.form(), "text": "Looks unusual.", "case": ""}
        reviewer.post(f"/exchanges/{exchange}/flag", form)
        yield site


@pytest.mark.parametrize("address", NONE_AT_ALL)
def test_where_there_is_none_at_all_the_first_step_is_said(bare: Site, address: str) -> None:
    assert NONE_AT_ALL[address] in bare.browser("lead").get(address).text


@pytest.mark.parametrize("address", NONE_OF_THESE)
def test_where_the_filter_hides_them_it_says_how_many_there_are(filled: Site, address: str) -> None:
    assert NONE_OF_THESE[address] in filled.browser("lead").get(address).text


@pytest.mark.parametrize("address", NOT_THEIRS)
def test_who_may_not_see_a_list_is_told_who_does(filled: Site, address: str) -> None:
    answer = filled.browser(NOT_THEIRS[address]).get(address)
    assert answer.status_code == 403
    assert "This page is for people who may" in answer.text
    assert "Your administrator gives roles." in answer.text
