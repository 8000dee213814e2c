"""Cost stays flat as the directory grows: every lookup is served by an index (DESIGN section 6)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.dialects import postgresql

from directory import queries
from directory.rows import Row

LOOKUPS = {
    "by_id": queries.by_id("a"),
    "by_hcid": queries.by_identifier("urn:oid:2.999.1", queries.HCID),
    "by_any_identifier": queries.by_identifier("1234567893"),
    "by_host": queries.by_host("gw.example"),
    "by_transaction": queries.by_transaction("ITI-55"),
    "by_pin": queries.by_pin("ab"),
    "children": queries.child_ids("a", 10, None),
    "children_after": queries.child_ids("a", 10, "b"),
    "ids": queries.ids(["a", "b"]),
    "names": queries.named_ids(("medical", "north"), 10, None),
    "names_after": queries.named_ids(("medical",), 10, ("medical", "a")),
    "all_names": queries.named_ids((), 10, ("medical", "a")),
    "findings": queries.findings(
        source="x", severity=None, code=None, resource_id=None, limit=10, after=0
    ),
    "findings_of_a_code": queries.findings(
        source=None, severity=None, code="no-hcid", resource_id=None, limit=10, after=0
    ),
    "findings_of_a_severity": queries.findings(
        source=None, severity="error", code=None, resource_id=None, limit=10, after=0
    ),
    "findings_of_a_resource": queries.findings(
        source=None, severity=None, code=None, resource_id="a", limit=10, after=0
    ),
}


@pytest.fixture
def filled(store, sphd, now):
    rows = (
        Row(resource=sphd.organization(f"o{i}", endpoints=[sphd.endpoint("e")]), where="x")
        for i in range(300)
    )
    store.import_rows(rows, source="x", now=now)
    return store


def plan(engine, statement, *, analyzed):
    sql = statement.compile(engine, compile_kwargs={"literal_binds": True}).string
    with engine.connect() as connection:
        if analyzed:
            connection.exec_driver_sql("ANALYZE")
        rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}").all()
    return [row[3] for row in rows]


@pytest.mark.parametrize("name", LOOKUPS)
def test_every_lookup_uses_an_index(filled, directory_engine, name):
    for line in plan(directory_engine, LOOKUPS[name], analyzed=False):
        assert not line.startswith("SCAN"), line


def test_the_plan_test_can_fail(filled, directory_engine):
    lines = plan(directory_engine, queries.organizations(), analyzed=False)
    assert any(line.startswith("SCAN") for line in lines)


def test_hot_lookups_keep_their_index_when_the_database_knows_its_sizes(filled, directory_engine):
    for name in ("by_id", "by_hcid", "by_pin", "children", "ids"):
        for line in plan(directory_engine, LOOKUPS[name], analyzed=True):
            assert not line.startswith("SCAN directory_organization"), (name, line)


@pytest.mark.parametrize("name", LOOKUPS)
def test_every_lookup_compiles_for_postgresql(name):
    assert "SELECT" in LOOKUPS[name].compile(dialect=postgresql.dialect()).string


@given(st.text(max_size=400))
def test_name_keys_and_words_fit_their_columns(name):
    key = queries.name_key(name)
    assert len(key) <= 200
    assert "\x00" not in key
    words = queries.words_of(name)
    assert len(words) <= 12
    assert all(0 < len(word) <= 40 for word in words)


def test_words_are_folded():
    assert queries.words_of("St. Élise  MEDICAL-Center (élise)") == (
        "st",
        "elise",
        "medical",
        "center",
    )
