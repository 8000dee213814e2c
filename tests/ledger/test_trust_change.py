"""Every change of trust is an entry of its own (issue 3, point 8; facts: tamper-evident-log C4)."""

from __future__ import annotations

import hashlib
import string
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from node.errors import OurFault
from node.ledger import leaf
from node.ledger.trust_change import (
    Author,
    Step,
    TrustChange,
    acts,
    completed,
    draft_change,
    sentence,
)

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
DIGEST = hashlib.sha256(b"thing").hexdigest()
ID = "0190a8c0-0000-7000-8000-000000000001"
OPERATOR = Author(by="operator", who={"user_id": "alice", "uid": 1000})
CANARY = "Canaryson 1969-12-31"


def entry(
    change: TrustChange, step: Step = Step.DONE, begun: int | None = None
) -> tuple[dict[str, str | int], dict[str, object]]:
    made = draft_change(
        change, step=step, begun=begun, author=OPERATOR, own="urn:oid:2.999.1", entry_id=ID, now=NOW
    )
    commitments = {f"c_{group}": leaf.from_bytes(bytes(32)) for group in made.groups}
    fields = {**made.fields, **commitments}
    assert leaf.decode(leaf.encode(fields)) == fields
    return fields, made.groups


FULL = TrustChange(
    act="anchor-add",
    thing=DIGEST,
    key=DIGEST,
    root=DIGEST,
    role="server",
    version=3,
    organization_id="2.999.72",
    home_community_id="urn:oid:2.999.72",
    uses=("tls-server", "saml-signer"),
    source="network",
    setting="documents_per_retrieve",
    reason="network-list-stale",
    log="log.node.example/exchange/2026",
    counts={name: number for number, name in enumerate(leaf.COUNTS, start=1)},
)


@pytest.mark.parametrize("act", sorted(acts()))
def test_every_act_has_a_leaf_and_a_sentence_of_fields_that_a_leaf_can_have(act: str) -> None:
    row = acts()[act]
    assert row.kind in ("cert", "directory", "admin")
    for template in filter(None, (row.doing, row.done)):
        named = {name for _, name, _, _ in string.Formatter().parse(template) if name}
        assert named <= set(leaf.FIELDS)
    fields, groups = entry(replace(FULL, act=act))
    assert fields["kind"] == row.kind
    assert fields["act"] == act
    assert groups == {"who": {"user_id": "alice", "uid": 1000}}
    said = sentence(fields)
    assert said is not None
    assert "…" not in said
    assert "{" not in said
    # a fact stands by itself; everything else says what was begun
    assert (row.doing is None) == (
        act.rpartition("-")[2] in FACTS or act in WHOLE or act.startswith(OF_ONE_ENTRY)
    )


OF_ONE_ENTRY = (
    "case-",
    "denial-",
    "detector-",
    "document-",
    "export-",
    "packet-",
    "person-",
    "records-",
    "sample-",
    "two-person-",
)
FACTS = {"take", "drop", "refuse", "expire", "wait", "follow", "age"}
WHOLE = {
    "log-close", "log-open",  # written in the transaction that does it
    "sign-in", "sign-out", "page-view", "body-purge", "password-change", "code-set-up",
    "encounters-import", "encounters-purge", "glass-break", "glass-end",
    "disclosure-answer", "disclosure-extend", "disclosure-lift", "disclosure-look",
    "disclosure-request", "disclosure-suspend", "app-patient", "denial-note", "person-prove",
    "patient-reveal", "bug-report", "turn-away", "exchange-ask-anew",
}  # fmt: skip


@pytest.mark.parametrize(
    ("step", "begun", "reason", "expected"),
    [
        (Step.BEGUN, None, None, "Begun: ending the trust in the CA 0123456789abcdef."),
        (Step.DONE, 7, None, "The CA 0123456789abcdef is no longer trusted."),
        (
            Step.FAILED, 7, "anchor-missing",
            "Failed (anchor-missing): ending the trust in the CA 0123456789abcdef.",
        ),
    ],
)  # fmt: skip
def test_a_sentence_says_what_was_begun_done_or_failed(
    step: Step, begun: int | None, reason: str | None, expected: str
) -> None:
    change = TrustChange(act="anchor-remove", thing="0123456789abcdef" * 4, reason=reason)
    fields, _ = entry(change, step, begun)
    assert fields.get("begun") == begun
    assert sentence(fields) == expected


def test_entries_of_other_kinds_are_no_changes_of_trust() -> None:
    assert sentence({"kind": "exchange"}) is None


@pytest.mark.parametrize(
    ("name", "field", "value"),
    [
        ("organization_id", "org", CANARY),
        ("home_community_id", "peer", CANARY),
        ("role", "role", CANARY),
        ("uses", "uses", (CANARY,)),
        ("source", "source", "canaryson19691231"),
        ("setting", "setting", CANARY),
        ("reason", "reason", CANARY),
    ],
)
def test_law_6_a_value_without_its_form_stays_out_of_the_leaf(
    name: str, field: str, value: object
) -> None:
    fields, groups = entry(replace(FULL, **{name: value}))  # type: ignore[arg-type]
    assert field not in fields
    assert fields["unfit"] == field
    assert "anaryson" not in str(fields)
    text = value if isinstance(value, str) else ",".join(value)  # type: ignore[arg-type]
    assert groups["wire"] == {"unfit": {field: text}}


def test_law_6_who_and_free_text_are_in_private_groups_only() -> None:
    change = TrustChange(
        act="peer-suspend", organization_id="2.999.72", private={"reason": f"About {CANARY}."}
    )
    fields, groups = entry(change)
    assert groups["wire"] == {"reason": f"About {CANARY}."}
    for text in ("alice", "1000", "anaryson"):
        assert text not in leaf.encode(fields).decode()
    assert "alice" not in str(sentence(fields))
    assert fields["by"] == "operator"


@pytest.mark.parametrize(
    "change",
    [
        TrustChange(act="anchor-steal"),
        TrustChange(act="anchor-add", thing="no digest"),
    ],
)
def test_an_entry_that_cannot_be_is_our_own_fault(change: TrustChange) -> None:
    with pytest.raises(OurFault, match="log entry") as caught:
        entry(change)
    assert caught.value.code == "ledger-leaf-invalid"
    assert "no digest" not in str(caught.value)


def test_a_change_is_completed_by_what_came_to_be_known() -> None:
    begun = TrustChange(act="list-apply", thing=DIGEST, private={"url": "https://list.example"})
    more = TrustChange(act="list-apply", version=4, counts={"added": 2}, private={"changes": []})
    made = completed(begun, more)
    assert (made.thing, made.version, made.counts) == (DIGEST, 4, {"added": 2})
    assert made.private == {"url": "https://list.example", "changes": []}
    with pytest.raises(ValueError, match="key-pin"):
        completed(begun, TrustChange(act="key-pin"))


def test_a_sentence_counts_one_thing_as_one_and_ends_where_nothing_follows() -> None:
    fields, _ = entry(TrustChange(act="packet-export", counts={"entries": 1}, thing=DIGEST))
    assert "A packet of 1 entry was taken out" in (sentence(fields) or "")
    fields, _ = entry(TrustChange(act="packet-export", counts={"entries": 21}, thing=DIGEST))
    assert "A packet of 21 entries was taken out" in (sentence(fields) or "")
    fields, _ = entry(TrustChange(act="anchor-take", thing=DIGEST))
    assert sentence(fields) == f"The running node accepts what the CA {DIGEST[:16]} vouches for."
