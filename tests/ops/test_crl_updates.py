"""CRLs fetched out of band, from a CA's site over real sockets (facts pki A6 rules 2 to 4)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import pytest
from aiohttp import web
from ca_site import CaSite, ca_site, endless, moment, silent
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

import node.crl_updater as updater_module
from node.crl_updater import CrlUpdater
from node.settings import NodeHome, RevocationSection
from trust.anchors import add_anchor
from trust.binder import Binder
from trust.binding import OrganizationTrust, PresentedKeys
from trust.ca import create_ca
from trust.crl_sources import load_sources
from trust.live_revocation import LiveRevocations
from trust.revocation_policy import RevocationPolicy, RevocationRule, Unknown

HARD = RevocationRule(policy=RevocationPolicy.REQUIRE_CRL, unknown=Unknown.HARD)
PEER = OrganizationTrust(organization_id="peer", host_names=frozenset({"peer.example"}))


@dataclass
class World:
    """A CA's site, a node home that trusts the CA, and one peer's certificate."""

    site: CaSite
    home: NodeHome
    settings: RevocationSection
    peer: x509.Certificate

    def __post_init__(self):
        self.anchor = add_anchor(
            self.home.anchors, self.site.authority.certificate, label="CA", network="test",
            now=moment(), revocation=HARD,
        )  # fmt: skip
        self.start()

    def start(self):
        self.known = LiveRevocations(self.home.crls, [self.anchor], now=moment())
        self.binder = Binder([self.anchor], allow_unpinned=True, revocations=self.known)
        self.updater = CrlUpdater(self.home, self.settings, self.known, moment)

    def verdict(self) -> str | None:
        shown = PresentedKeys(tls_leaf=self.peer)
        return self.binder.bind(shown, PEER, now=moment()).reason_code

    async def fetch(self) -> list[str]:
        return [u.outcome for u in await self.updater.update(everything=True)]

    @property
    def numbers(self) -> list[int]:
        return [accepted.crl.number for accepted in self.known.shelf]


@pytest.fixture
async def world(tmp_path):
    async with ca_site(create_ca("Site CA", now=moment())) as site:
        settings = RevocationSection(allow_private_addresses=True, fetch_seconds=5)
        yield World(site, NodeHome(tmp_path), settings, site.issue())


async def test_a_chain_that_was_accepted_names_the_address_and_nothing_else_is_asked(world):
    world.site.publish()
    assert await world.fetch() == []
    assert world.verdict() == "crl-missing"
    assert await world.fetch() == ["new"]
    assert world.verdict() is None


async def test_revoke_fetch_and_the_remembered_peer_is_refused(world):
    world.site.publish()
    world.verdict()
    await world.fetch()
    assert world.verdict() is None
    world.site.revoked[world.peer.serial_number] = moment()
    world.site.publish()
    assert await world.fetch() == ["new"]
    assert world.verdict() == "certificate-revoked"


async def test_it_is_asked_conditionally_and_only_when_due(world):
    world.site.publish()
    world.verdict()
    assert [u.outcome for u in await world.updater.update()] == ["new"]
    assert await world.updater.update() == []
    assert await world.fetch() == ["same"]
    assert len(world.site.asked) == 2
    assert world.site.asked[1].startswith('"')


async def test_sources_are_known_after_a_restart(world):
    world.site.publish()
    world.verdict()
    await world.fetch()
    world.start()
    assert await world.updater.update() == []
    assert await world.fetch() == ["same"]
    assert load_sources(world.home.crls, []) == {}  # an anchor that is gone takes its sources along


async def test_crl_number_rollback(world):
    world.site.publish(number=7)
    world.verdict()
    await world.fetch()
    world.site.publish(number=6)
    assert await world.fetch() == ["crl-rollback"]
    assert world.numbers == [7]
    assert world.verdict() is None
    world.site.publish(number=8)
    assert await world.fetch() == ["new"]


async def test_a_forged_crl_and_rubbish_change_nothing(world):
    world.site.publish()
    world.verdict()
    await world.fetch()
    other = CaSite(create_ca("Site CA", now=moment()))
    world.site.served = other.publish(number=99)
    assert await world.fetch() in (["crl-issuer-mismatch"], ["crl-signature-invalid"])
    world.site.served = b"<html>maintenance</html>"
    assert await world.fetch() == ["crl-malformed"]
    assert world.numbers == [1]


async def test_huge_crl(world, monkeypatch):
    monkeypatch.setattr(updater_module, "MAX_CRL_BYTES", 200_000)
    world.verdict()
    world.site.answer = endless
    assert await world.fetch() == ["fetch-too-large"]


async def test_a_silent_server_costs_a_limited_time(world):
    world.settings = RevocationSection(allow_private_addresses=True, fetch_seconds=0.3)
    world.start()
    world.verdict()
    world.site.answer = silent
    assert await world.fetch() == ["fetch-failed"]


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::ffff:127.0.0.1]"])
async def test_addresses_inside_are_refused_unless_the_settings_allow_them(world, host):
    world.site.publish()
    world.settings = RevocationSection()
    world.site.url = world.site.url.replace("localhost", host)
    world.peer = world.site.issue()
    world.start()
    world.verdict()
    assert await world.fetch() == ["fetch-address-refused"]
    assert world.site.asked == []


async def test_only_the_hosts_of_the_settings_are_asked(world):
    for hosts, outcome in ((("ca.example",), "fetch-address-refused"), (("localhost",), "new")):
        world.site.publish()
        world.settings = RevocationSection(allow_private_addresses=True, hosts=hosts)
        world.start()
        world.verdict()
        assert await world.fetch() == [outcome]


@pytest.mark.parametrize(
    ("target", "outcome"),
    [("/other.crl", "new"), ("http://127.0.0.1:1/ca.crl", "fetch-redirected"),
     ("file:///etc/passwd", "fetch-redirected")],
)  # fmt: skip
async def test_a_redirect_may_lead_to_the_same_host_alone(world, target, outcome):
    world.site.publish()
    world.verdict()

    async def redirect(request):
        if request.path == "/other.crl":
            return web.Response(body=world.site.served)
        return web.Response(status=302, headers={"Location": target})

    world.site.answer = redirect
    assert await world.fetch() == [outcome]


async def test_a_failed_fetch_is_tried_again_later_and_later(world):
    world.verdict()

    async def broken(_request):
        return web.Response(status=503)

    world.site.answer = broken
    waits = []
    for _ in range(4):
        before = moment()
        (update,) = await world.updater.update(everything=True)
        assert update.outcome == "fetch-status"
        waits.append((update.due - before) / timedelta(minutes=1))
    assert all(low <= wait <= low * 1.21 for low, wait in zip([1, 2, 4, 8], waits, strict=True))


async def test_an_address_of_the_settings_needs_no_chain(world):
    world.site.publish()
    url = f"{world.site.url}/ca.crl"
    world.settings = RevocationSection(allow_private_addresses=True, crl_urls=(url,))
    world.start()
    assert await world.fetch() == ["new"]
    assert world.numbers == [1]


async def test_delta_crls_are_fetched_where_the_base_says(world):
    authority, now = world.site.authority, moment()
    point = x509.DistributionPoint(
        [x509.UniformResourceIdentifier(f"{world.site.url}/delta.crl")], None, None, None
    )
    key_id = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key())

    def signed(number, *extensions, revoked=()):
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(authority.certificate.subject)
            .last_update(now - timedelta(minutes=5))
            .next_update(now + timedelta(days=1))
            .add_extension(x509.CRLNumber(number), critical=False)
            .add_extension(key_id, critical=False)
        )
        for value, critical in extensions:
            builder = builder.add_extension(value, critical=critical)
        for serial in revoked:
            entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(now)
            builder = builder.add_revoked_certificate(entry.build())
        return builder.sign(authority.key, hashes.SHA256()).public_bytes(Encoding.DER)

    base = signed(1, (x509.FreshestCRL([point]), False))
    delta = signed(2, (x509.DeltaCRLIndicator(1), True), revoked=[world.peer.serial_number])

    async def both(request):
        return web.Response(body=delta if "delta" in request.path else base)

    world.site.answer = both
    world.verdict()
    assert await world.fetch() == ["new"]
    assert world.verdict() is None
    assert sorted(await world.fetch()) == ["new", "same"]
    assert world.verdict() == "certificate-revoked"
