"""Changing the anchors while the node serves (facts pki A8 rule 1, A11): real sockets."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from node.gateway.server import serving
from node.identity import Role, network_anchors, tls_identity
from node.live_identities import Build, LiveServerContext
from node.live_trust import LiveTrust, TrustView, ViewChange
from node.settings import NodeHome, load_settings
from node.setup import NewNode, issue_all, make_home
from tests.network_world import NetworkWorld
from trust.anchors import add_anchor, remove_anchor
from trust.ca import CertificateAuthority, create_ca
from trust.certificates import fingerprint
from trust.errors import TrustError
from trust.keys import KeyKind, spki_sha256
from trust.network_list.member import Membership
from trust.tls import client_context, server_context
from trust.trusted_time import keep_trusted_time
from trust.usages import Usage

RATE = 100
SECONDS = 3.0
CHANGES = 6


def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture(scope="module")
def cas() -> dict[str, CertificateAuthority]:
    return {name: create_ca(f"{name} CA", now=now()) for name in ("own", "first", "second")}


def made(folder, ca: CertificateAuthority, oid: str) -> NodeHome:
    home = NodeHome(folder)
    make_home(
        home,
        NewNode(name="N", home_community_id=f"urn:oid:{oid}", organization_id=oid),
        now=now(),
    )
    issue_all(home, load_settings(home), ca, now=now(), kind=KeyKind.P_256)
    return home


@pytest.fixture(scope="module")
def peers(tmp_path_factory, cas) -> dict[str, NodeHome]:
    folder = tmp_path_factory.mktemp("peers")
    return {
        name: made(folder / name, cas[name], f"2.999.8.{number}")
        for number, name in enumerate(("first", "second"))
    }


@pytest.fixture
def home(tmp_path, cas) -> NodeHome:
    """A node under a CA of its own, which trusts the first peer's as well."""
    home = made(tmp_path / "home", cas["own"], "2.999.7")
    trust(home, cas["first"])
    return home


def trust(home: NodeHome, ca: CertificateAuthority) -> None:
    add_anchor(home.anchors, ca.certificate, label="CA", network="test", now=now())


def distrust(home: NodeHome, ca: CertificateAuthority) -> None:
    remove_anchor(home.anchors, fingerprint(ca.certificate))


@asynccontextmanager
async def gateway(home: NodeHome, *, changed=None):
    """A listener that follows the anchors as the composition root's does; (port, live trust)."""
    live_trust = LiveTrust(home, now, changed=changed)

    def admitting(view: TrustView) -> Build:
        return lambda identity: server_context(
            identity, view.certificates(Usage.TLS_CLIENT), may_be_empty=True
        )

    live = LiveServerContext(
        tls_identity(home, load_settings(home), Role.SERVER), admitting(live_trust.view)
    )
    live_trust.hold(lambda view: live.rebuild(admitting(view)))

    async def answer(_request: object) -> PlainTextResponse:
        return PlainTextResponse("ok")

    app = Starlette(routes=[Route("/", answer)])
    async with serving(app, "127.0.0.1", 0, live.context) as (_, port):
        yield port, live_trust


def caller(
    peer: NodeHome,
    cas: dict[str, CertificateAuthority],
    version: ssl.TLSVersion | None = None,
    *,
    sni: bool = True,
) -> ssl.SSLContext:
    identity = tls_identity(peer, load_settings(peer), Role.CLIENT)
    context = client_context(identity, (cas["own"].certificate,))
    if version is not None:
        context.minimum_version = context.maximum_version = version
    if not sni:  # a client that does not say whom it looks for cannot check the name either
        context.check_hostname = False
    return context


async def asks(port: int, context: ssl.SSLContext) -> bool:
    """One handshake and one request; ``False`` when TLS refuses it."""
    try:
        reader, writer = await asyncio.open_connection(
            "127.0.0.1",
            port,
            ssl=context,
            server_hostname="localhost" if context.check_hostname else "",
        )
    except (ssl.SSLError, ConnectionError):
        return False
    try:
        writer.write(b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
        # in TLS 1.3 a client hears of its refusal when it reads
        return (await reader.read()).endswith(b"ok")
    except (ssl.SSLError, ConnectionError):
        return False
    finally:
        writer.transport.abort()


VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


@pytest.mark.parametrize("version", VERSIONS, ids=["1.2", "1.3"])
@pytest.mark.parametrize("sni", [True, False], ids=["sni", "no-sni"])
async def test_the_anchors_of_the_new_context_are_those_enforced(home, cas, peers, version, sni):
    """Also where ``sni_callback`` leads to it: verify flags and memory are the listener's."""
    first, second = (caller(peers[n], cas, version, sni=sni) for n in ("first", "second"))
    async with gateway(home) as (port, live):
        assert (await asks(port, first), await asks(port, second)) == (True, False)
        trust(home, cas["second"])
        assert await live.check()
        assert (await asks(port, first), await asks(port, second)) == (True, True)
        distrust(home, cas["first"])
        assert await live.check()
        assert (await asks(port, first), await asks(port, second)) == (False, True)
        trust(home, cas["first"])
        distrust(home, cas["second"])
        assert await live.check()
        assert (await asks(port, first), await asks(port, second)) == (True, False)


@pytest.mark.parametrize("version", VERSIONS, ids=["1.2", "1.3"])
async def test_without_any_anchor_nobody_is_admitted(home, cas, peers, version):
    first = caller(peers["first"], cas, version)
    nobody = client_context(None, (cas["own"].certificate,))
    async with gateway(home) as (port, live):
        for ca in ("own", "first"):
            distrust(home, cas[ca])
        assert await live.check()
        assert live.view.anchors == ()
        assert live.faults() == frozenset()
        assert not await asks(port, first)
        assert not await asks(port, nobody)


async def test_an_anchor_counts_for_its_uses_alone(home, cas, peers):
    distrust(home, cas["first"])
    add_anchor(
        home.anchors, cas["first"].certificate, label="CA", network="test", now=now(),
        uses=(Usage.TLS_SERVER,),
    )  # fmt: skip
    async with gateway(home) as (port, _live):
        assert not await asks(port, caller(peers["first"], cas))


async def test_no_handshake_of_others_fails_during_changes(home, cas, peers):
    """The anchor of one peer comes and goes under the load of another's requests."""
    answers: list[bool] = []
    async with gateway(home) as (port, live):
        client, other = caller(peers["first"], cas), caller(peers["second"], cas)
        loop = asyncio.get_running_loop()
        start, running = loop.time(), set()

        async def one() -> None:
            answers.append(await asks(port, client))

        total = int(RATE * SECONDS)
        changes = 0
        for number in range(total):
            await asyncio.sleep(max(0.0, start + number / RATE - loop.time()))
            running.add(loop.create_task(one()))
            if number % (total // CHANGES) == total // CHANGES // 2:
                present = changes % 2 == 1
                await asyncio.to_thread(distrust if present else trust, home, cas["second"])
                assert await live.check()
                changes += 1
                assert await asks(port, other) is not present
        await asyncio.gather(*running)
    assert changes == CHANGES
    assert answers == [True] * total


async def test_a_signed_list_brings_and_takes_anchors_while_serving(home, cas, peers, tmp_path):
    """Added when the operator approved it, gone at once when the authority denies its key."""
    world = NetworkWorld(tmp_path / "network")
    world.publish()
    workspace = world.publisher.workspace
    member = Membership(home.network)
    async with gateway(home) as (port, live):
        second = caller(peers["second"], cas)
        member.join(str(world.public), world.publisher.root_fingerprint())
        member.sync(now=world.now)
        assert not await live.check()

        pem = cas["second"].certificate.public_bytes(Encoding.PEM)
        (workspace.anchors / "second.pem").write_bytes(pem)
        world.later(hours=1)
        world.publish()
        report = member.sync(now=world.now)
        assert not report.applied
        assert not await live.check()
        assert not await asks(port, second)
        member.approve(report.change.after, now=world.now)
        assert await live.check()
        assert await asks(port, second)
        listed = [anchor for anchor in live.view.anchors if anchor.listed]
        assert [anchor.certificate for anchor in listed] == [cas["second"].certificate]

        world.later(hours=1)
        world.publish()
        assert member.sync(now=world.now).applied  # signed anew, and nothing else
        assert not await live.check()

        world.later(hours=1)
        key = spki_sha256(cas["second"].certificate)
        workspace.deny(key, "stolen", certificate=False, now=world.now)
        world.publish()
        assert member.sync(now=world.now).applied
        assert await live.check()
        assert not await asks(port, second)
        assert await asks(port, caller(peers["first"], cas))


async def test_what_changed_is_told_in_one_place(home, cas):
    told: list[ViewChange] = []
    async with gateway(home, changed=told.append) as (_port, live):
        assert not await live.check()
        trust(home, cas["second"])
        distrust(home, cas["first"])
        assert await live.check()
        assert not await live.check()
    (change,) = told
    assert [a.certificate for a in change.added] == [cas["second"].certificate]
    assert [a.certificate for a in change.removed] == [cas["first"].certificate]


async def test_what_cannot_be_read_changes_nothing_until_it_can(home, cas, peers):
    async with gateway(home) as (port, live):
        before = live.view
        distrust(home, cas["first"])
        broken = home.anchors / f"{'0' * 64}.pem"
        broken.write_text("not a certificate")
        for _ in range(2):
            assert not await live.check()
            assert live.faults() == {"anchor-invalid"}
        assert live.view == before
        assert await asks(port, caller(peers["first"], cas))
        broken.unlink()
        assert await live.check()
        assert live.faults() == frozenset()
        assert not await asks(port, caller(peers["first"], cas))


async def test_a_holder_that_fails_stays_behind_alone_and_is_asked_again(home, cas):
    live, taken, fails = LiveTrust(home, now), [], [True]

    def failing(view: TrustView):
        if fails[0]:
            raise TrustError("tls-identity-invalid", "No.")
        return lambda: taken.append(("failing", view))

    live.hold(failing)
    live.hold(lambda view: lambda: taken.append(("other", view)))
    distrust(home, cas["first"])
    assert await live.check()
    assert [name for name, _ in taken] == ["other"]
    assert live.faults() == {"tls-identity-invalid"}
    fails[0] = False
    assert not await live.check()
    assert [name for name, _ in taken] == ["other", "failing", "other"]
    assert live.faults() == frozenset()
    assert live.view.anchors == network_anchors(home)


def test_a_node_that_cannot_read_whom_it_trusts_does_not_start(home):
    (home.anchors / f"{'0' * 64}.pem").write_text("not a certificate")
    with pytest.raises(TrustError, match="anchor-invalid"):
        LiveTrust(home, now)


async def test_a_node_does_not_begin_with_a_clock_that_is_behind(home, cas):
    """Nor does it go on: what was signed meanwhile is seen within seconds."""
    keep_trusted_time(home.trusted_time, now() - timedelta(hours=1))
    live = LiveTrust(home, now)
    later = now() + timedelta(hours=1)
    keep_trusted_time(home.trusted_time, later)
    assert not await live.check()
    assert live.trusted == later.replace(microsecond=0)
    with pytest.raises(TrustError, match="clock-behind"):
        LiveTrust(home, now)


async def test_an_anchor_that_leaves_keeps_its_rule_until_all_have_taken_the_view(home, cas):
    """Else its peers would be refused for a missing CRL first, and the log would say so."""
    live = LiveTrust(home, now)
    leaving = cas["first"].certificate
    while_taking: list[bool] = []

    def take(_view: TrustView):
        while_taking.append(leaving in live.revocations.anchors)
        return lambda: while_taking.append(leaving in live.revocations.anchors)

    live.hold(take)
    distrust(home, cas["first"])
    assert await live.check()
    assert while_taking == [True, True]
    assert leaving not in live.revocations.anchors
