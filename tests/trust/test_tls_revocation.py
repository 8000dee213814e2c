"""Revocation of the peer of a handshake, named after the starred rules (facts pki A11).

OpenSSL is given no CRLs: it would refuse without saying which CRL it used, and take an older one
for a newer. What the handshake shows is judged by ``trust.chain`` and ``trust.revocation`` before
any answer goes out, on both sides alike.
"""

from __future__ import annotations

from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from trust.chain import verify_chain
from trust.crl import AcceptedCrl, parse_crl
from trust.crl_signer import find_signer
from trust.crl_store import CrlShelf
from trust.handshake import MemoryConnection
from trust.keys import save_key
from trust.revocation import judge_revocation
from trust.revocation_policy import RevocationPolicy, RevocationRule
from trust.tls import TlsIdentity, client_context, peer_certificates, server_context
from trust.usages import Usage

HOST = "server.example"
HARD = RevocationRule(policy=RevocationPolicy.REQUIRE_CRL)


@pytest.fixture
def peers(forge, intermediate):
    return {
        "server": forge(HOST, issuer=intermediate),
        "client": forge("client.example", issuer=intermediate),
    }


@pytest.fixture
def connection(tmp_path, peers, intermediate, root):
    """An open connection between the two, over memory."""
    identities = []
    for name, identity in peers.items():
        key, chain = tmp_path / f"{name}.key", tmp_path / f"{name}.pem"
        save_key(key, identity.key)
        certificates = (identity.certificate, intermediate.certificate)
        chain.write_bytes(b"".join(c.public_bytes(Encoding.PEM) for c in certificates))
        identities.append(TlsIdentity(certificate_file=chain, key_file=key))
    anchors = [root.certificate]
    opened = MemoryConnection(
        server_context(identities[0], anchors), client_context(identities[1], anchors), HOST
    )
    assert opened.handshake().ok
    return opened


@pytest.fixture
def seen_path(connection, root, now):
    """The validated path of what one side saw of the other."""

    def seen_path(side):
        usage = Usage.TLS_CLIENT if side == "server" else Usage.TLS_SERVER
        shown = peer_certificates(getattr(connection, side))
        verdict = verify_chain(
            shown.leaf, shown.intermediates, [root.certificate], usage=usage, now=now
        )
        assert verdict.ok
        return verdict.certificates

    return seen_path


@pytest.fixture
def judge(seen_path, sign_crl, intermediate, root, now):
    """What one side says of the other, with these CRLs of the intermediate and the root."""

    def judge(side, lower, upper, *, at=now):
        path = seen_path(side)
        crls = [
            parse_crl(sign_crl(issuer, **given))
            for issuer, given in ((intermediate, lower), (root, upper))
            if given is not None
        ]
        shelf = CrlShelf.of(
            AcceptedCrl(crl=crl, signer=find_signer(crl, path, now=now)) for crl in crls
        )
        return judge_revocation(path, shelf, rule=HARD, now=at).reason_code

    return judge


SIDES = pytest.mark.parametrize("side", ["server", "client"])


def other(side):
    return "client" if side == "server" else "server"


@SIDES
def test_nothing_revoked(judge, side):
    assert judge(side, {}, {}) is None


@SIDES
def test_revoked_leaf(judge, peers, side):
    lower = {"revoked": [peers[other(side)].certificate.serial_number]}
    assert judge(side, lower, {}) == "certificate-revoked"
    assert judge(other(side), lower, {}) is None


@SIDES
def test_revoked_ca(judge, intermediate, side):
    upper = {"revoked": [intermediate.certificate.serial_number]}
    assert judge(side, {}, upper) == "certificate-revoked"


@SIDES
def test_no_crl(judge, side):
    assert judge(side, None, {}) == "crl-missing"
    assert judge(side, {}, None) == "crl-missing"


@SIDES
def test_stale_crl(judge, side, now):
    lower = {"ends": now + timedelta(hours=1)}
    assert judge(side, lower, {}, at=now + timedelta(hours=2)) == "crl-stale"


def test_an_open_connection_is_judged_anew(judge, peers, connection):
    assert judge("server", {}, {}) is None
    revoked = {"number": 2, "revoked": [peers["client"].certificate.serial_number]}
    assert judge("server", revoked, {}) == "certificate-revoked"
    assert connection.server.version() == "TLSv1.3"
