"""Two real nodes compare their logs of a day: what was planted is found, and nothing else.

Exchanges of yesterday are written into both ledgers as each side's writer would have written them;
a peer that omits, invents or misdates is one whose writer did so. Statements, entries, proofs,
connections and processes are real.
"""

from __future__ import annotations

import asyncio
import http.client
import ssl
import uuid
from datetime import timedelta
from urllib.parse import urlsplit

import pytest
from commands import Command
from node_network import Network, Site, now, serving
from planting import NOON, YESTERDAY, Planted

from node.app import Composition
from node.identity import Role, identity_files
from node.ledger.leaf import Kind
from node.model import (
    Outcome,
)

pytestmark = pytest.mark.e2e


@pytest.fixture
def network(tmp_path) -> Network:
    network = Network(tmp_path)
    for name in ("a", "b", "third"):
        network.add(name)
    network.join()
    return network


@pytest.fixture
def planted(network: Network) -> Planted:
    """Good traffic between all three, and at the edges of the day."""
    a, b, third = network.sites.values()
    planted = Planted()
    for n in range(40):
        planted.exchange(a, b, at=NOON + timedelta(seconds=n))
        planted.exchange(b, a, at=NOON + timedelta(seconds=n))
    for _ in range(7):
        planted.exchange(a, third)
        planted.exchange(third, b)
    midnight = NOON + timedelta(hours=12)
    planted.exchange(a, b, at=midnight - timedelta(seconds=1), skew=2)
    planted.exchange(a, b, at=midnight + timedelta(seconds=1), skew=-2)
    planted.exchange(a, b, at=NOON - timedelta(hours=12, seconds=1), skew=2)
    return planted


async def compared(site: Site, peer: Site):
    async with Composition().reconciling(site.home, site.settings) as reconciler:
        return await reconciler.run(reconciler.entry(peer.hcid), YESTERDAY)


async def test_what_was_planted_is_found_with_its_class_and_nothing_else(
    network: Network, planted: Planted
) -> None:
    a, b, third = network.sites.values()
    expected = {
        "omitted-there": [planted.exchange(a, b, served=False) for _ in range(3)],
        "omitted-here": [planted.exchange(b, a, served=False) for _ in range(2)],
        "unasked-there": [planted.exchange(b, a, asked=False)],
        "unasked-here": [planted.exchange(a, b, asked=False) for _ in range(4)],
        "outcome": [planted.exchange(a, b, served_outcome=Outcome.OK_EMPTY)],
        "digest": [planted.exchange(b, a, served_request=b"other")],
        "time": [planted.exchange(a, b, skew=121), planted.exchange(b, a, skew=-500)],
        "unanswered": [
            planted.exchange(a, b, served=False, outcome=Outcome.TIMED_OUT) for _ in range(5)
        ],
        "lost": [
            planted.exchange(a, b, outcome=Outcome.TIMED_OUT, served_outcome=Outcome.OK)
        ],
    }  # fmt: skip
    # a person who opted out: answered as unknown, so the peer must not be told otherwise now
    planted.exchange(
        a, b, outcome=Outcome.OK_EMPTY, served_outcome=Outcome.DECLINED, reason="patient-opted-out"
    )
    await planted.write(a, b, third)
    with serving(b):
        found = await compared(a, b)
        again = await compared(a, b)
    counts = {name: len(messages) for name, messages in expected.items()}
    assert found.counts == {"agree": 40 + 40 + 1 + 1, **counts}
    assert not found.agree
    # each difference names our entry, where we have one
    by_message = {e.fields["msg"]: e.seq for e in a.ledger() if e.fields.get("msg")}
    ours = {"omitted-there", "unasked-there", "outcome", "digest", "time"}
    for name in ours:
        seqs = {each.seq for each in found.listed if each.difference == name}
        assert seqs == {by_message[message] for message in expected[name]}
    assert {e.seq for e in found.listed if e.difference not in ours} == {None}
    # found again, no item is made twice; the statement is the same one, with one entry in each log
    reviewed = sum(counts[n] for n in counts if n not in ("unanswered", "lost"))
    assert (found.new, again.new) == (reviewed, 0)
    assert again.entries == found.entries
    for site, peer in ((a, b), (b, a)):
        (entry,) = [e for e in site.log() if e.fields["kind"] == Kind.RECON]
        assert entry.fields["peer"] == peer.hcid
        assert entry.fields["window"] == YESTERDAY.isoformat()


async def test_two_honest_nodes_agree_and_neither_shows_its_other_partners(
    network: Network, planted: Planted
) -> None:
    a, b, third = network.sites.values()
    await planted.write(a, b, third)
    with serving(a), serving(b):
        found = await compared(b, a)
        assert (found.agree, found.counts["agree"], sum(found.counts.values())) == (True, 82, 82)
        # third parties: 7 exchanges of each with ``third`` are in no statement for the other
        assert found.rows == (83, 83)
        as_third = get(a, third, f"/log/pair/{b.hcid}/statement/{YESTERDAY}")
        assert (as_third.status, as_third.body) == (
            403, b"The certificate is not of this community.\n",
        )  # fmt: skip
        own = get(a, third, f"/log/pair/{third.hcid}/statement/{YESTERDAY}")
        assert (own.status, len(own.body.splitlines())) == (200, 7 + 7)
        tokens = {line.split()[0] for line in own.body.splitlines()[7:]}
        pair = get(a, b, f"/log/pair/{b.hcid}/statement/{YESTERDAY}").body.splitlines()[7:]
        assert len(pair) == 83
        assert not tokens & {line.split()[0] for line in pair}
        # what ``third`` asked ``b`` is shown to ``third`` alone
        asked = [r.leg for r in planted.records["third"] if r.leg.direction == "initiating"]
        message = (asked[0].message_id or "").removeprefix("urn:uuid:")
        assert get(b, third, f"/log/pair/{third.hcid}/entry/{message}").status == 200
        assert get(b, a, f"/log/pair/{a.hcid}/entry/{message}").status == 403
        unknown = get(b, a, f"/log/pair/{a.hcid}/entry/{uuid.uuid4()}")
        assert (unknown.status, unknown.body[:23]) == (404, b"exchange log absence v1")
        for path in (
            f"/log/pair/{b.hcid}/statement/{now().date()}", f"/log/pair/{b.hcid}/",
            f"/log/pair/{b.hcid}/statement/2020-01-01", "/log/pair/urn:oid:2.999/x",
            f"/log/pair/{b.hcid}/statement/2026-13-45",
        ):  # fmt: skip
            assert get(a, b, path).status == 404, path
        assert get(a, b, f"/log/pair/urn:oid:2.999.77/statement/{YESTERDAY}").status == 403


def test_an_operator_sees_differences_and_resolves_them(network: Network, cli: Command) -> None:
    a, b, third = network.sites.values()
    planted = Planted()
    planted.exchange(a, b)
    planted.exchange(a, b, served=False)
    asyncio.run(planted.write(a, b))
    day = ("--window", YESTERDAY)
    with serving(b):
        ended = cli(a, "log", "reconcile", b.oid, *day)
        assert ended.code == 1, ended.err
        assert "omitted-there" in ended.out
        assert "the peer's log does not have it" in ended.out
        agreed = cli(b, "log", "reconcile", a.hcid, *day)
        assert agreed.code == 5, agreed.err  # ``a`` is not running
        assert cli(a, "log", "reconcile", b.oid, "--window", now().date()).code == 3
        assert cli(a, "log", "reconcile", "urn:oid:2.999.77", *day).code == 3
    assert cli(a, "log", "reconcile", third.hcid, *day).code == 5
    (item,) = cli(a, "log", "review", "list", "--json").json
    assert (item["kind"], item["peer"], item["state"]) == ("omitted-there", b.hcid, "open")
    assert item["seq"] == a.ledger()[1].seq
    words = ("log", "review", "resolve", item["id"], "--reason", "They restored a backup.")
    assert cli(a, *words, "--outcome", "nonsense").code == 3
    assert cli(a, *words, "--outcome", "technical-fault-peer").code == 0
    assert cli(a, *words, "--outcome", "technical-fault-peer").code == 1
    assert cli(a, "log", "review", "list", "--json").json == []
    (item,) = cli(a, "log", "review", "list", "--state", "resolved", "--json").json
    assert (item["outcome"], item["reason"]) == ("technical-fault-peer", "They restored a backup.")


def get(site: Site, reader: Site, path: str) -> http.client.HTTPResponse:
    files = identity_files(reader.home, Role.CLIENT)
    (anchor,) = site.home.anchors.glob("*.pem")
    context = ssl.create_default_context(cafile=anchor)
    context.load_cert_chain(files.certificate, files.key)
    address = urlsplit(site.settings.listen.public_url)
    connection = http.client.HTTPSConnection(
        address.hostname or "", address.port, context=context, timeout=30
    )
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        response.body = response.read()  # type: ignore[attr-defined]
        return response
    finally:
        connection.close()
