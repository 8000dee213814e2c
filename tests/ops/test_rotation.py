"""Switching identities while the node serves (facts pki A4, A11 Rotation): real sockets."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from node.gateway.server import serving
from node.identity import Role, identity_files, network_anchors, tls_identity, version_files
from node.identity_store import begin, changing, note, versions
from node.live_identities import Commit, LiveIdentities, LiveServerContext
from node.peers.pool import open_pool
from node.renewal import check_trial, keep, stage, switch
from node.served_certificate import fingerprint_in_use, served_fingerprint
from node.settings import NodeHome, Settings, load_settings
from node.setup import NewNode, issue_all, make_ca, make_home, profile_of, request_certificate
from trust.ca import CertificateAuthority, create_ca, issue
from trust.certificates import Bundle, fingerprint, load_certificates
from trust.csr import RequestedNames, build_csr, load_csr
from trust.errors import TrustError
from trust.keys import KeyKind, generate_key
from trust.lifecycle import State, Verb
from trust.tls import TlsIdentity, client_context, server_context

RATE = 200
SECONDS = 4.0
SWITCHES = 4


def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture(scope="module")
def ca(tmp_path_factory: pytest.TempPathFactory) -> CertificateAuthority:
    return make_ca(tmp_path_factory.mktemp("ca"), "ca", "Rotation CA", now=now())


@pytest.fixture
def home(tmp_path: Path, ca: CertificateAuthority) -> NodeHome:
    home = NodeHome(tmp_path / "home")
    make_home(
        home,
        NewNode(name="Lake", home_community_id="urn:oid:2.999.71", organization_id="2.999.71"),
        now=now(),
    )
    issue_all(home, load_settings(home), ca, now=now(), kind=KeyKind.P_256)
    return home


@pytest.fixture
def settings(home: NodeHome) -> Settings:
    return load_settings(home)


def renewed(
    home: NodeHome,
    ca: CertificateAuthority,
    *,
    role: Role = Role.SERVER,
    kind: KeyKind = KeyKind.P_256,
) -> int:
    """A new key and its certificate, checked and tried out; the number of its version."""
    settings = load_settings(home)
    files = request_certificate(home, settings, role, kind=kind)
    certificate = issue(ca, load_csr(files.request), profile=profile_of(role), now=now())
    hosts = ("localhost",) if role is Role.SERVER else ()
    staged = stage(home, settings, role, Bundle(leaf=certificate), hosts=hosts, now=now())
    assert staged.verdict.ok, staged
    assert staged.version is not None
    return staged.version


def anchors(home: NodeHome) -> tuple[x509.Certificate, ...]:
    return tuple(anchor.certificate for anchor in network_anchors(home))


@asynccontextmanager
async def gateway(home: NodeHome, settings: Settings):
    """A listener as the composition root makes it; yields (port, identities)."""
    identities = LiveIdentities(home)
    live = LiveServerContext(
        tls_identity(home, settings, Role.SERVER),
        lambda identity: server_context(identity, anchors(home)),
    )

    def prepare() -> Commit:
        check_trial(home, settings, Role.SERVER, host="localhost")
        return live.prepare(tls_identity(home, settings, Role.SERVER))

    identities.hold(Role.SERVER, prepare)

    async def answer(_request: object) -> PlainTextResponse:
        return PlainTextResponse("ok")

    app = Starlette(routes=[Route("/", answer)])
    async with serving(app, "127.0.0.1", 0, live.context) as (_, port):
        yield port, identities


async def ask(port: int, context: ssl.SSLContext) -> str:
    """One handshake and one request; the fingerprint of the certificate that was served."""
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", port, ssl=context, server_hostname="localhost"
    )
    try:
        writer.write(b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
        answer = await reader.read()
        assert answer.endswith(b"ok"), answer
        der = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        return fingerprint(x509.load_der_x509_certificate(der))
    finally:
        writer.transport.abort()


def in_use(home: NodeHome, role: Role = Role.SERVER) -> str:
    found = fingerprint_in_use(home, role)
    assert found is not None
    return found


def caller(home: NodeHome, settings: Settings) -> ssl.SSLContext:
    return client_context(tls_identity(home, settings, Role.CLIENT), anchors(home))


async def test_swap_under_load_fails_no_handshake(home, settings, ca):
    """200 handshakes with a request each second; new keys of both kinds come meanwhile."""
    kinds = [KeyKind.P_256, KeyKind.P_256, KeyKind.RSA_2048, KeyKind.P_256]
    waiting = [renewed_in_turn(home, settings, ca, kind) for kind in kinds]
    served: list[str] = []
    wanted = [in_use(home)]
    async with gateway(home, settings) as (port, identities):
        client, loop = caller(home, settings), asyncio.get_running_loop()
        start, running = loop.time(), set()

        async def one() -> None:
            served.append(await ask(port, client))

        for number in range(int(RATE * SECONDS)):
            await asyncio.sleep(max(0.0, start + number / RATE - loop.time()))
            running.add(loop.create_task(one()))
            if number % (RATE * SECONDS // (SWITCHES + 1)) == 0 and number and waiting:
                version = waiting.pop(0)
                put = await asyncio.to_thread(
                    switch, home, settings, Role.SERVER, version=version, host="localhost",
                    now=now(),
                )  # fmt: skip
                assert put.refusal is None
                assert await identities.check() == (Role.SERVER,)
                wanted.append(in_use(home))
        await asyncio.gather(*running)  # any failed handshake or request raises here
        assert len(served) == RATE * SECONDS
        assert await ask(port, client) == wanted[-1]
    assert not waiting
    assert set(served) == set(wanted)
    assert len(set(wanted)) == SWITCHES + 1


def renewed_in_turn(home, settings, ca, kind) -> int:
    """Several versions that wait side by side: each is requested when none other waits for one."""
    key = generate_key(kind)
    names = RequestedNames(common_name="Lake", dns_names=("localhost",))
    request = build_csr(key, names, usages=Role.SERVER.usages)
    leaf = issue(ca, request, profile=profile_of(Role.SERVER), now=now())
    with changing(home, Role.SERVER, now=now()):
        begin(home, Role.SERVER, key, passphrase=None, now=now())
        record = keep(home, settings, Role.SERVER, Bundle(leaf=leaf), key, now=now())
        note(home, Role.SERVER, record.after(Verb.VERIFY, now=now()), now=now())
    return record.version


async def test_swap_of_the_client_identity_under_load_fails_no_handshake(home, settings, ca):
    """200 handshakes a second from the asking side's pool; its certificate changes meanwhile."""
    version = renewed(home, ca, role=Role.CLIENT)
    shown: list[str] = []

    async def answer(request: Request) -> PlainTextResponse:
        pem = request.scope["extensions"]["tls"]["client_cert_chain"][0]
        shown.append(fingerprint(x509.load_pem_x509_certificate(pem.encode())))
        return PlainTextResponse("ok", headers={"connection": "close"})

    app = Starlette(routes=[Route("/", answer)])
    server = server_context(tls_identity(home, settings, Role.SERVER), anchors(home))
    identities, wanted = LiveIdentities(home), [in_use(home, Role.CLIENT)]
    loop = asyncio.get_running_loop()
    async with (
        serving(app, "127.0.0.1", 0, server) as (_, port),
        open_pool(caller(home, settings)) as session,
    ):

        def prepare() -> Commit:
            check_trial(home, settings, Role.CLIENT)
            fresh = caller(home, settings)
            return lambda: session.connector.use_context(fresh)

        identities.hold(Role.CLIENT, prepare)

        async def one() -> None:
            async with session.get(f"https://localhost:{port}/") as response:
                assert await response.text() == "ok"

        start, running = loop.time(), set()
        for number in range(int(RATE * SECONDS / 2)):
            await asyncio.sleep(max(0.0, start + number / RATE - loop.time()))
            running.add(loop.create_task(one()))
            if number == RATE * SECONDS // 4:
                await asyncio.to_thread(
                    switch, home, settings, Role.CLIENT, version=version, now=now()
                )
                assert await identities.check() == (Role.CLIENT,)
                wanted.append(in_use(home, Role.CLIENT))
        await asyncio.gather(*running)
        await one()
    assert len(shown) == RATE * SECONDS / 2 + 1
    assert set(shown) == set(wanted)
    assert shown[-1] == wanted[-1]
    assert len(set(wanted)) == 2


@pytest.mark.parametrize("kind", [KeyKind.RSA_2048, KeyKind.P_256])
async def test_after_a_switch_no_client_is_served_the_old_certificate(home, settings, ca, kind):
    """A context keeps one certificate for each kind of key: the old one must not linger."""
    version = renewed(home, ca, kind=kind)
    rsa_only, ecdsa_only = caller(home, settings), caller(home, settings)
    for context, suite in ((rsa_only, "RSA"), (ecdsa_only, "ECDSA")):
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers(f"ECDHE-{suite}-AES128-GCM-SHA256")
    async with gateway(home, settings) as (port, identities):
        old = await ask(port, ecdsa_only)
        assert old == in_use(home)
        switch(home, settings, Role.SERVER, version=version, host="localhost", now=now())
        await identities.check()
        fits, other = (rsa_only, ecdsa_only) if kind is KeyKind.RSA_2048 else (ecdsa_only, rsa_only)
        assert await ask(port, fits) == in_use(home) != old
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await ask(port, other)


@pytest.mark.parametrize("kind", [KeyKind.RSA_2048, KeyKind.P_256])
async def test_after_a_switch_clients_of_strangers_are_still_refused(
    home, settings, ca, kind, tmp_path
):
    stranger = NodeHome(tmp_path / "stranger")
    make_home(
        stranger,
        NewNode(name="S", home_community_id="urn:oid:2.999.72", organization_id="2.999.72"),
        now=now(),
    )
    issue_all(stranger, load_settings(stranger), create_ca("Other", now=now()), now=now(),
              kind=KeyKind.P_256)  # fmt: skip
    identity = tls_identity(stranger, load_settings(stranger), Role.CLIENT)
    nobody = client_context(None, anchors(home))
    version = renewed(home, ca, kind=kind)
    async with gateway(home, settings) as (port, identities):
        switch(home, settings, Role.SERVER, version=version, host="localhost", now=now())
        assert await identities.check() == (Role.SERVER,)
        for context in (client_context(identity, anchors(home)), nobody):
            with pytest.raises((ssl.SSLError, ConnectionError, AssertionError)):
                await ask(port, context)


async def test_open_connections_outlive_a_switch(home, settings, ca):
    version = renewed(home, ca)
    async with gateway(home, settings) as (port, identities):
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", port, ssl=caller(home, settings), server_hostname="localhost"
        )
        switch(home, settings, Role.SERVER, version=version, host="localhost", now=now())
        await identities.check()
        writer.write(b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
        assert (await reader.read()).endswith(b"ok")
        writer.transport.abort()


async def test_failing_trial_keeps_the_old(home, settings, ca):
    """A version that cannot be used is refused at the switch; one forced live is not taken."""
    version = renewed(home, ca)
    files = version_files(home, Role.SERVER, version)
    good = files.certificate.read_bytes()
    files.certificate.write_bytes(identity_files(home, Role.CLIENT).certificate.read_bytes())
    before = in_use(home)
    async with gateway(home, settings) as (port, identities):
        with pytest.raises(TrustError, match="key-mismatch"):
            switch(home, settings, Role.SERVER, version=version, host="localhost", now=now())
        assert in_use(home) == before
        assert await identities.check() == ()

        live = home.keys / "server" / "live"
        live.write_text(f"v{version:04}\n")
        assert await identities.check() == ()
        assert identities.refused() == {Role.SERVER}
        assert await ask(port, caller(home, settings)) == before
        assert await served_fingerprint(home, settings, "127.0.0.1", port) == before
        assert in_use(home) != before  # what doctor and the metric tell

        files.certificate.write_bytes(good)
        assert await identities.check() == (Role.SERVER,)
        assert identities.refused() == frozenset()
        assert await served_fingerprint(home, settings, "127.0.0.1", port) == in_use(home)


async def test_a_damaged_live_file_keeps_the_old(home, settings):
    async with gateway(home, settings) as (port, identities):
        before = in_use(home)
        (home.keys / "server" / "live").write_text("v1")
        assert await identities.check() == ()
        assert identities.refused() == {Role.SERVER}
        assert await identities.check() == ()
        assert await ask(port, caller_of_parts(home)) == before


def caller_of_parts(home: NodeHome) -> ssl.SSLContext:
    files = version_files(home, Role.CLIENT, 1)
    identity = TlsIdentity(certificate_file=files.certificate, key_file=files.key)
    return client_context(identity, anchors(home))


async def test_a_certificate_for_another_host_fails_its_trial(home, settings, ca):
    files = request_certificate(home, settings, Role.SERVER, hosts=("other.example",))
    leaf = issue(ca, load_csr(files.request), profile=profile_of(Role.SERVER), now=now())
    staged = stage(home, settings, Role.SERVER, Bundle(leaf=leaf), hosts=(), now=now())
    assert [finding.code for finding in staged.verdict.refusals] == ["host-name-mismatch"]
    assert versions(home, Role.SERVER, now=now())[-1].state is State.STAGED
    put = switch(home, settings, Role.SERVER, host="localhost", now=now())
    assert put.refusal is not None
    assert put.refusal.code == "host-name-mismatch"
    assert load_certificates(identity_files(home, Role.SERVER).certificate)[0] != leaf


async def test_files_brought_from_elsewhere_are_taken_too(home, settings, ca, tmp_path):
    """A secret of Kubernetes, or certbot, replaces plain files: no folder of versions."""
    files = identity_files(home, Role.SERVER)
    parts = {name: getattr(files, name).read_bytes() for name in ("key", "certificate")}
    version = renewed(home, ca)
    newer = version_files(home, Role.SERVER, version)
    later = {name: getattr(newer, name).read_bytes() for name in ("key", "certificate")}
    plain = {"key": home.keys / "server.key", "certificate": home.keys / "server.pem"}
    (home.keys / "server").rename(tmp_path / "elsewhere")
    for name, path in plain.items():
        path.unlink()
        path.touch(mode=0o600)
        path.write_bytes(parts[name])
    async with gateway(home, settings) as (port, identities):
        before = await ask(port, caller(home, settings))
        for name, path in plain.items():
            path.write_bytes(later[name])
        assert await identities.check() == (Role.SERVER,)
        assert await ask(port, caller(home, settings)) == in_use(home) != before
