"""Two nodes that exchanged know when the other one's TLS certificates end."""

from __future__ import annotations

import pytest
from asking import ask_once
from node_network import Network, Site, now, read_json, serving, until

from node.exchange.ports import Ledger
from node.identity import Role, identity_files
from node.initiating import initiating
from node.ledger.ledger import ExchangeLedger
from node.ledger.private import load_key
from node.live_trust import LiveTrust
from node.opened import opened_home
from node.shown_certificates import ShownCertificates
from trust.certificates import fingerprint, load_certificates

pytestmark = pytest.mark.e2e


def planned(site: Site) -> list[str]:
    rows = read_plan(site)
    return [row["name"] for row in rows if row["kind"] == "shown"]


def read_plan(site: Site) -> list[dict]:
    return read_json(site.cli("cert", "plan", "--json").stdout)


def digits(site: Site, role: Role) -> str:
    return fingerprint(load_certificates(identity_files(site.home, role).certificate)[0])[:8]


async def test_both_sides_know_what_the_other_one_showed(tmp_path):
    network = Network(tmp_path)
    for name in ("asker", "clinic"):
        network.add(name)
    network.join()
    asker, clinic = network.sites["asker"], network.sites["clinic"]
    shown = ShownCertificates(asker.home)
    with serving(clinic), opened_home(asker.home, asker.settings) as opened:
        ledger: Ledger = ExchangeLedger(opened.engine, load_key(asker.home.path), capacity=100)
        trust = LiveTrust(asker.home, now)
        async with initiating(opened, ledger, trust, seen=shown.saw) as initiator:
            for _ in range(2):
                assert (await ask_once(initiator, asker, clinic)).outcome == "ok-empty"
        ledger.close()
        assert shown.write()
        (seen_by_asker,) = planned(asker)
        assert seen_by_asker.endswith(f"tls-server {digits(clinic, Role.SERVER)}")
        (seen_by_clinic,) = until(lambda: planned(clinic), seconds=30)
        assert seen_by_clinic.endswith(f"tls-client {digits(asker, Role.CLIENT)}")
