"""Requests with their days, and suspensions that no report shows (164.528, 6.5)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine

from node.errors import OurFault
from node.governance import disclosure_duties
from node.governance.accounting import clocks
from node.governance.case_model import Refusal
from node.governance.disclosure_duties import Duties
from node.governance.disclosure_files import to_csv
from node.ledger.find import LedgerFilter, find
from node.ledger.show import show
from node.ledger.trust_change import Author
from node.model import PatientId
from tests.governance.test_disclosure_files import World as Disclosed
from tests.ledger.records import OWN, PATIENT, PEER

NOW = datetime(2026, 11, 27, 15, 30, tzinfo=UTC)
IDA = Author(by="user", who={"user_id": "ida"})
DAY = timedelta(days=1)
WHY = "The agency states that it would impede its work."


@dataclass
class World:
    log: Disclosed
    duties: Duties

    def ask(self, asked: datetime = NOW, now: datetime = NOW) -> Refusal | None:
        return self.duties.ask(PATIENT, IDA, "ida", asked=asked, now=now)

    def suspend(self, **more: object) -> Refusal | None:
        given = {"until": NOW + 20 * DAY, "oral": True, "text": WHY, "now": NOW} | more
        peer = str(given.pop("peer", PEER.home_community_id))
        return self.duties.suspend(PATIENT, peer, IDA, "ida", **given)  # type: ignore[arg-type]


@pytest.fixture
def world(store: Engine) -> World:
    log = Disclosed(store)
    return World(log=log, duties=Duties(store, log.key, own=OWN))


def test_a_request_has_sixty_days_and_one_extension_of_thirty(world: World) -> None:
    assert world.ask(asked=NOW - 3 * DAY) is None
    (found,) = world.duties.requests(PATIENT)
    assert found.due == NOW + 57 * DAY
    assert world.duties.due_soon(now=NOW, within=56 * DAY) == 0
    assert world.duties.due_soon(now=NOW, within=57 * DAY) == 1
    assert world.duties.extend(PATIENT, found.id, IDA, text=WHY, now=NOW) is None
    (found,) = world.duties.requests(PATIENT)
    assert (found.due, found.extended) == (NOW + 87 * DAY, True)
    again = world.duties.extend(PATIENT, found.id, IDA, text=WHY, now=NOW)
    assert isinstance(again, Refusal)
    assert world.duties.answer(PATIENT, found.id, IDA, now=NOW) is None
    assert isinstance(world.duties.answer(PATIENT, found.id, IDA, now=NOW), Refusal)
    assert world.duties.due_soon(now=NOW, within=900 * DAY) == 0


def test_each_step_is_an_entry_that_names_the_patient_by_the_token_alone(world: World) -> None:
    world.ask()
    world.duties.extend(PATIENT, 1, IDA, text=WHY, now=NOW)
    world.suspend()
    world.duties.lift(PATIENT, 1, IDA, now=NOW)
    world.duties.answer(PATIENT, 1, IDA, now=NOW)
    entries = find(world.log.store, LedgerFilter(kind="admin"), key=world.log.key).entries
    acts = [str(entry.fields["act"]).removeprefix("disclosure-") for entry in entries]
    assert sorted(acts) == ["answer", "extend", "lift", "request", "suspend"]
    token = f"~{world.log.key.patient_token(PATIENT).hex()}"
    for entry in entries:
        assert b"CANARY" not in entry.data
        shown = show(world.log.store, entry.seq, world.log.key)
        assert shown is not None
        assert shown.groups["wire"].value["patient"] == token  # type: ignore[index]


def test_another_patients_request_is_not_touched(world: World) -> None:
    world.ask()
    other = PatientId(assigning_authority="2.999.9", id="other")
    assert isinstance(world.duties.answer(other, 1, IDA, now=NOW), Refusal)
    assert world.duties.requests(other) == ()


@pytest.mark.parametrize("asked", [NOW + DAY, NOW - 61 * DAY])
def test_a_request_of_a_day_that_cannot_be_is_refused(world: World, asked: datetime) -> None:
    assert isinstance(world.ask(asked=asked), Refusal)
    assert world.duties.requests(PATIENT) == ()


async def test_what_is_suspended_is_in_no_report_until_it_ends(world: World) -> None:
    await world.log.write()
    assert len(world.log.report().found.disclosures) == 1
    assert world.suspend() is None
    made = world.log.report(made=NOW)
    assert (made.found.disclosures, made.suspended) == ((), 1)
    assert str(PEER.home_community_id).encode() not in to_csv(made)
    after = world.log.report(made=NOW + 20 * DAY)
    assert (len(after.found.disclosures), after.suspended) == (1, 0)


async def test_a_suspension_is_lifted_and_is_of_one_recipient_and_one_patient(
    world: World,
) -> None:
    await world.log.write()
    assert world.suspend(peer="urn:oid:2.999.77") is None
    assert world.log.report(made=NOW).suspended == 0
    assert world.suspend() is None
    assert world.duties.lift(PATIENT, 2, IDA, now=NOW + DAY) is None
    assert world.log.report(made=NOW + DAY).suspended == 0
    assert isinstance(world.duties.lift(PATIENT, 2, IDA, now=NOW + DAY), Refusal)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"until": NOW + 31 * DAY}, "until"),
        ({"until": NOW}, "until"),
        ({"oral": False, "until": NOW + 3661 * DAY}, "until"),
        ({"text": "secret"}, "text"),
        ({"peer": "2.999.7"}, "peer"),
        ({"peer": "<script>"}, "peer"),
    ],
)
def test_a_suspension_that_cannot_be_is_refused(
    world: World, change: dict[str, object], field: str
) -> None:
    refusal = world.suspend(**change)
    assert isinstance(refusal, Refusal)
    assert refusal.field == field
    assert world.duties.suspensions(PATIENT, now=NOW) == ()


def test_a_written_one_may_be_longer_than_an_oral_one(world: World) -> None:
    assert clocks().oral == 30 * DAY
    assert world.suspend(oral=False, until=NOW + 200 * DAY) is None


def test_what_the_log_cannot_take_is_not_written(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> object:
        raise OurFault("trust-change-unrecorded", "The log is away.")

    monkeypatch.setattr(disclosure_duties, "write_fact", broken)
    for act in (world.ask, world.suspend):
        with pytest.raises(OurFault):
            act()
    assert world.duties.requests(PATIENT) == ()
    assert world.duties.suspensions(PATIENT, now=NOW) == ()
