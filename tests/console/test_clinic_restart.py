"""A clinician comes back after a restart: own requests, their answers and what was opened."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select

from node.console.clinic.keeping import ClinicStore
from node.console.clinic.record import Record
from node.console.clinic.request import ClinicRequest, Ended, LegState, Progress, SamePerson
from node.console.clinic.stored import decoded, encoded
from node.exchange.network_ports import KnownAt, Likeness
from node.ledger.private import LedgerKey, load_key
from node.model import ExchangeId, LegId, Outcome, PatientId, Transaction
from node.storage.clinic_tables import CLINIC_REQUEST, CLINIC_SEEN
from node.storage.engine import migrate, open_engine
from tests.console.clinic_world import SOMEBODY, THERE, WHOM, clinic_site, ended, named, until
from tests.sim.clock import START
from tests.sim.network import SimPeer, document, hcid, patient, principal

KEY = LedgerKey(bytes(range(32)))
OURS = PatientId(assigning_authority="2.999.71.1", id="local-7")


def request(token: str = "t" * 22, login: str = "clinician") -> ClinicRequest:
    return ClinicRequest(
        token=token, login=login, principal=principal(), progress=Progress.ASKING,
        exchange_id=ExchangeId("01a21dae-c50b-76a0-a134-73fc1684228e"), began=START,
        demographics=WHOM,
    )  # fmt: skip


def alike(_a: object, _b: object) -> Likeness:
    return Likeness(percent=60, is_certain=False, contradicts=False)


def a_record(base: ClinicRequest, *, resource: bytes | None = b"{}") -> Record:
    record = Record(base, [named(1), named(2)], alike, {hcid(1): 900})
    known = KnownAt(home_community_id=hcid(1), patient_id=patient(1), demographics=SOMEBODY)
    record.knows(named(1), known)
    record.named(named(1), patient(1), [(document(1, "a", b"1"), resource)])
    record.say(1, SamePerson.YES, "clinician", START)
    return record


def test_what_is_stored_is_the_same_request_again() -> None:
    record = a_record(request())
    record.close(Progress.ENDED, START)
    again = Record.restored(decoded(encoded(record.stored())), alike, START + timedelta(hours=1))
    assert replace(again.picture(), version=0) == replace(record.picture(), version=0)


def test_one_that_ran_was_interrupted() -> None:
    stored = decoded(encoded(a_record(request()).stored()))
    later = START + timedelta(hours=1)
    again = Record.restored(stored, alike, later).picture()
    assert (again.progress, again.ended) == (Progress.INTERRUPTED, later)
    assert {leg.home: leg.state for leg in again.legs} == {
        hcid(1): LegState.FOUND,
        hcid(2): LegState.UNREACHED,
    }


def test_documents_past_the_limit_are_not_stored_and_the_request_says_that_there_was_more() -> None:
    stored = decoded(encoded(a_record(request(), resource=b"x" * 2_000_000).stored()))
    assert (stored.documents, stored.cut) == ((), True)


@pytest.fixture
def store(tmp_path: Path):
    engine = open_engine(f"sqlite:///{tmp_path / 'node.db'}")
    migrate(engine)
    yield ClinicStore(engine, KEY)
    engine.dispose()


def test_rows_are_sealed_found_by_their_owner_and_deleted_in_time(store, tmp_path) -> None:
    soon = START + timedelta(hours=12)
    store.save([a_record(request()).stored()], until=soon)
    store.save([a_record(request()).stored()], until=soon)  # in the place of the first
    store.opened("clinician", ("urn:oid:2.999.1", "", "secret-document"), until=soon)
    assert [each.base.token for each in store.requests(START)] == ["t" * 22]
    assert store.seen("clinician", START) == {("urn:oid:2.999.1", "", "secret-document")}
    assert store.seen("somebody", START) == frozenset()
    for file in tmp_path.iterdir():
        data = file.read_bytes()
        for word in (b"Sample", b"Sampel", b"19610302", b"secret-document", b"t" * 22):
            assert word not in data, (file, word)
    assert store.requests(soon) == []
    store.sweep(soon)
    with store._engine.connect() as connection:
        for table in (CLINIC_REQUEST, CLINIC_SEEN):
            assert connection.execute(select(func.count()).select_from(table)).scalar() == 0


def test_what_does_not_open_is_deleted_and_hides_nothing_else(store) -> None:
    soon = START + timedelta(hours=12)
    other = ClinicStore(store._engine, LedgerKey(bytes(32)))
    other.save([a_record(request("o" * 22)).stored()], until=soon)
    store.save([a_record(request()).stored()], until=soon)
    assert [each.base.token for each in store.requests(START)] == ["t" * 22]
    assert other.requests(START) == []
    store.forget(["t" * 22])
    assert store.requests(START) == []


@pytest.mark.parametrize(
    ("whose", "legs"),
    [
        (patient(1), frozenset()),  # what a community calls the person
        (OURS, frozenset()),  # our own record's
        (None, frozenset({"leg-7"})),
        (patient(9), frozenset({"leg-7"})),
    ],
)
def test_requests_about_a_person_or_with_a_leg_are_erased_and_no_other(store, whose, legs) -> None:
    soon = START + timedelta(hours=12)
    record = a_record(replace(request(), patient=OURS))
    record.ended(named(1), Ended(step=Transaction.ITI_55, leg_id=LegId("leg-7"),
                                 outcome=Outcome.OK, reason=None, sentence=None,
                                 duration_ms=1))  # fmt: skip
    other = Record(request("o" * 22), [named(1)], alike, {})
    store.save([record.stored(), other.stored()], until=soon)
    (key,) = record.stored().keys
    store.opened("somebody", key, until=soon)
    store.opened("somebody", ("urn:oid:2.999.1", "", "another"), until=soon)
    assert store.about(patient(9), frozenset()) == []
    found = store.about(whose, legs)
    assert [each.token for each in found] == ["t" * 22]
    store.erase(found)
    assert [each.token for each in store.requests(START)] == ["o" * 22]
    assert store.seen("somebody", START) == {("urn:oid:2.999.1", "", "another")}


def test_a_console_that_serves_forgets_what_was_erased(tmp_path: Path) -> None:
    found = SimPeer(number=1, documents={"a": b"one"}, says=THERE)
    with clinic_site(tmp_path, found) as site:
        browser = site.browser("clinician")
        path = site.ask(browser)
        ended(browser, path)
        assert browser.get(f"{path}/documents/1").status_code == 200
        files = site.opened.home.inbox / "console"
        assert list(files.iterdir())
        store = ClinicStore(site.opened.engine, load_key(site.opened.home.path))
        until(lambda: store.about(patient(1), frozenset()))
        store.erase(store.about(patient(1), frozenset()))
        until(lambda: browser.get(path).status_code == 404)
        assert path not in browser.get("/records").text
        until(lambda: not list(files.iterdir()))
        assert store.about(patient(1), frozenset()) == []


def test_a_clinician_finds_own_requests_and_answers_after_a_restart(tmp_path: Path) -> None:
    found = SimPeer(number=1, documents={"a": b"one", "b": b"two"}, says=THERE)
    slow = SimPeer(number=2, documents={"c": b"three"}, says=THERE)
    with clinic_site(tmp_path, found, slow) as site:
        browser = site.browser("clinician")
        path = site.ask(browser)
        ended(browser, path)
        browser.get(f"{path}/documents/1")
        site.hold(2)
        running = site.ask(browser, zip="00502")
        until(lambda: "2 documents" in browser.get(running).text)
        site.restart()
        site.let_go()
        page = browser.get(path)
        assert page.status_code == 200
        assert "interrupted" not in page.text
        assert "3 to read" in page.text
        only = browser.get(f"{path}/documents?show=new").text
        assert f"{path}/documents/2" in only
        assert f'href="{path}/documents/1"' not in only
        assert browser.get(f"{path}/documents/2").status_code == 200  # fetched again
        page = browser.get(running).text
        assert "The search was interrupted" in page
        assert "2 documents" in page
        assert "Stop waiting" not in page
        assert ">Ask again</button>" in page
        mine = browser.get("/records").text
        assert path in mine
        assert running in mine
        assert path not in site.browser("auditor").get("/").text
        answer = browser.post(f"{running}/again", {"form": browser.form(running)})
        assert answer.status_code == 303
        again = answer.headers["location"]
        assert again != running
        assert "3 to read" in ended(browser, again)
        assert re.search(r"Juniper|Sample", again) is None
