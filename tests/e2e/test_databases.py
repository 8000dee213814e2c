"""A node on PostgreSQL exchanges with a node on SQLite; both sides keep their entries there."""

from __future__ import annotations

from hashlib import sha256

import psycopg
import pytest
from node_network import PERSON, Network, cda, read_json, serving

pytestmark = [pytest.mark.e2e, pytest.mark.postgres]


@pytest.mark.parametrize("on_postgres", ["clinic", "asker"])
def test_either_side_may_be_on_postgresql(tmp_path, postgres_url, on_postgres):
    network = Network(tmp_path)
    storage = f'\n[storage]\ndatabase_url = "{postgres_url}"\n'
    for name in ("asker", "clinic"):
        network.add(name, extra=storage if name == on_postgres else "")
    network.join()
    document = cda(1)
    network.load("clinic", {"one.xml": document})
    asker, clinic = network.sites["asker"], network.sites["clinic"]
    with serving(clinic):
        done = asker.cli(
            "query", "chart", *PERSON, "--purpose", "T-TRTMNT", "--json", "--save", tmp_path / "out"
        )
    assert done.returncode == 0, done.stderr
    told = read_json(done.stdout)
    assert [leg["outcome"] for leg in told["legs"]] == ["ok"] * 3
    assert [d["sha256"] for d in told["documents"]] == [sha256(document).hexdigest()]
    asked, served = asker.ledger(), clinic.ledger()
    assert [e.fields["msg"] for e in asked] == [e.fields["msg"] for e in served]
    with psycopg.connect(postgres_url) as connection:
        (count,) = connection.execute(
            "SELECT count(*) FROM ledger_entry WHERE kind = 'exchange'"
        ).fetchone()
    assert count == 3
    site = network.sites[on_postgres]
    assert not (site.home.path / "node.db").exists()
    shown = site.cli("log", "show", "0", "--json")
    assert shown.returncode == 0, shown.stderr
    assert read_json(shown.stdout)["findings"] == []
