"""Whose keys these are: bound by anchor and host name, or by pins, on both sides."""

from __future__ import annotations

import pytest
from asking import discovered
from messages import ask, discovery, new_message_id, response_code
from node_network import HOST, Network, serving, until

from node.model import Transaction

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def network(tmp_path_factory) -> Network:
    """``asker`` and ``clinic`` have hosts of their own; ``ghost`` names the clinic's address."""
    network = Network(tmp_path_factory.mktemp("bindings"))
    network.add("asker", host=HOST)
    clinic = network.add("clinic")
    network.add("ghost", public_url=clinic.settings.listen.public_url)
    return network


@pytest.fixture(scope="module")
def clinic(network):
    network.join(unlisted=("ghost",), unpinned=("asker", "clinic"))
    with serving(network.sites["clinic"]) as running:
        yield running


async def query(network: Network, peer: str) -> tuple[str, str | None]:
    leg = await discovered(network.sites["asker"], network.sites[peer])
    return leg.outcome, leg.reason


async def test_without_pins_the_ca_and_the_host_name_bind_and_the_ledger_says_so(network, clinic):
    assert await query(network, "clinic") == ("ok-empty", None)
    (entry,) = network.sites["clinic"].ledger()
    assert entry.fields["bind"] == "anchor+name"


async def test_a_host_that_unrelated_entries_claim_binds_nobody_until_keys_are_pinned(
    network, clinic
):
    """``ghost`` is listed at the clinic's address: whose certificate is it then?"""
    clinic_site = network.sites["clinic"]
    network.join(unpinned=("asker", "clinic", "ghost"))
    before = len(clinic_site.ledger())
    for peer in ("clinic", "ghost"):
        assert await query(network, peer) == ("failed", "peer-not-bound")
    assert len(clinic_site.ledger()) == before  # nothing was sent over that connection
    network.join()
    assert await query(network, "clinic") == ("ok-empty", None)
    assert await query(network, "ghost") == ("failed", "peer-not-bound")
    assert len(clinic_site.ledger()) == before + 1


def test_a_request_of_a_pinned_peer_is_bound_by_its_pin(network, clinic):
    """Pins that another process writes count within seconds."""
    asker, clinic_site = network.sites["asker"], network.sites["clinic"]
    network.join()

    def binding() -> object:
        message_id = new_message_id()
        body = discovery(asker, target=clinic_site.hcid)
        answer = ask(asker, clinic_site, Transaction.ITI_55, body, message_id=message_id)
        assert response_code(answer) == "NF"
        return clinic_site.entry_of(message_id).fields["bind"]

    until(lambda: binding() == "pinned")
