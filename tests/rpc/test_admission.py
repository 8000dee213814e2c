"""A client whose anchor is gone gets no further answer, on open channels either: real sockets."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import NameOID
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from node.rpc import admission as module
from node.rpc.admission import Admission
from node.rpc.server import GrpcCredentials, GrpcIdentity, serving_grpc
from protos.tefca_node.v1 import exchange_pb2 as pb
from protos.tefca_node.v1 import exchange_pb2_grpc as pb_grpc
from trust.ca import CertificateAuthority, Profile, create_ca, issue
from trust.certificates import Bundle, parse_certificates
from trust.csr import RequestedNames, build_csr
from trust.keys import KeyKind, generate_key, plain_pem
from trust.usages import Usage

NOW = datetime.now(UTC)
REFUSED = grpc.StatusCode.UNAUTHENTICATED
CHECK = health_pb2.HealthCheckRequest(service="")


@pytest.fixture(scope="module")
def cas():
    made = {name: create_ca(f"{name} CA", now=NOW) for name in ("node", "ehr", "portal")}
    made["root"], made["below root"] = two_levels()
    return made


def two_levels() -> tuple[CertificateAuthority, CertificateAuthority]:
    """A root and a CA below it."""
    made: list[CertificateAuthority] = []
    for level, name in enumerate(("Root", "Below root")):
        key = generate_key(KeyKind.P_256)
        issuer = made[0] if made else None
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        certificate = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer.certificate.subject if issuer else subject)
            .public_key(key.public_key())
            .serial_number(level + 1)
            .not_valid_before(NOW - timedelta(days=1))
            .not_valid_after(NOW + timedelta(days=100))
            .add_extension(x509.BasicConstraints(ca=True, path_length=1 - level), critical=True)
            .add_extension(
                x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False
            )
            .sign(issuer.key if issuer else key, hashes.SHA256())
        )
        made.append(CertificateAuthority(certificate=certificate, key=key))
    return made[0], made[1]


def identity(ca, profile: Profile, *, lifetime=timedelta(days=30)) -> tuple[bytes, bytes]:
    """Key and certificate, PEM."""
    key = generate_key(KeyKind.P_256)
    usage = Usage.TLS_SERVER if profile is Profile.TLS_SERVER else Usage.TLS_CLIENT
    names = RequestedNames(common_name="localhost", dns_names=("localhost",))
    leaf = issue(
        ca, build_csr(key, names, usages=(usage,)), profile=profile, now=NOW, lifetime=lifetime
    )
    return plain_pem(key), Bundle(leaf=leaf).pem()


class Speaking(pb_grpc.ExchangeServicer):
    """One stream says an event whenever it is told to, so that it can be held open."""

    def __init__(self) -> None:
        self.says: asyncio.Queue[None] = asyncio.Queue()
        self.ended = asyncio.Event()

    async def FindPatients(self, request, context):  # noqa: N802
        try:
            while True:
                await self.says.get()
                yield pb.Event(started=pb.LegStarted())
        finally:
            self.ended.set()

    async def FindDocuments(self, request, context):  # noqa: N802
        yield pb.Event(started=pb.LegStarted())


class World:
    """A running service, whose clients' anchors a test changes."""

    def __init__(self, cas) -> None:
        self.cas = cas
        self.now = NOW
        self.anchors = [cas[name].certificate for name in ("ehr", "portal", "root")]
        self.admission = Admission(self.anchors, lambda: self.now)
        self.service = Speaking()
        self.port = 0

    @asynccontextmanager
    async def channel(self, of: str):
        key, chain = identity(self.cas[of], Profile.TLS_CLIENT)
        if of == "below root":
            chain += Bundle(leaf=self.cas[of].certificate).pem()
        trusted = Bundle(leaf=self.cas["node"].certificate).pem()
        credentials = grpc.ssl_channel_credentials(trusted, key, chain)
        async with grpc.aio.secure_channel(f"localhost:{self.port}", credentials) as opened:
            yield opened

    def remove(self, of: str) -> None:
        self.anchors.remove(self.cas[of].certificate)
        self.admission.use(self.anchors)

    def add(self, of: str) -> None:
        self.anchors.append(self.cas[of].certificate)
        self.admission.use(self.anchors)


@pytest.fixture
async def world(cas):
    world = World(cas)
    key, chain = identity(cas["node"], Profile.TLS_SERVER)
    anchors = b"".join(Bundle(leaf=anchor).pem() for anchor in world.anchors)
    credentials = GrpcCredentials(GrpcIdentity(key=key, chain=chain, client_anchors=anchors))
    async with serving_grpc(
        world.service, credentials, world.admission, host="127.0.0.1", port=0
    ) as world.port:
        yield world


async def code_of(call) -> grpc.StatusCode:
    """How a call ends; of a stream, with its first message."""
    try:
        if hasattr(call, "read"):
            await call.read()
        else:
            await call
    except grpc.aio.AioRpcError as error:
        return error.code()
    return grpc.StatusCode.OK


async def checked(channel) -> grpc.StatusCode:
    return await code_of(health_pb2_grpc.HealthStub(channel).Check(CHECK, timeout=10))


async def asked(channel) -> grpc.StatusCode:
    call = pb_grpc.ExchangeStub(channel).FindDocuments(pb.FindDocumentsRequest(), timeout=10)
    return await code_of(call)


async def test_an_open_channel_gets_no_answer_once_its_anchor_is_gone(world):
    async with world.channel("ehr") as ehr, world.channel("portal") as portal:
        for channel in (ehr, portal):
            assert await asked(channel) is grpc.StatusCode.OK
        world.remove("ehr")
        for _ in range(2):
            assert await asked(ehr) is REFUSED
        assert await asked(portal) is grpc.StatusCode.OK
        world.add("ehr")
        assert await asked(ehr) is grpc.StatusCode.OK


async def test_a_client_of_a_ca_below_the_anchor_is_judged_with_what_it_sent(world):
    async with world.channel("below root") as channel:
        assert await asked(channel) is grpc.StatusCode.OK
        world.remove("root")
        assert await asked(channel) is REFUSED


async def test_a_stream_that_was_begun_ends_when_the_anchor_goes(world):
    async with world.channel("ehr") as ehr:
        call = pb_grpc.ExchangeStub(ehr).FindPatients(pb.FindPatientsRequest(), timeout=30)
        world.service.says.put_nowait(None)
        assert (await call.read()).HasField("started")
        world.remove("ehr")
        world.service.says.put_nowait(None)
        assert await code_of(call) is REFUSED
        await asyncio.wait_for(world.service.ended.wait(), 10)


async def test_health_and_reflection_are_refused_as_well(world):
    def questions():
        yield reflection_pb2.ServerReflectionRequest(list_services="")

    async with world.channel("ehr") as ehr:

        async def codes():
            stub, reflection = (
                health_pb2_grpc.HealthStub(ehr),
                reflection_pb2_grpc.ServerReflectionStub(ehr),
            )
            watch = stub.Watch(CHECK, timeout=10)
            told = reflection.ServerReflectionInfo(questions(), timeout=10)
            found = [await code_of(call) for call in (watch, told)]
            watch.cancel()
            return [await checked(ehr), *found]

        assert await codes() == [grpc.StatusCode.OK] * 3
        world.remove("ehr")
        assert await codes() == [REFUSED] * 3


async def test_an_open_channel_ends_with_its_certificate(world):
    async with world.channel("ehr") as ehr:
        assert await checked(ehr) is grpc.StatusCode.OK
        world.now = NOW + timedelta(days=31)
        assert await checked(ehr) is REFUSED


def presented(ca, *above, **more) -> tuple[bytes, ...]:
    leaf = identity(ca, Profile.TLS_CLIENT, **more)[1]
    return (leaf, *(Bundle(leaf=certificate).pem() for certificate in above))


def test_a_verdict_is_remembered_until_the_anchors_change(cas, monkeypatch):
    judged = []
    genuine = module.openssl_refusal
    monkeypatch.setattr(
        module, "openssl_refusal", lambda path, **more: judged.append(path) or genuine(path, **more)
    )
    admission = Admission([cas["ehr"].certificate], lambda: NOW)
    client = presented(cas["ehr"])
    assert [admission.admits(client) for _ in range(5)] == [True] * 5
    assert len(judged) == 1
    admission.use([cas["ehr"].certificate])
    assert admission.admits(client)
    assert len(judged) == 2


def test_what_is_remembered_is_bounded(cas, monkeypatch):
    monkeypatch.setattr(module, "MAX_REMEMBERED", 3)
    admission = Admission([cas["ehr"].certificate], lambda: NOW)
    client = presented(cas["ehr"])
    for number in range(10):
        assert not admission.admits((b"%d" % number,))
        assert len(admission._remembered) <= 3
    assert admission.admits(client)


def test_a_client_may_be_trusted_by_its_own_certificate(cas):
    client = presented(cas["ehr"])
    own = parse_certificates(client[0])[0]
    assert Admission([own], lambda: NOW).admits(client)
    assert not Admission([own], lambda: NOW + timedelta(days=40)).admits(client)
    assert not Admission([own], lambda: NOW).admits(presented(cas["ehr"]))


@pytest.mark.parametrize("shown", [(), (b"",), (b"no certificate",), (b"\x00" * 5000,)])
def test_whoever_shows_no_certificate_is_refused(cas, shown):
    assert not Admission([cas["ehr"].certificate], lambda: NOW).admits(shown)


def test_another_ca_of_the_same_name_does_not_vouch(cas):
    impostor = create_ca("ehr CA", now=NOW)
    admission = Admission([cas["ehr"].certificate], lambda: NOW)
    assert not admission.admits(presented(impostor))
    assert not admission.admits(presented(impostor, impostor.certificate))
    assert not admission.admits(presented(impostor, cas["ehr"].certificate))
