"""The register of denials: catalogue with days, what is owed, notes that stay (6.4, 5.5)."""

from __future__ import annotations

import os
from datetime import UTC, date, datetime, timedelta

import pytest
from sqlalchemy import Engine

from node.errors import OurFault
from node.governance.denials import Denials, Side, denial, register, waiting
from node.governance.exceptions import Catalogue, Exemption, answer_due, catalogue
from node.ledger import leaf
from node.ledger.find import LedgerFilter, find
from node.ledger.ledger import ExchangeLedger
from node.ledger.private import LedgerKey
from node.ledger.show import show
from node.ledger.trust_change import Author
from node.model import Direction, Outcome
from node.policy.reasons import reasons
from tests.ledger.records import record

NOW = datetime(2026, 11, 27, 15, 30, tzinfo=UTC)  # a Friday
IDA = Author(by="user", who={"user_id": "ida"})


class World:
    """A store, and refusals in its log."""

    def __init__(self, store: Engine) -> None:
        self.store = store
        self.key = LedgerKey(os.urandom(32))
        self.denials = Denials(store, self.key, own="urn:oid:2.999.71")

    async def refuse(
        self,
        reason: str | None,
        *,
        outcome: Outcome = Outcome.DECLINED,
        direction: Direction = Direction.RESPONDING,
        started: datetime = NOW,
    ) -> int:
        ledger = ExchangeLedger(self.store, self.key)
        receipt = await ledger.append(
            record(outcome=outcome, direction=direction, reason=reason, started=started)
        )
        ledger.close()
        return receipt.seq

    def note(self, seq: int, exception: str, answered: datetime | None = None) -> None:
        found = denial(self.store, self.key, seq)
        assert found is not None
        self.denials.note(
            found, IDA, login="ida", exception=exception, answered=answered,
            text="Canaryson's record cannot be parted.", now=NOW + timedelta(hours=1),
        )  # fmt: skip


@pytest.fixture
def world(store: Engine) -> World:
    return World(store)


async def test_each_side_has_its_own_rows(world: World) -> None:
    ours = await world.refuse("peer-suspended")
    theirs = await world.refuse("no-consent", direction=Direction.INITIATING)
    late = await world.refuse("timeout", outcome=Outcome.TIMED_OUT)
    broken = await world.refuse("records-unreadable", outcome=Outcome.FAILED)
    await world.refuse(None, outcome=Outcome.OK)
    await world.refuse("timeout", outcome=Outcome.FAILED, direction=Direction.INITIATING)

    def rows(side: Side) -> set[int]:
        page = register(world.store, world.key, side, limit=10)
        return {each.entry.seq for each in page.denials}

    assert rows(Side.OURS) == {ours}
    assert rows(Side.THEIRS) == {theirs}
    assert rows(Side.FAULTS) == {late, broken}


async def test_a_refusal_by_a_rule_is_documented_and_owes_nothing(world: World) -> None:
    await world.refuse("patient-opted-out")
    (found,) = register(world.store, world.key, Side.OURS, limit=10).denials
    assert found.exemption is not None
    assert (found.exemption.code, found.due, found.is_open) == ("privacy", None, False)
    assert waiting(world.store, now=NOW) == ()


@pytest.mark.parametrize("reason", [None, "some-new-code"])
async def test_a_refusal_without_a_documented_reason_is_owed_an_explanation(
    world: World, reason: str | None
) -> None:
    seq = await world.refuse(reason)
    (found,) = waiting(world.store, now=NOW)
    assert (found.entry.seq, found.exemption) == (seq, None)
    assert found.due == datetime(2026, 12, 11, 15, 30, tzinfo=UTC)  # ten business days
    world.note(seq, "privacy")
    assert waiting(world.store, now=NOW) == ()


async def test_an_infeasible_one_is_open_until_it_was_answered_in_writing(world: World) -> None:
    seq = await world.refuse(None)
    world.note(seq, "infeasibility")
    (found,) = waiting(world.store, now=NOW)
    assert found.exemption is not None
    assert found.exemption.code == "infeasibility"
    world.note(seq, "infeasibility", answered=NOW)
    assert waiting(world.store, now=NOW) == ()
    found_again = denial(world.store, world.key, seq)
    assert found_again is not None
    assert found_again.note is not None
    assert (found_again.note.who, found_again.note.answered) == ("ida", NOW)


async def test_law_6_a_note_is_an_entry_whose_text_is_private(world: World) -> None:
    seq = await world.refuse(None)
    world.note(seq, "infeasibility", answered=NOW)
    (entry,) = find(world.store, LedgerFilter(kind="admin"), key=world.key).entries
    assert (entry.fields["act"], entry.fields["reason"]) == ("denial-note", "infeasibility")
    assert entry.fields["first"] == seq
    assert "Canaryson" not in str(entry.fields)
    shown = show(world.store, entry.seq, world.key)
    assert shown is not None
    assert shown.groups["wire"].value == {
        "entry": seq, "text": "Canaryson's record cannot be parted.",
        "answered": leaf.from_time(NOW),
    }  # fmt: skip


async def test_only_a_refusal_of_ours_takes_a_note(world: World) -> None:
    theirs = await world.refuse("x-y", direction=Direction.INITIATING)
    for seq in (theirs, 999):
        assert denial(world.store, world.key, seq) is None


async def test_pages_follow_one_another(world: World) -> None:
    written = [
        await world.refuse("peer-suspended", started=NOW + timedelta(seconds=n)) for n in range(7)
    ]
    first = register(world.store, world.key, Side.OURS, limit=4)
    rest = register(world.store, world.key, Side.OURS, limit=4, after=first.following)
    assert rest.following is None
    seen = [each.entry.seq for each in (*first.denials, *rest.denials)]
    assert seen == sorted(written, reverse=True)


# --- the catalogue -------------------------------------------------------------------------------


def test_every_reason_of_ours_has_one_exception_or_is_none() -> None:
    behind = [reason for row in catalogue().rows for reason in row.reasons]
    assert sorted(behind) == sorted(set(behind))
    assert set(behind) == set(reasons()) - {"peer-does-not-respond"}  # we did not ask: no refusal


def test_every_row_has_its_source_and_codes_fit_a_leaf() -> None:
    for row in catalogue().rows:
        assert row.source
        assert row.cite
        assert leaf.fits("reason", row.code)
    assert catalogue().listed == date(2026, 11, 1)


def test_what_proves_nobody_is_no_information_blocking() -> None:
    found = catalogue().behind("signature-invalid", NOW.date())
    assert found is not None
    assert found.code == "not-information-blocking"


def test_a_row_counts_on_the_days_on_which_it_is_in_force() -> None:
    assert "protecting-care-access" not in catalogue().on(date(2024, 12, 16))
    assert "protecting-care-access" in catalogue().on(date(2024, 12, 17))
    old = Exemption(
        code="manner", title="", cite="old", on_file=(), source="", ends=date(2026, 12, 31)
    )
    new = Exemption(
        code="manner", title="", cite="new", on_file=(), source="", begins=date(2027, 1, 1)
    )
    both = Catalogue(listed=date(2026, 11, 1), rows=(old, new))
    assert both.on(date(2026, 12, 31))["manner"].cite == "old"
    assert both.on(date(2027, 1, 1))["manner"].cite == "new"


def test_ten_business_days_are_two_weeks() -> None:
    assert answer_due(NOW, 10) == NOW + timedelta(days=14)


async def test_nothing_is_noted_that_the_log_cannot_take(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    seq = await world.refuse(None)

    def full(*_args: object, **_more: object) -> None:
        raise OurFault("trust-change-unrecorded", "The log is full.")

    monkeypatch.setattr("node.governance.denials.write_fact", full)
    with pytest.raises(OurFault):
        world.note(seq, "privacy")
    found = denial(world.store, world.key, seq)
    assert found is not None
    assert found.note is None
