"""The accounting of disclosures: what counts, what is left out and why (45 CFR 164.528)."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime

import pytest

from node.errors import SettingsError
from node.governance.accounting import applied
from node.governance.disclosures import Accounted, Fact, Recipient, account
from node.policy.purposes import purpose_register

T = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)


def fact(seq: int = 1, *, docs: object = None, erased: frozenset[str] = frozenset(), **fields):
    leaf = {
        "txn": "ITI-39", "dir": "responding", "outcome": "ok", "purpose": "T-PH", "org": "org-2",
        "peer": "urn:oid:2.999.2", "own": "urn:oid:2.999.1", "exch": "x-1",
        "pol": "in-1-purpose,in-2-peer",
    } | fields  # fmt: skip
    kept = {name: value for name, value in leaf.items() if value is not None}
    return Fact(seq=seq, time=T, fields=kept, docs=docs, erased=erased)


def named(organization_id: str | None, hcid: str | None) -> Recipient:
    return Recipient(name=f"{organization_id} of {hcid}")


def accounted(*facts: Fact, count: tuple[str, ...] = ()) -> Accounted:
    return account(facts, applied(count), named)


def test_a_disclosure_says_when_to_whom_what_why_and_on_which_authority() -> None:
    docs = [{"id": "1.2.3", "type": "34133-9"}, {"id": "Observation/7", "version": "1"}]
    (found,) = accounted(fact(docs=docs)).disclosures
    assert found.time == T
    assert found.to.name == "org-2 of urn:oid:2.999.2"
    assert found.what == "Documents"
    assert found.items == ("1.2.3 (type 34133-9)", "Observation/7")
    assert (found.purpose, found.purpose_words) == ("T-PH", "Public Health")
    assert found.authority == ("in-1-purpose", "in-2-peer")


def test_a_document_that_we_sent_is_a_disclosure_whatever_became_of_it_there() -> None:
    docs = [{"id": "1.2.3", "type": "34133-9", "sha256": "00"}]
    pushed = {"txn": "ITI-80", "dir": "initiating", "purpose": "T-PH-ECR", "c_req": "x"}
    sent, refused = accounted(
        fact(docs=docs, **pushed), fact(2, docs=docs, **(pushed | {"outcome": "declined"}))
    ).disclosures
    assert sent.what == refused.what == "Documents, sent to the recipient"
    assert sent.items == refused.items == ("1.2.3 (type 34133-9)",)
    unsent = fact(docs=docs, **(pushed | {"outcome": "failed", "c_req": None}))
    assert accounted(unsent).disclosures == ()


def test_of_a_document_that_was_sent_to_us_only_that_it_was_taken_is_disclosed() -> None:
    (taken,) = accounted(fact(docs=[{"id": "1.2.3"}], txn="ITI-80")).disclosures
    assert (taken.what, taken.items) == ("That a document of the patient was taken", ())


OWED = {"T-PH", "T-PH-ECR", "T-PH-ELR", "T-GOVDTRM", "T-GOVDTRM-ACP"}


@pytest.mark.parametrize("purpose", sorted(purpose_register().purposes))
def test_public_health_and_benefits_are_owed_the_other_purposes_are_not(purpose: str) -> None:
    found = accounted(fact(purpose=purpose))
    assert bool(found.disclosures) == (purpose in OWED)
    assert bool(found.excluded) == (purpose not in OWED)
    for each in found.excluded:
        assert each.exclusion is not None
        assert each.exclusion.cite.startswith("45 CFR 164.528(a)(1)")


@pytest.mark.parametrize("purpose", [None, "T-NEW"])
def test_what_no_rule_leaves_out_is_accounted_for(purpose: str | None) -> None:
    assert len(accounted(fact(purpose=purpose)).disclosures) == 1


def test_an_exclusion_that_the_node_does_not_rely_on_leaves_nothing_out() -> None:
    facts = (fact(1, purpose="T-HCO"), fact(2, purpose="T-PYMNT"))
    found = accounted(*facts, count=("operations",))
    assert [each.seq for each in found.disclosures] == [1]
    assert [each.seq for each in found.excluded] == [2]
    with pytest.raises(SettingsError, match="no exclusion has the code treatmnt"):
        applied(("treatmnt",))


def test_an_exclusion_counts_on_its_days_alone() -> None:
    rules = applied(())
    row = replace(rules.rows[0], begins=date(2026, 11, 20), ends=date(2026, 11, 20))
    rules = replace(rules, rows=(row,))
    assert rules.behind("T-TREAT", date(2026, 11, 20)) is row
    assert rules.behind("T-TREAT", date(2026, 11, 19)) is None
    assert rules.behind("T-TREAT", date(2026, 11, 21)) is None


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"outcome": "ok-empty"}, "asked, and nothing was held"),
        ({"outcome": "declined"}, "asked, and refused"),
        ({"outcome": "failed"}, "not answered"),
        ({"outcome": "timed-out"}, "not answered"),
        ({"peer": None, "org": None}, "read by our own systems"),
        ({"peer": "urn:oid:2.999.1"}, "read by our own systems"),
        ({"txn": "ITI-67"}, "a step of our own systems"),
        ({"txn": "SMART-LAUNCH"}, "a step of our own systems"),
        ({"dir": "initiating", "outcome": "failed"}, "a question never sent"),
    ],
)
def test_where_nothing_left_the_organisation_there_is_no_disclosure(fields, why: str) -> None:
    found = accounted(fact(**fields))
    assert found.nothing == {why: 1}
    assert not found.disclosures
    assert not found.excluded


def test_a_recipient_whose_id_did_not_fit_the_log_is_still_one() -> None:
    assert accounted(fact(peer=None, org=None, unfit="peer")).disclosures


def test_a_question_that_was_sent_discloses_what_it_asks_with_and_no_documents() -> None:
    asked = fact(txn="ITI-55", dir="initiating", outcome="timed-out", c_req="…", docs=[{"id": "9"}])
    (found,) = accounted(asked).disclosures
    assert found.what == "Identifying details, with a question for records"
    assert found.items == ()


def test_a_long_list_is_cut_and_says_by_how_much() -> None:
    (found,) = accounted(fact(docs=[{"id": f"1.{n}"} for n in range(60)])).disclosures
    assert (len(found.items), found.more) == (50, 10)


def test_the_oldest_stands_first_and_exclusions_are_counted() -> None:
    later = replace(fact(2), time=T.replace(day=21))
    found = accounted(later, fact(1), fact(3, purpose="T-TREAT"), fact(4, purpose="T-TRTMNT"))
    assert [each.seq for each in found.disclosures] == [1, 2]
    assert [(row.code, number) for row, number in found.by_exclusion] == [("treatment", 2)]


def test_it_goes_six_years_back_also_from_a_leap_day() -> None:
    rules = applied(())
    assert rules.first_day(T) == datetime(2020, 11, 20, 9, 30, tzinfo=UTC)
    assert rules.first_day(datetime(2028, 2, 29, tzinfo=UTC)) == datetime(2022, 2, 28, tzinfo=UTC)
