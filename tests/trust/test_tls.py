"""Handshakes in memory, named after the starred rules of the checklist (facts pki A11, A9)."""

from __future__ import annotations

import ssl
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from trust.errors import TrustError, error_table
from trust.handshake import MemoryConnection, Side, self_test
from trust.keys import save_key
from trust.tls import (
    TlsIdentity,
    _openssl_table,
    client_context,
    load_identity,
    peer_certificates,
    server_context,
)

HOST = "server.example"


@pytest.fixture
def files(tmp_path):
    """Puts an identity into files as the node home has them."""

    def files(identity, *chain, passphrase=None):
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        folder.mkdir()
        save_key(folder / "key.pem", identity.key, passphrase=passphrase)
        certificates = (identity.certificate, *chain)
        pem = b"".join(c.public_bytes(Encoding.PEM) for c in certificates)
        (folder / "chain.pem").write_bytes(pem)
        return TlsIdentity(
            certificate_file=folder / "chain.pem",
            key_file=folder / "key.pem",
            passphrase=passphrase,
        )

    return files


@pytest.fixture
def server(forge, intermediate):
    return forge(HOST, issuer=intermediate)


@pytest.fixture
def client(forge, intermediate):
    return forge("client.example", issuer=intermediate)


@pytest.fixture
def meet(files, root, intermediate, server, client):
    """Two contexts, each with its identity, both trusting ``root``; defects by argument."""

    def meet(*, server_chain=None, client_chain=None, anchors=None):
        trusted = [root.certificate] if anchors is None else anchors
        served = server_chain or (server, intermediate.certificate)
        shown = client_chain or (client, intermediate.certificate)
        return (
            server_context(files(*served), trusted),
            client_context(files(*shown), trusted),
        )

    return meet


def outcome(contexts, host=HOST):
    verdict = self_test(*contexts, host)
    if verdict.ok:
        return None
    assert verdict.finding.code in error_table("trust")
    assert verdict.finding.sentence
    return verdict.failed_side, verdict.finding.code


def exchange(connection):
    """The server says one byte, so that the client reads whatever follows the handshake."""
    connection.server.write(b"x")
    assert connection.client.read(1) == b"x"


# --- accepted -----------------------------------------------------------------------------------


def test_mutual_tls_with_aead_and_http11(meet):
    verdict = self_test(*meet(), HOST)
    assert verdict.ok
    assert verdict.tls_version == "TLSv1.3"
    assert verdict.alpn == "http/1.1"
    assert not verdict.resumed


def test_tls12_is_the_floor_with_ecdhe_and_aead_only(meet):
    contexts = meet()
    contexts[1].maximum_version = ssl.TLSVersion.TLSv1_2
    verdict = self_test(*contexts, HOST)
    assert verdict.tls_version == "TLSv1.2"
    assert verdict.cipher.startswith("ECDHE-")
    for context in contexts:
        assert context.minimum_version is ssl.TLSVersion.TLSv1_2
        for cipher in context.get_ciphers():
            assert cipher["aead"]
            assert cipher["protocol"] == "TLSv1.3" or cipher["name"].startswith("ECDHE-")


def test_both_sides_can_read_what_the_other_presented(meet, server, client, intermediate):
    connection = MemoryConnection(*meet(), HOST)
    assert connection.handshake().ok
    seen_by_server = peer_certificates(connection.server)
    seen_by_client = peer_certificates(connection.client)
    assert seen_by_server.leaf == client.certificate
    assert seen_by_server.leaf_der == client.certificate.public_bytes(Encoding.DER)
    assert seen_by_server.intermediates == (intermediate.certificate,)
    assert seen_by_client.leaf == server.certificate
    assert seen_by_client.intermediates == (intermediate.certificate,)
    assert not seen_by_server.resumed


def test_what_our_own_ca_issues_works_at_once(files, issue, dev_ca):
    anchors = [dev_ca.certificate]
    one, two = files(issue(HOST)), files(issue("client.example", kind="rsa-2048"))
    assert outcome((server_context(one, anchors), client_context(two, anchors))) is None


def test_an_address_in_the_san_is_a_host_too(files, issue, dev_ca):
    anchors = [dev_ca.certificate]
    one = files(issue("local", dns_names=(), ip_addresses=("127.0.0.1",)))
    contexts = server_context(one, anchors), client_context(files(issue("c.example")), anchors)
    assert outcome(contexts, "127.0.0.1") is None
    assert outcome(contexts, "127.0.0.2") == (Side.CLIENT, "host-name-mismatch")


def test_an_encrypted_key_file_is_opened_by_its_passphrase(files, issue, dev_ca):
    identity = files(issue(HOST), passphrase=b"correct horse")
    anchors = [dev_ca.certificate]
    client = client_context(files(issue("client.example")), anchors)
    assert outcome((server_context(identity, anchors), client)) is None


def test_a_live_context_serves_a_new_certificate_to_new_connections(files, issue, dev_ca):
    anchors = [dev_ca.certificate]
    old, new = issue(HOST, name="old"), issue(HOST, name="new")
    listening = server_context(files(old), anchors)
    calling = client_context(files(issue("client.example")), anchors)
    before = MemoryConnection(listening, calling, HOST)
    assert before.handshake().ok
    load_identity(listening, files(new))
    after = MemoryConnection(listening, calling, HOST)
    assert after.handshake().ok
    assert peer_certificates(after.client).leaf == new.certificate
    assert peer_certificates(before.client).leaf == old.certificate
    exchange(before)


# --- identity -----------------------------------------------------------------------------------


def test_no_client_certificate(meet, root):
    listening, _ = meet()
    calling = client_context(None, [root.certificate])
    assert outcome((listening, calling)) == (Side.SERVER, "client-certificate-missing")


def test_a_connection_without_client_certificate_has_no_peer_certificates(meet, root):
    listening, _ = meet()
    listening.verify_mode = ssl.CERT_NONE
    connection = MemoryConnection(listening, client_context(None, [root.certificate]), HOST)
    assert connection.handshake().ok
    assert peer_certificates(connection.server) is None


def test_unknown_root(meet, forge):
    other = forge("Other Root", ca=True)
    stranger = forge("stranger.example", issuer=other)
    unknown = (stranger, other.certificate)
    assert outcome(meet(client_chain=unknown)) == (Side.SERVER, "anchor-unknown")
    assert outcome(meet(server_chain=unknown), "stranger.example") == (
        Side.CLIENT,
        "anchor-unknown",
    )
    alone = (forge("self.example"),)
    assert outcome(meet(client_chain=alone)) == (Side.SERVER, "anchor-unknown")


def test_the_system_store_is_never_used(meet):
    for context in meet():
        assert context.cert_store_stats()["x509"] == 1


def test_missing_intermediate(meet, client, server):
    assert outcome(meet(client_chain=(client,))) == (Side.SERVER, "chain-incomplete")
    assert outcome(meet(server_chain=(server,))) == (Side.CLIENT, "chain-incomplete")


# --- time ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("starts", "ends", "code"),
    [(-9, -2, "certificate-expired"), (2, 9, "certificate-not-yet-valid")],
)
def test_expired_and_not_yet_valid(meet, forge, intermediate, now, starts, ends, code):
    window = {"starts": now + timedelta(days=starts), "ends": now + timedelta(days=ends)}
    bad = (forge(HOST, issuer=intermediate, **window), intermediate.certificate)
    assert outcome(meet(client_chain=bad)) == (Side.SERVER, code)
    assert outcome(meet(server_chain=bad)) == (Side.CLIENT, code)


def test_expired_intermediate(meet, forge, root, now):
    window = {"starts": now - timedelta(days=9), "ends": now - timedelta(days=2)}
    old = forge("Old Intermediate", ca=True, issuer=root, **window)
    bad = (forge(HOST, issuer=old), old.certificate)
    assert outcome(meet(client_chain=bad)) == (Side.SERVER, "certificate-expired")
    assert outcome(meet(server_chain=bad)) == (Side.CLIENT, "certificate-expired")


# --- names --------------------------------------------------------------------------------------


def test_host_mismatch(meet):
    assert outcome(meet(), "other.example") == (Side.CLIENT, "host-name-mismatch")


def test_cn_only(meet, forge, intermediate):
    for names in ((), (x509.DNSName("other.example"),)):
        bad = (forge(HOST, issuer=intermediate, names=names), intermediate.certificate)
        assert outcome(meet(server_chain=bad)) == (Side.CLIENT, "host-name-mismatch")


# --- usage --------------------------------------------------------------------------------------


def test_wrong_eku_each_side(meet, forge, intermediate):
    server_only = forge(HOST, issuer=intermediate, purposes=("1.3.6.1.5.5.7.3.1",))
    client_only = forge(HOST, issuer=intermediate, purposes=("1.3.6.1.5.5.7.3.2",))
    wrong = "certificate-purpose-wrong"
    above = intermediate.certificate
    assert outcome(meet(client_chain=(server_only, above))) == (Side.SERVER, wrong)
    assert outcome(meet(server_chain=(client_only, above))) == (Side.CLIENT, wrong)
    assert outcome(meet(server_chain=(server_only, above))) is None
    assert outcome(meet(client_chain=(client_only, above))) is None


def test_leaf_as_ca(meet, forge, server, intermediate):
    below = forge("below.example", issuer=server)
    bad = (below, server.certificate, intermediate.certificate)
    side, code = outcome(meet(client_chain=bad))
    assert side is Side.SERVER
    assert code in ("issuer-not-ca", "chain-refused")


def test_path_len_exceeded(meet, forge, intermediate):
    deeper = forge("Too Deep", ca=True, issuer=intermediate)
    bad = (forge("below.example", issuer=deeper), deeper.certificate, intermediate.certificate)
    assert outcome(meet(client_chain=bad)) == (Side.SERVER, "chain-refused")


def test_unknown_critical(meet, forge, intermediate):
    odd = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.99999.1"), b"\x05\x00")
    bad = (
        forge(HOST, issuer=intermediate, extensions=((odd, True),)),
        intermediate.certificate,
    )
    assert outcome(meet(client_chain=bad)) == (Side.SERVER, "chain-refused")


# --- protocol -----------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated")
def test_tls_11_refused(meet):
    listening, calling = meet()
    calling.minimum_version = calling.maximum_version = ssl.TLSVersion.TLSv1_1
    calling.set_ciphers("ALL:@SECLEVEL=0")
    assert outcome((listening, calling)) == (Side.SERVER, "tls-version-refused")


def test_cbc_suites_refused(meet):
    listening, calling = meet()
    calling.maximum_version = ssl.TLSVersion.TLSv1_2
    calling.set_ciphers("ECDHE-ECDSA-AES128-SHA256:ECDHE-ECDSA-AES128-SHA")
    assert outcome((listening, calling)) == (Side.SERVER, "tls-cipher-refused")


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_no_session_tickets(meet, version):
    listening, calling = meet()
    calling.maximum_version = version
    calling.options &= ~ssl.OP_NO_TICKET  # this client would take one
    connection = MemoryConnection(listening, calling, HOST)
    assert connection.handshake().ok
    exchange(connection)
    assert not connection.client.session.has_ticket
    assert listening.num_tickets == 0
    assert listening.options & ssl.OP_NO_TICKET


def test_a_tls13_session_is_not_resumed(meet):
    listening, calling = meet()
    calling.options &= ~ssl.OP_NO_TICKET
    first = MemoryConnection(listening, calling, HOST)
    assert first.handshake().ok
    exchange(first)
    second = MemoryConnection(listening, calling, HOST, session=first.client.session)
    verdict = second.handshake()
    assert verdict.ok
    assert not verdict.resumed


def test_a_resumed_tls12_session_still_shows_the_peer(meet, client, intermediate):
    listening, calling = meet()
    calling.maximum_version = ssl.TLSVersion.TLSv1_2
    first = MemoryConnection(listening, calling, HOST)
    assert first.handshake().ok
    second = MemoryConnection(listening, calling, HOST, session=first.client.session)
    verdict = second.handshake()
    seen = peer_certificates(second.server)
    assert seen.resumed == verdict.resumed
    assert seen.leaf == client.certificate
    assert seen.intermediates == (intermediate.certificate,)


def test_no_compression_no_renegotiation(meet):
    for context in meet():
        assert context.options & ssl.OP_NO_COMPRESSION
        assert context.options & ssl.OP_NO_RENEGOTIATION


def test_plain_http_on_the_port_is_named(meet):
    listening, calling = meet()
    connection = MemoryConnection(listening, calling, HOST)
    connection._to_server.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    verdict = connection.handshake()
    assert not verdict.ok
    assert verdict.finding.code == "tls-not-spoken"


# --- our own files ------------------------------------------------------------------------------


def refused(call, *args):
    with pytest.raises(TrustError) as caught:
        call(*args)
    return caught.value.code


def test_our_own_files_fail_with_their_own_reasons(files, issue, dev_ca, make_key, tmp_path):
    anchors = [dev_ca.certificate]
    good = files(issue(HOST))
    locked = files(issue(HOST), passphrase=b"right")

    def changed(identity, **changes):
        fields = ("certificate_file", "key_file", "passphrase")
        return TlsIdentity(**{**{f: getattr(identity, f) for f in fields}, **changes})

    assert refused(server_context, good, []) == "anchors-missing"
    missing = changed(good, certificate_file=tmp_path / "none.pem")
    assert refused(server_context, missing, anchors) == "file-unreadable"
    missing = changed(good, key_file=tmp_path / "none.pem")
    assert refused(server_context, missing, anchors) == "key-file-missing"
    assert refused(server_context, changed(locked, passphrase=None), anchors) == (
        "key-passphrase-missing"
    )
    assert refused(server_context, changed(locked, passphrase=b"wrong"), anchors) == (
        "key-passphrase-wrong"
    )
    save_key(tmp_path / "other.pem", make_key("p-256", "stranger"))
    other = changed(good, key_file=tmp_path / "other.pem")
    assert refused(server_context, other, anchors) == "key-mismatch"
    good.certificate_file.write_bytes(b"junk")
    assert refused(client_context, good, anchors) == "tls-identity-invalid"
    good.key_file.chmod(0o644)
    assert refused(client_context, good, anchors) == "key-file-exposed"


def test_every_reason_of_openssl_has_its_advice():
    codes = {code for table in _openssl_table().values() for code in table.values()}
    assert codes <= error_table("trust").keys()


def test_an_intermediate_may_be_the_anchor(meet, intermediate, server, client):
    contexts = meet(
        anchors=[intermediate.certificate], server_chain=(server,), client_chain=(client,)
    )
    assert outcome(contexts) is None


def test_a_ca_whose_constraints_are_not_critical(meet, forge, root):
    lax = x509.BasicConstraints(ca=True, path_length=0)
    odd = forge("Lax Intermediate", ca=True, issuer=root, extensions=((lax, False),))
    bad = (forge(HOST, issuer=odd), odd.certificate)
    assert outcome(meet(client_chain=bad)) == (Side.SERVER, "chain-refused")
    assert outcome(meet(server_chain=bad)) == (Side.CLIENT, "chain-refused")
