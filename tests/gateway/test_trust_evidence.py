"""Every entry says why its peer was trusted, or was not (facts pki A6 rule 7)."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from types import SimpleNamespace

import pytest
from crl_world import HARD, SOFT, Crls
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from soap_world import running, their_facts
from test_revoked_peers import Connection, opened
from test_soap_faults import post, signed
from tls_network import network_ca

from node.exchange.ports import Asker, Refusal
from node.peers.assertion import AssertionIssuer
from trust import xml_signing
from trust.certificates import fingerprint
from trust.decision import digest_of
from trust.keys import spki_sha256
from trust.signer import KeySigner
from trust.xmldsig import SignaturePolicy


def evidence(world) -> dict:
    """What the newest entry says, checked against its name."""
    inbound = world.responding.entries[-1][0]
    assert inbound.trust is not None
    assert inbound.trust.digest == digest_of(inbound.trust.body)
    value = json.loads(inbound.trust.body)
    canonical = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    assert canonical.encode() == inbound.trust.body
    return value


@pytest.mark.parametrize("pinned", [True, False], ids=["pinned", "anchor+name"])
async def test_the_decision_names_anchor_path_and_crl(us, them, tmp_path, pinned):
    crls = Crls(tmp_path / "crls", HARD)
    crls.publish()
    async with opened(us, them, crls, pinned=pinned) as world, Connection(world) as connection:
        await connection.ask()
        said = evidence(world)
        first = world.responding.entries[-1][0].trust
        await connection.ask()
        assert world.responding.entries[-1][0].trust is first  # judged once, named twice
        crls.revoke(them.certificate)
        await connection.ask()
        refused = evidence(world)
    root = network_ca().certificate
    assert (said["verdict"], said["method"]) == ("bound", "pinned" if pinned else "anchor+name")
    assert said["key"] == them.pin
    assert {chain["role"] for chain in said["chains"]} >= {"tls", "saml-signer"}
    for chain in said["chains"]:
        assert chain["anchor"] == fingerprint(root)
        assert chain["path"] == [them.pin, spki_sha256(root)]
        assert (chain["policy"], chain["unknown"]) == ("require-crl", "hard")
        (status,) = chain["certificates"]
        (accepted,) = crls.known.shelf
        assert (status["state"], status["source"]) == ("good", "crl")
        assert (status["crl_number"], status["freshness"]) == ("1", "fresh")
        assert len(status["crl_digest"]) == len(accepted.crl.digest)
        assert status["crl_made"].endswith("Z")
    assert (refused["verdict"], refused["reason"]) == ("refused", "certificate-revoked")
    assert refused["chains"][0]["certificates"][0]["state"] == "revoked"
    assert refused["chains"][0]["certificates"][0]["crl_number"] == "2"


async def test_what_a_soft_rule_lets_pass_stands_in_the_decision(us, them, tmp_path):
    crls = Crls(tmp_path / "crls", SOFT)
    async with opened(us, them, crls) as world, Connection(world) as connection:
        await connection.ask()
        said = evidence(world)
    assert said["warnings"] == ["crl-missing"]
    assert said["chains"][0]["certificates"][0]["state"] == "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sha1Signer(KeySigner):
    """An old partner's signer."""

    def sign(self, data: bytes) -> bytes:
        return self.key.sign(data, padding.PKCS1v15(), hashes.SHA1())


async def test_a_sha1_exception_is_in_every_entry_that_used_it(us, identities, monkeypatch):
    old = identities("old.example", kind="rsa-2048")
    async with running(us, old, facts=their_facts(old)) as world:
        strict = world.gateway.authenticator.policy(None)
        weak = replace(strict, signature=SignaturePolicy(allow_sha1=True))
        policy = {"now": strict}
        world.use_policy(lambda _entry: policy["now"])
        with monkeypatch.context() as patch:
            patch.setattr(xml_signing, "hashlib", SimpleNamespace(sha256=hashlib.sha1))
            base = "http://www.w3.org/2000/09/xmldsig#"
            patch.setattr(xml_signing, "_signing_uri", lambda _name: base + "rsa-sha1")
            patch.setattr(xml_signing, "_digest_uri", lambda: base + "sha1")
            signer = Sha1Signer(key=old.key, certificate=old.certificate)
            messages = [signed(world, issuer=AssertionIssuer(signer=signer)) for _ in range(2)]
        await post(world, messages[0])
        refused = world.responding.entries[-1][0]
        assert isinstance(refused.asker, Refusal)  # the exception is off unless a profile says so
        assert refused.asker.code == "signature-algorithm"

        policy["now"] = weak
        await post(world, messages[1])
        assert isinstance(world.responding.entries[-1][0].asker, Asker)
        assert "sha1-signature" in world.responding.entries[-1][0].deviations
        assert evidence(world)["exceptions"] == ["sha1-signature"]

        await post(world, messages[1])  # a refusal after the proof says so as well
        again = world.responding.entries[-1][0]
        assert again.asker.code == "replay"
        assert "sha1-signature" in again.deviations
        assert evidence(world)["exceptions"] == ["sha1-signature"]

        await post(world, signed(world))
        assert evidence(world)["exceptions"] == []
        assert "sha1-signature" not in world.responding.entries[-1][0].deviations
