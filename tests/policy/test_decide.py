"""The rules of policy, each by its name, and the data they stand on."""

from __future__ import annotations

from dataclasses import replace

import pytest

from node.errors import SettingsError
from node.model import Code, HomeCommunityId, PatientId, Transaction
from node.policy.decide import (
    InboundFacts,
    OutboundFacts,
    PartyFacts,
    decide_asking,
    decide_inbound,
    decide_outbound,
)
from node.policy.opt_out import parse_opt_outs
from node.policy.purposes import Duty, purpose_register
from node.policy.reasons import reasons

REGISTER = purpose_register()
TREATMENT = REGISTER.purposes["T-TRTMNT"].code
OWN = HomeCommunityId("urn:oid:2.999.1")
ASKER = PartyFacts(active=True, suspended=False, initiates=frozenset({TREATMENT.code}))
GOOD = InboundFacts(
    transaction=Transaction.ITI_55,
    purpose=TREATMENT,
    asker=ASKER,
    own_responds=frozenset({TREATMENT.code}),
    own_communities=frozenset({OWN}),
)
PEER = PartyFacts(
    active=True, suspended=False, initiates=frozenset(), responds=frozenset({TREATMENT.code})
)
ASK = OutboundFacts(purpose=TREATMENT, own_initiates=frozenset({TREATMENT.code}), peer=PEER)


def test_xp_table_1_has_seventeen_purposes() -> None:
    assert len(REGISTER.purposes) == 17
    assert "T-HCO-QM" not in REGISTER.purposes  # retired by SOP 5.1
    musts = {c for c, p in REGISTER.purposes.items() if p.duty is Duty.MUST}
    assert musts == {"T-TRTMNT", "T-IAS"}
    pushes = {c for c, p in REGISTER.purposes.items() if p.duty is Duty.PUSH_ONLY}
    assert pushes == {"T-PH-ECR", "T-PH-ELR"}


def test_a_request_with_everything_in_order_is_permitted_by_all_rules() -> None:
    decision = decide_inbound(GOOD, REGISTER)
    assert decision.permitted
    assert len(decision.rules) == 6
    assert decision.reason is None


@pytest.mark.parametrize(
    ("reason", "facts"),
    [
        ("peer-suspended", replace(GOOD, asker=replace(ASKER, suspended=True))),
        ("unsigned-entry", replace(GOOD, asker=replace(ASKER, unsigned_refused=True))),
        ("peer-inactive", replace(GOOD, asker=replace(ASKER, active=False))),
        ("purpose-unknown", replace(GOOD, purpose=Code(code="T-NONE", scheme=TREATMENT.scheme))),
        ("purpose-unknown", replace(GOOD, purpose=Code(code=TREATMENT.code, scheme="2.999"))),
        (
            "purpose-push-only",
            replace(GOOD, purpose=REGISTER.purposes["T-PH-ECR"].code),
        ),
        ("purpose-not-listed", replace(GOOD, asker=replace(ASKER, initiates=frozenset()))),
        ("purpose-not-answered", replace(GOOD, own_responds=frozenset())),
        ("wrong-community", replace(GOOD, addressed=frozenset({HomeCommunityId("urn:oid:2.9")}))),
        ("patient-opted-out", replace(GOOD, opted_out=True)),
    ],
)
def test_law_3_each_refusal_has_a_code_a_rule_and_a_sentence(
    reason: str, facts: InboundFacts
) -> None:
    decision = decide_inbound(facts, REGISTER)
    assert not decision.permitted
    assert decision.reason == reason
    assert len(decision.rules) == 1
    assert decision.sentence == reasons()[reason].sentence


def test_qtf_710_a_request_directed_at_us_is_in_scope() -> None:
    assert decide_inbound(replace(GOOD, addressed=frozenset({OWN})), REGISTER).permitted


def test_the_asker_is_judged_before_the_patient() -> None:
    both = replace(GOOD, asker=replace(ASKER, suspended=True), opted_out=True)
    assert decide_inbound(both, REGISTER).reason == "peer-suspended"


@pytest.mark.parametrize(
    ("reason", "facts"),
    [
        ("purpose-not-listed", replace(ASK, own_initiates=frozenset())),
        ("purpose-unknown", replace(ASK, purpose=Code(code="X", scheme="2.999"))),
        ("peer-suspended", replace(ASK, peer=replace(PEER, suspended=True))),
        ("unsigned-entry", replace(ASK, peer=replace(PEER, unsigned_refused=True))),
        ("peer-inactive", replace(ASK, peer=replace(PEER, active=False))),
        ("peer-does-not-respond", replace(ASK, peer=replace(PEER, responds=frozenset({"X"})))),
    ],
)
def test_a_peer_that_may_not_be_asked_is_not_asked(reason: str, facts: OutboundFacts) -> None:
    assert decide_outbound(facts, REGISTER).reason == reason


def test_a_peer_without_listed_purposes_decides_for_itself() -> None:
    assert decide_outbound(replace(ASK, peer=replace(PEER, responds=frozenset())), REGISTER)


def test_qtf_603_asking_is_judged_by_our_own_entry_alone() -> None:
    assert decide_asking(TREATMENT, frozenset({TREATMENT.code}), REGISTER).permitted
    assert decide_asking(TREATMENT, frozenset(), REGISTER).reason == "purpose-not-listed"


def test_every_reason_travels_in_exactly_one_form() -> None:
    for row in reasons().values():
        policy = bool(row.xcpd and row.xds)
        assert policy != bool(row.fault), row.code
        assert row.sentence.endswith(".")
        assert row.cite


def test_the_opt_out_file_is_read_by_its_columns() -> None:
    text = "note,id,assigning_authority\nasked on paper, MRN-1 ,urn:oid:2.999.7.1\n"
    opt_outs = parse_opt_outs(text)
    assert opt_outs.any_of([PatientId(assigning_authority="2.999.7.1", id="MRN-1")])
    assert not opt_outs.any_of([PatientId(assigning_authority="2.999.7.2", id="MRN-1")])


@pytest.mark.parametrize(
    "text", ["", "id\nMRN-1\n", "assigning_authority,id\n2.999.7.1,\n", "a,b\n1,2\n"]
)
def test_law_6_a_broken_opt_out_file_is_refused_whole_without_naming_anybody(text: str) -> None:
    with pytest.raises(SettingsError) as raised:
        parse_opt_outs(text)
    assert "MRN-1" not in str(raised.value)
