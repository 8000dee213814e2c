"""A responding gateway with real wire and trust code over a fake of the use cases."""

from __future__ import annotations

import contextlib
import hashlib
import uuid
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from tls_network import HOST, NodeIdentity, network_ca

from node.errors import OurFault
from node.exchange.ports import Asker, Call, Inbound, OpenDocument, PeerEntry, Refusal
from node.exchange.respond import ServedDocuments
from node.gateway.authentication import Authenticator
from node.gateway.limits import ConnectionLimits, MessageLimits
from node.gateway.responding import GatewayIdentity
from node.gateway.server import serving
from node.gateway.soap_app import Gateway, soap_app
from node.model import (
    Code,
    DeliveryAnswer,
    Demographics,
    DiscoveryAnswer,
    DocumentEntry,
    DocumentRef,
    HomeCommunityId,
    Match,
    MatchStatus,
    PatientId,
    Peer,
    PersonName,
    Principal,
    QueryAnswer,
    RegistryError,
    ResponseStatus,
    Transaction,
)
from node.peers.assertion import AssertionIssuer
from node.peers.pool import open_pool
from node.peers.soap_client import Caller, SoapPeers
from tests.anchors import anchor_of
from tests.sim.network import SimInbox
from trust.binder import Binder
from trust.binding import OrganizationTrust
from trust.bound_chain import Revocations
from trust.replay import ReplayCache
from trust.saml_check import AssertionPolicy
from trust.wssecurity import SecurityPolicy

OUR_HCID = HomeCommunityId("urn:oid:1.3.6.1.4.1.99999.1")
THEIR_HCID = HomeCommunityId("urn:oid:1.3.6.1.4.1.99999.2")
AUTHORITY = "1.3.6.1.4.1.99999.1.1"
REPOSITORY = "1.3.6.1.4.1.99999.1.2"
PURPOSE_SYSTEM = "2.16.840.1.113883.3.7204.1.5.2.1"
SNOMED = "2.16.840.1.113883.6.96"
ALICE = PatientId(assigning_authority=AUTHORITY, id="alice-1")
TREATMENT = frozenset({"T-TRTMNT"})


class TestClock:
    __test__ = False

    def __init__(self) -> None:
        self.shift = timedelta(0)

    def now(self) -> datetime:
        return datetime.now(UTC) + self.shift

    def monotonic(self) -> float:
        return self.now().timestamp()

    def new_id(self) -> str:
        return str(uuid.uuid4())


def entry(organization_id: str, hcid: HomeCommunityId, **fields) -> PeerEntry:
    return PeerEntry(
        organization_id=organization_id,
        home_community_id=hcid,
        name=f"{organization_id} clinic",
        active=True,
        initiates=TREATMENT,
        responds={},
        addresses={},
        **fields,
    )


@dataclass
class Facts:
    """Directory and pins: ``them`` is a community with a department below it."""

    entries: dict[str, PeerEntry]
    parents: dict[str, str]
    trust: dict[str, OrganizationTrust]

    def by_home_community_id(self, hcid):
        found = [e for e in self.entries.values() if e.home_community_id == hcid]
        return next((e for e in found if e.organization_id not in self.parents), None)

    def by_organization_id(self, organization_id):
        return self.entries.get(organization_id)

    def lies_under(self, organization_id, ancestor_id):
        while organization_id != ancestor_id and organization_id in self.parents:
            organization_id = self.parents[organization_id]
        return organization_id == ancestor_id

    def organization_trust(self, entry):
        return self.trust.get(
            entry.organization_id, OrganizationTrust(organization_id=entry.organization_id)
        )


def their_facts(them: NodeIdentity, *, pinned: bool = True, host: str = "") -> Facts:
    return Facts(
        entries={
            "them": entry("them", THEIR_HCID),
            "them-lab": entry("them-lab", THEIR_HCID),
            "elsewhere": entry("elsewhere", HomeCommunityId("urn:oid:1.3.6.1.4.1.99999.7")),
        },
        parents={"them-lab": "them"},
        trust={
            "them": OrganizationTrust(
                organization_id="them",
                pins=frozenset({them.pin}) if pinned else frozenset(),
                host_names=frozenset({host} if host else ()),
            )
        },
    )


@dataclass
class FakeResponding:
    """Use cases from memory: a ledger that is a list, documents that are numbers of bytes."""

    entries: list[tuple[Inbound, bytes]] = field(default_factory=list)
    documents: dict[str, tuple[DocumentEntry, int]] = field(default_factory=dict)
    discovery: DiscoveryAnswer | None = None
    broken: Exception | None = None
    sizes_known: bool = True
    submissions: list = field(default_factory=list)

    def _written(self, inbound: Inbound, wire: bytes) -> bytes:
        if self.broken is not None:
            raise self.broken
        self.entries.append((inbound, wire))
        return wire

    @property
    def reasons(self) -> list[str]:
        return [i.asker.code for i, _ in self.entries if isinstance(i.asker, Refusal)]

    async def discover(self, inbound, query, encode):
        assert isinstance(inbound.asker, Asker)
        family = query.demographics.names[0].family if query.demographics.names else None
        match = Match(
            patient_id=ALICE,
            home_community_id=OUR_HCID,
            demographics=Demographics(
                names=(PersonName(family="Newman", given=("Alice",)),),
                birth_date="19700501",
                sex="F",
            ),
            score=97,
        )
        found = (match,) if family == "Newman" else ()
        answer = self.discovery or DiscoveryAnswer(
            status=MatchStatus.OK if found else MatchStatus.NF, matches=found
        )
        return self._written(inbound, encode(answer))

    async def find(self, inbound, query, encode):
        entries = tuple(e for e, _ in self.documents.values())
        return self._written(inbound, encode(QueryAnswer(documents=entries)))

    async def retrieve(self, inbound, refs, encode):
        held = [
            self.documents[r.document_unique_id]
            for r in refs
            if r.document_unique_id in self.documents
        ]
        missing = tuple(
            RegistryError(code="XDSDocumentUniqueIdError", context=r.document_unique_id)
            for r in refs
            if r.document_unique_id not in self.documents
        )
        opened = [
            OpenDocument(
                entry=e if self.sizes_known else replace(e, size=None), chunks=content(e, size)
            )
            for e, size in held
        ]
        served = ServedDocuments(
            status=ResponseStatus.FAILURE if missing else ResponseStatus.SUCCESS,
            documents=tuple(e for e, _ in held),
            errors=missing,
        )
        return self._written(inbound, encode(served)), opened

    async def take(self, inbound, submission, sink, encode):
        assert isinstance(inbound.asker, Asker)
        self.submissions.append((submission, dict(sink.parts)))
        return self._written(inbound, encode(DeliveryAnswer(status=ResponseStatus.SUCCESS)))

    async def refuse(self, inbound, encode):
        assert isinstance(inbound.asker, Refusal)
        return self._written(inbound, encode(inbound.asker))


def document(unique_id: str, size: int) -> tuple[DocumentEntry, int]:
    return (
        DocumentEntry(
            entry_uuid=f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_OID, unique_id)}",
            unique_id=unique_id,
            repository_unique_id=REPOSITORY,
            home_community_id=OUR_HCID,
            patient_id=ALICE,
            size=size,
            hash="0" * 40,
        ),
        size,
    )


PATTERN = bytes(range(256)) * 256


async def content(entry: DocumentEntry, size: int) -> AsyncIterator[bytes]:
    sent = 0
    while sent < size:
        chunk = PATTERN[: min(len(PATTERN), size - sent)]
        sent += len(chunk)
        yield chunk


def sha256_of(size: int) -> str:
    digest = hashlib.sha256()
    for _ in range(size // len(PATTERN)):
        digest.update(PATTERN)
    digest.update(PATTERN[: size % len(PATTERN)])
    return digest.hexdigest()


@dataclass
class World:
    """A running gateway of ``us`` and a client of ``them``."""

    us: NodeIdentity
    them: NodeIdentity
    facts: Facts
    responding: FakeResponding
    replay: ReplayCache
    clock: TestClock
    gateway: Gateway
    address: tuple[str, int] = ("", 0)
    relay: Relay | None = None
    principal: Principal = field(
        default_factory=lambda: Principal(
            subject_id="Dr Grace Hopper",
            user_id="grace@them.example",
            organization="Them Clinic",
            organization_id="them",
            home_community_id=THEIR_HCID,
            role=Code(code="112247003", scheme=SNOMED, display="Medical doctor"),
            purpose=Code(code="T-TRTMNT", scheme=PURPOSE_SYSTEM, display="Treatment"),
        )
    )

    def use_policy(self, policy) -> None:
        """Demand something else of Security headers from now on."""
        authenticator = replace(self.gateway.authenticator, policy=policy)
        self.gateway = replace(self.gateway, authenticator=authenticator)
        self.relay.app = soap_app(self.gateway)

    def url(self, transaction: Transaction) -> str:
        return f"https://{HOST}:{self.address[1]}{self.gateway.paths.of(transaction)}"

    def peer(self, transaction: Transaction) -> Peer:
        return Peer(
            organization_id="us",
            home_community_id=OUR_HCID,
            name="Us",
            address=self.url(transaction),
        )

    def call(self, **fields) -> Call:
        return Call(
            message_id=f"urn:uuid:{uuid.uuid4()}",
            principal=fields.pop("principal", self.principal),
            timeout=fields.pop("timeout", 20),
            **fields,
        )


def gateway_of(
    us: NodeIdentity,
    facts: Facts,
    responding: FakeResponding,
    *,
    allow_unpinned: bool = False,
    limits: MessageLimits | None = None,
    revocations: Revocations | None = None,
) -> tuple[Gateway, ReplayCache, TestClock]:
    clock, replay = TestClock(), ReplayCache()
    anchors = (anchor_of(network_ca().certificate),)
    gateway = Gateway(
        responding=responding,
        authenticator=Authenticator(
            facts=facts,
            replay=replay,
            binder=Binder(anchors, allow_unpinned=allow_unpinned, revocations=revocations),
            policy=lambda _entry: SecurityPolicy(
                assertion=AssertionPolicy(audiences=frozenset({"*any*"}), require_audience=False)
            ),
        ),
        clock=clock,
        own=GatewayIdentity(
            home_community_id=OUR_HCID,
            organization_name="Us Clinic",
            repository_unique_id=REPOSITORY,
        ),
        public_url=f"https://{HOST}:1",
        limits=limits or MessageLimits(),
        receiving=responding,
        inbox=SimInbox(),
    )
    return gateway, replay, clock


@contextlib.asynccontextmanager
async def running(
    us: NodeIdentity,
    them: NodeIdentity,
    *,
    facts: Facts | None = None,
    allow_unpinned: bool = False,
    limits: MessageLimits | None = None,
    connections: ConnectionLimits | None = None,
    documents: Sequence[tuple[str, int]] = (),
    revocations: Revocations | None = None,
) -> AsyncIterator[World]:
    responding = FakeResponding(documents={name: document(name, size) for name, size in documents})
    facts = facts or their_facts(them)
    gateway, replay, clock = gateway_of(
        us, facts, responding, allow_unpinned=allow_unpinned, limits=limits, revocations=revocations
    )
    world = World(us, them, facts, responding, replay, clock, gateway)
    # The address is known only once the socket is bound; the WSDL must name it.
    async with contextlib.AsyncExitStack() as stack:
        relay = Relay()
        world.address = await stack.enter_async_context(
            serving(
                relay, "127.0.0.1", 0, us.server, limits=connections or ConnectionLimits(stop=1)
            )
        )
        world.gateway = replace(gateway, public_url=f"https://{HOST}:{world.address[1]}")
        audiences = frozenset(world.url(t) for t in Transaction)
        policy = SecurityPolicy(assertion=AssertionPolicy(audiences=audiences))
        world.gateway = replace(
            world.gateway,
            authenticator=replace(gateway.authenticator, policy=lambda _entry: policy),
        )
        relay.app = soap_app(world.gateway)
        world.relay = relay
        yield world


class Relay:
    """An ASGI application that is chosen after the socket is bound."""

    def __init__(self) -> None:
        self.app = None

    async def __call__(self, scope, receive, send):
        if scope["type"] == "lifespan":
            return
        await self.app(scope, receive, send)


@contextlib.asynccontextmanager
async def asking(world: World, **options) -> AsyncIterator[SoapPeers]:
    async with open_pool(world.them.client) as session:
        yield SoapPeers(
            session=session,
            issuer=AssertionIssuer(signer=world.them.signer),
            own=Caller(home_community_id=THEIR_HCID),
            clock=world.clock,
            **options,
        )


def ref(unique_id: str) -> DocumentRef:
    return DocumentRef(
        home_community_id=OUR_HCID,
        repository_unique_id=REPOSITORY,
        document_unique_id=unique_id,
    )


def not_durable() -> OurFault:
    return OurFault("store-not-durable", "The ledger cannot be written.")
