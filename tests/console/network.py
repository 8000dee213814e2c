"""Peers for the console's tests: directory entries, a suspension, a certificate, an anchor."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from cryptography.hazmat.primitives.serialization import Encoding

from directory.model import Organization, PinUse
from node.crls import import_crl
from node.ledger.trust_change import Author, TrustChange
from node.opened import trust_log
from node.shown_certificates import ShownCertificates
from node.trust_changes import of_anchor
from tests.bench.organizations import organization, rows_of
from tests.console.conftest import Site, peer
from trust.anchors import add_anchor
from trust.ca import Profile, create_ca, issue
from trust.ca_crl import issue_crl
from trust.csr import RequestedNames, build_csr
from trust.keys import KeyKind, generate_key
from trust.usages import Usage

OPERATOR = Author(by="operator", who={"user_id": "t.arnbeck", "name": "T. Arnbeck"})
WHY = "Asks for people it never treats."
NAMES = ("Farrowmere County HIE", "Penbrisk Clinic", "Quillhaven Medical Group", "Corvane Labs")


def entry(number: int, name: str) -> Organization:
    """The directory's entry of ``peer(number)``."""
    made = organization(number)
    hcid = str(peer(number).home_community_id)
    return replace(made, name=name, home_community_ids=(hcid,), managing_organization=None,
                   part_of=None)  # fmt: skip


def fill(site: Site, more: int = 0) -> None:
    """Four named peers (and more): the second suspended; the first one's certificate has ended."""
    opened, now = site.opened, datetime.now(UTC)
    entries = [entry(number, name) for number, name in enumerate(NAMES, 1)]
    entries[2] = replace(entries[2], initiates=frozenset({"T-PYMNT"}), endpoints=())
    entries += [entry(100 + number, f"Further Practice {number:02}") for number in range(more)]
    rows = (row for each in entries for row in rows_of(each))
    opened.directory.import_rows(rows, source="test", now=now)
    trust, local = trust_log(opened, OPERATOR), opened.directory.local
    second = entries[1]
    change = TrustChange(act="peer-suspend", organization_id=second.id,
                         home_community_id=second.home_community_id,
                         private={"reason": WHY})  # fmt: skip
    with trust.change(change):
        local.suspend(second.id, WHY, now=now)
    local.pin(entries[0].id, "ab" * 32, PinUse.TLS, now=now)
    ca = create_ca("Lake CA", now=now - timedelta(days=400))
    anchor = add_anchor(opened.home.anchors, ca.certificate, label="Lake root", network="lake",
                        now=now, uses=(Usage.TLS_SERVER,))  # fmt: skip
    with trust.change(of_anchor("anchor-add", anchor)):
        pass
    names = RequestedNames(common_name="peer", dns_names=("peer.example",))
    request = build_csr(generate_key(KeyKind.P_256), names, usages=(Usage.TLS_SERVER,))
    leaf = issue(ca, request, profile=Profile.TLS_SERVER, now=now - timedelta(days=92),
                 lifetime=timedelta(days=90))  # fmt: skip
    crl = issue_crl(ca, {leaf.serial_number: now}, number=7, now=now)
    import_crl(opened.home, crl.public_bytes(Encoding.DER), (), now=now)
    shown = ShownCertificates(opened.home)
    shown.saw(entries[0].id, entries[0].name, leaf, Usage.TLS_SERVER)
    shown.write()
