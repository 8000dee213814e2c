"""OCSP as the second way: asked out of band, by a real responder (facts pki A6 rule 5)."""

from __future__ import annotations

from datetime import timedelta

import pytest
from aiohttp import web
from ca_site import ca_site, moment
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

from node.ocsp_asker import OcspAsker
from node.ops.metrics import Metrics
from node.settings import NodeHome, RevocationSection
from trust.anchors import add_anchor
from trust.binder import Binder
from trust.binding import OrganizationTrust, PresentedKeys
from trust.ca import create_ca
from trust.live_revocation import LiveRevocations
from trust.revocation_policy import RevocationPolicy, RevocationRule, Unknown

PEER = OrganizationTrust(organization_id="peer", host_names=frozenset({"peer.example"}))


class World:
    """A responder, and a node that trusts its CA."""

    def __init__(self, site, folder, policy=RevocationPolicy.PREFER_CRL_THEN_OCSP):
        self.site, self.home, self.metrics = site, NodeHome(folder), Metrics()
        self.peer = site.issue(crl=False, responder=True)
        self.anchor = add_anchor(
            self.home.anchors, site.authority.certificate, label="CA", network="test",
            now=moment(), revocation=RevocationRule(policy=policy, unknown=Unknown.HARD),
        )  # fmt: skip
        self.shift = timedelta(0)
        self.start()

    def now(self):
        return moment() + self.shift

    def start(self):
        self.known = LiveRevocations(self.home.crls, [self.anchor], now=self.now())
        self.binder = Binder([self.anchor], allow_unpinned=True, revocations=self.known)
        settings = RevocationSection(allow_private_addresses=True, fetch_seconds=5)
        self.asker = OcspAsker(settings, self.known, self.now, self.metrics)

    def bind(self):
        return self.binder.bind(PresentedKeys(tls_leaf=self.peer), PEER, now=self.now())

    def verdict(self):
        return self.bind().reason_code


@pytest.fixture
async def world(tmp_path):
    async with ca_site(create_ca("Site CA", now=moment())) as site:
        yield World(site, tmp_path)


async def test_what_no_crl_answers_is_asked_and_the_answer_is_used_until_it_ends(world):
    assert await world.asker.ask() == 0
    assert world.site.asked == []  # nobody is asked about certificates that nobody showed
    assert world.verdict() == "crl-missing"
    assert world.site.asked == []  # never while a peer waits
    assert await world.asker.ask() == 1
    first = world.bind()
    assert first.ok
    (status,) = first.chains[0].revocation.certificates
    assert (status.source, status.state) == ("ocsp", "good")
    assert world.bind() is first
    assert await world.asker.ask() == 0
    assert world.site.asked == ["ocsp"]
    world.shift = timedelta(minutes=40)  # past the middle of its life: asked again, still used
    assert world.verdict() is None
    world.shift = timedelta(hours=2)
    assert world.verdict() == "crl-missing"


async def test_revoked_by_ocsp_stays_revoked_also_after_a_restart(world):
    world.verdict()
    await world.asker.ask()
    assert world.verdict() is None
    world.shift = timedelta(minutes=40)
    world.verdict()
    world.shift = timedelta(0)
    world.site.status = ocsp.OCSPCertStatus.REVOKED
    assert await world.asker.ask() == 1
    assert world.verdict() == "certificate-revoked"
    world.start()
    assert world.verdict() == "certificate-revoked"
    world.shift = timedelta(days=3)
    assert world.verdict() == "certificate-revoked"


async def test_ocsp_unknown(world):
    world.site.status = ocsp.OCSPCertStatus.UNKNOWN
    world.verdict()
    assert await world.asker.ask() == 0
    assert world.verdict() == "crl-missing"
    assert 'tefca_ocsp_answers_total{outcome="revocation-unknown"} 1.0' in (
        world.metrics.text().decode()
    )


@pytest.mark.parametrize("kind", ["try later", "rubbish", "empty", "status"])
async def test_no_answer_is_asked_for_again_later(world, kind):
    unsuccessful = ocsp.OCSPResponseBuilder.build_unsuccessful
    bodies = {
        "try later": unsuccessful(ocsp.OCSPResponseStatus.TRY_LATER).public_bytes(Encoding.DER),
        "rubbish": b"<html/>",
        "empty": b"",
        "status": b"",
    }

    async def answer(_request):
        return web.Response(body=bodies[kind], status=500 if kind == "status" else 200)

    world.site.answer = answer
    world.verdict()
    assert await world.asker.ask() == 0
    assert await world.asker.ask() == 0
    assert world.site.asked == ["ocsp"]
    assert world.verdict() == "crl-missing"
    world.site.answer = None
    world.shift = timedelta(minutes=2)
    await world.asker.ask()
    assert world.site.asked == ["ocsp", "ocsp"]


async def test_require_crl_asks_no_responder(tmp_path):
    async with ca_site(create_ca("Site CA", now=moment())) as site:
        world = World(site, tmp_path, RevocationPolicy.REQUIRE_CRL)
        assert world.verdict() == "crl-missing"
        assert await world.asker.ask() == 0
        assert site.asked == []
