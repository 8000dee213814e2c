"""The query plans of every filter on both engines: the index behind each, read in order."""

from __future__ import annotations

import re
from dataclasses import fields

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.dialects import postgresql, sqlite

from node.ledger.filter import LedgerFilter, Term
from node.ledger.filter_sql import Cursor, statement
from node.ledger.leaf import Kind
from node.ledger.private import LedgerKey
from node.ledger.qualifiers import QUALIFIERS
from node.model import Direction, Outcome, PatientId
from tests.ledger.records import PATIENT, START, USER, new_id

PLANS: dict[str, tuple[object, str]] = {
    "since": (START, "ix_ledger_entry_time"),
    "until": (START, "ix_ledger_entry_time"),
    **{
        QUALIFIERS[name].field: (value, QUALIFIERS[name].index)
        for name, value in {
            "peer": "urn:oid:2.999.1",
            "kind": Kind.CERT,
            "act": "anchor-add",
            "transaction": "ITI-38",
            "outcome": Outcome.DECLINED,
            "direction": Direction.RESPONDING,
            "purpose": "T-IAS",
            "reason": "timeout",
            "mark": "tls-problem",
            "exchange": new_id(),
            "case": "2026-0001",
            "message": f"urn:uuid:{new_id()}",
            "relates-to": f"urn:uuid:{new_id()}",
            "patient": PATIENT,
            "user": USER,
            "document": "doc",
        }.items()
    },
}
"""A value of each field, and the index that its qualifier names."""

ROWS = {"token": "ledger_token", "mark": "leg_mark"}
"""Tables of rows whose key is a value and the order of the log, by the index that is named."""

OTHERS = {
    "peer": "urn:oid:2.999.2",
    "kind": Kind.DIRECTORY,
    "act": "key-pin",
    "transaction": "ITI-55",
    "outcome": Outcome.FAILED,
    "direction": Direction.INITIATING,
    "purpose": "T-TRTMNT",
    "reason": "peer-suspended",
    "mark": "deviation",
    "exchange_id": new_id(),
    "case": "2026-0002",
    "message_id": f"urn:uuid:{new_id()}",
    "relates_to": f"urn:uuid:{new_id()}",
    "patient": PatientId(assigning_authority="2.999.7", id="p1"),
    "user": "another",
    "document": "another",
}
"""A second value of each."""


def test_each_field_of_the_filter_has_a_plan_to_check() -> None:
    assert {field.name for field in fields(LedgerFilter)} == set(PLANS)
    assert set(OTHERS) | {"since", "until"} == set(PLANS)


ORDERED = [name for name in PLANS if name != "case"]
"""Fields whose index is in the order of time; the entries of a case are looked up and sorted."""


@pytest.mark.parametrize("paged", [False, True])
@pytest.mark.parametrize("name", [None, *ORDERED])
def test_every_filter_reads_its_page_from_an_index(
    store: Engine, key: LedgerKey, name: str | None, paged: bool
) -> None:
    value, index = PLANS[name] if name else (None, "ix_ledger_entry_time")
    chosen = LedgerFilter(**{name: value}) if name else LedgerFilter()  # type: ignore[arg-type]
    after = Cursor(t=10**12, seq=5) if paged else None
    query = statement(chosen, key, limit=50, after=after)
    if store.dialect.name == "sqlite":
        plan = explain(store, "EXPLAIN QUERY PLAN", query, sqlite.dialect())
        assert "TEMP B-TREE" not in plan, plan
        wanted = f"{ROWS[index]} USING PRIMARY KEY " if index in ROWS else f"USING INDEX {index}"
        assert f" {wanted}" in plan, plan
        assert plan.startswith("SEARCH ") or (name is None and not paged), plan
        assert not paged or "(t,seq)<(?,?)" in plan or "t<" in plan, plan
    else:
        plan = explain(store, "EXPLAIN", query, postgresql.dialect())
        assert "Sort" not in plan, plan
        wanted = f"{ROWS[index]}_pkey" if index in ROWS else index
        assert f"using {wanted} " in plan, plan
        assert not paged or re.search(r"Index Cond: .*ROW\(", plan), plan
    assert "SCAN ledger_entry\n" not in plan
    assert "Seq Scan" not in plan


@pytest.mark.parametrize("paged", [False, True])
@pytest.mark.parametrize("name", [*(name for name in OTHERS if name != "case"), "-outcome"])
def test_each_of_several_values_is_an_ordered_read_of_the_index(
    store: Engine, key: LedgerKey, name: str, paged: bool
) -> None:
    if name == "-outcome":
        given: object = Term(none_of=("ok",))
        values, index = len(Outcome) - 1, "ix_ledger_entry_outcome"
    else:
        (one, index), values = PLANS[name], 2
        given = (one, OTHERS[name])
    chosen = LedgerFilter(since=START, **{name.lstrip("-"): given})  # type: ignore[arg-type]
    after = Cursor(t=10**12, seq=5) if paged else None
    plan = plan_of(store, statement(chosen, key, limit=50, after=after))
    if store.dialect.name == "sqlite":
        wanted = f"{ROWS[index]} USING PRIMARY KEY " if index in ROWS else f"INDEX {index} "
        branches = [line for line in plan.splitlines() if f"{wanted}" in line]
        assert len(branches) == values, plan
        assert all(line.startswith("SEARCH ") and "t>?" in line for line in branches), plan
    else:
        wanted = f"{ROWS[index]}_pkey" if index in ROWS else index
        branches = [line for line in plan.splitlines() if f"using {wanted} " in line]
        assert len(branches) == values, plan
        assert "Sort" not in plan.replace("Sort Key", "").split(wanted, 1)[1], plan
    assert "SCAN ledger_entry\n" not in plan
    assert "Seq Scan" not in plan


@pytest.mark.parametrize("paged", [False, True])
@pytest.mark.parametrize("cases", [1, 2])
def test_the_entries_of_a_case_are_looked_up_by_exchange_and_by_number(
    store: Engine, key: LedgerKey, cases: int, paged: bool
) -> None:
    chosen = LedgerFilter(case=tuple(f"2026-{n:04}" for n in range(1, cases + 1)), since=START)
    after = Cursor(t=10**12, seq=5) if paged else None
    plan = plan_of(store, statement(chosen, key, limit=50, after=after))
    index = QUALIFIERS["case"].index
    if store.dialect.name == "sqlite":
        assert plan.count("SEARCH governance_case USING") == 2 * cases, plan
        assert plan.count("SEARCH case_evidence USING PRIMARY KEY (case_id=?)") == cases, plan
        assert plan.count(f"{index} (exchange_id=?") == cases, plan
        assert plan.count("SEARCH case_message USING PRIMARY KEY (case_id=?)") == cases, plan
        assert plan.count("SEARCH ledger_entry USING INTEGER PRIMARY KEY (rowid=?)") >= cases, plan
    else:
        assert plan.count(f"using {index} ") == cases, plan
        assert plan.count("using case_evidence_pkey ") == cases, plan
        assert plan.count("using ledger_entry_pkey ") >= cases, plan
    assert "SCAN ledger_entry\n" not in plan
    assert "Seq Scan on ledger_entry" not in plan


@pytest.mark.parametrize("leading", ["peer", "outcome", "user"])
def test_of_several_conditions_the_index_of_the_leading_one_alone_is_read_in_order(
    store: Engine, key: LedgerKey, leading: str
) -> None:
    chosen = LedgerFilter(peer="2.999.2", outcome=Outcome.OK, user=USER)
    plan = plan_of(store, statement(chosen, key, limit=50, leading=leading))
    index = {"peer": "ix_ledger_entry_peer", "outcome": "ix_ledger_entry_outcome"}.get(leading)
    for other in ("ix_ledger_entry_peer", "ix_ledger_entry_outcome"):
        assert (other in plan) == (other == index), plan
    assert "TEMP B-TREE" not in plan, plan
    assert "Sort" not in plan, plan
    # the token of a condition that does not lead is looked up by its whole key
    looked_up = {"sqlite": "(token=? AND t=? AND seq=?)", "postgresql": "Index Cond: "}
    assert looked_up[store.dialect.name] in plan or leading == "user", plan


def plan_of(engine: Engine, query: object) -> str:
    if engine.dialect.name == "sqlite":
        return explain(engine, "EXPLAIN QUERY PLAN", query, sqlite.dialect())
    return explain(engine, "EXPLAIN", query, postgresql.dialect())


def explain(engine: Engine, word: str, query: object, dialect: object) -> str:
    """The plan of a statement, with its values in place: a plan may depend on them."""
    compiled = query.compile(engine, compile_kwargs={"render_postcompile": True})  # type: ignore[attr-defined]
    with engine.connect() as connection:
        if engine.dialect.name == "postgresql":
            # the tables are empty here: what is asked is whether an index serves, not its price
            connection.execute(text("SET enable_seqscan TO off"))
            connection.execute(text("SET enable_bitmapscan TO off"))
        rows = connection.exec_driver_sql(
            f"{word} {compiled}",
            tuple(compiled.params[name] for name in compiled.positiontup)
            if compiled.positional
            else compiled.params,
        ).all()
    assert dialect
    return "\n".join(str(row[-1]) for row in rows) + "\n"
