"""The steps of replacing one of our certificates, as the Trust page shows them (5.8)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from node.console.rotation import Rotation, rotation
from node.identity import Role
from node.setup import request_certificate
from tests.console.conftest import Browser, made_site
from trust.lifecycle import IdentityRecord, Records, Verb, switched

START = datetime(2026, 11, 1, tzinfo=UTC)
NEW = (Verb.GENERATE, Verb.REQUEST, Verb.RECEIVE, Verb.VERIFY)


def record(version: int, *verbs: Verb) -> IdentityRecord:
    made = IdentityRecord(version=version)
    for number, verb in enumerate(verbs):
        made = made.after(verb, now=START + timedelta(days=number))
    return made


IN_USE = record(1, Verb.ADOPT)


def of(*records: IdentityRecord) -> Rotation:
    found = rotation("server", records)
    assert found is not None
    return found


def test_with_one_version_in_use_nothing_is_replaced() -> None:
    assert rotation("server", (IN_USE,)) is None
    assert rotation("server", ()) is None


@pytest.mark.parametrize(
    ("steps", "here", "following"),
    [
        (1, "Request", "cert request server"),
        (2, "Install", "cert import server FILE"),
        (3, "Try out", "cert import server FILE"),
        (4, "Switch", "cert switch server --version 2"),
    ],
)
def test_each_step_names_the_next_command_and_the_way_back(
    steps: int, here: str, following: str
) -> None:
    found = of(IN_USE, record(2, *NEW[:steps]))
    assert (found.old, found.new) == (1, 2)
    assert [each.name for each in found.steps if each.is_here] == [here]
    assert found.following == following
    assert found.back == "cert retire server --version 2"
    done = [each.name for each in found.steps if each.at is not None]
    assert done == ["Request", "Install", "Try out"][: steps - 1]


def test_after_the_switch_the_old_one_is_left_to_retire() -> None:
    records: Records = switched((IN_USE, record(2, *NEW)), 2, now=START + timedelta(days=9))
    found = of(*records)
    assert (found.old, found.new) == (1, 2)
    assert found.steps[-1].is_here
    assert found.steps[3].at == START + timedelta(days=9)
    assert found.following == "cert retire server --version 1"
    assert found.back == "cert switch server --version 1"


def test_a_client_of_a_purpose_is_asked_for_by_its_purpose() -> None:
    found = rotation("fhir-T-TRTMNT", (record(1, Verb.GENERATE),))
    assert found is not None
    assert found.old is None
    assert found.following == "cert request fhir --purpose T-TRTMNT"


def test_the_trust_page_shows_the_steps_of_what_waits(tmp_path: Path) -> None:
    with made_site(tmp_path) as site:
        opened = site.opened
        request_certificate(opened.home, opened.settings, Role.CLIENT)
        browser = Browser(site.base)
        browser.sign_in("integrator")
        page = browser.get("/trust").text
    section = page[page.index("The first client, version 1") : page.index('id="cal"')]
    assert '<li aria-current="step"><b>Install</b>' in section
    assert '<li class="done"><b>Request</b>' in section
    assert "<code>tefca-node cert import client FILE</code>" in section
    assert "<code>tefca-node cert retire client --version 1</code>" in section
