"""`log review`: an item that a case has taken up ends with the case (facts: governance-ux 6.1)."""

from __future__ import annotations

from datetime import UTC, datetime

from ended import Cli

from node.cli.exits import Exit
from node.governance.case_model import Given, Person, Verb
from node.governance.case_rows import Opening
from node.governance.cases import Actor, Cases
from node.ledger import review
from node.ledger.private import load_key
from node.ledger.trust_change import Author
from node.opened import opened_home
from node.settings import NodeHome, load_settings

NOW = datetime.now(UTC)
REASON = "They restored a backup that day."


def test_an_item_of_an_open_case_is_not_resolved_by_itself(home: NodeHome, cli: Cli) -> None:
    ida = Actor(
        person=Person(login="ida", rights=frozenset({"review"})),
        author=Author(by="user", who={"user_id": "ida"}),
    )
    words = ("log", "review", "resolve", 1, "--outcome", "duplicate", "--reason", REASON)
    with opened_home(home, load_settings(home)) as opened:
        found = review.Found(source="reconciliation", kind="lost", peer="urn:oid:2.999.2", seq=1)
        review.open_items(opened.engine, [found], now=NOW)
        cases = Cases(opened.engine, load_key(home.path), own=opened.home_community_id)
        number = cases.open(ida, Opening(kind="lost", text="Why?", items=(1,)), now=NOW)
        refused = cli(*words)
        assert refused.code == Exit.NOT_GOOD
        assert f"Case {number} has item 1" in refused.err
        given = Given(outcome="technical-fault-peer", text=REASON)
        cases.act(str(number), Verb.DISMISS, ida, given, now=NOW)
    (done,) = cli("log", "review", "list", "--state", "resolved", "--json").json
    assert (done["outcome"], done["who"]) == ("technical-fault-peer", "ida")
