"""The listeners of a running node: gateway, gRPC, metrics and health, console.

Each opens its socket, follows changes of the identity and the anchors that it stands on, and gives
the address that it is bound to.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.types import ASGIApp

from node.audit_feed.feed import AuditFeed
from node.console.clinic.searching import Network
from node.fhir_brokering import NetworkAsking
from node.gateway.server import serving
from node.governing import is_loopback, serving_console
from node.identity import Role, identity_files, passphrase, tls_identity
from node.live_identities import Build, Commit, LiveIdentities, LiveServerContext
from node.live_trust import LiveTrust, TrustView
from node.model import Code
from node.opened import OpenedHome
from node.ops.endpoints import operations_app
from node.ops.metrics import Metrics
from node.peers.inbox import FileInbox
from node.policy.purposes import purpose_register
from node.renewal import check_trial
from node.responding import connection_limits
from node.rpc.admission import Admission
from node.rpc.server import (
    ExchangeService,
    GrpcCredentials,
    GrpcIdentity,
    OwnOrganization,
    serving_grpc,
)
from node.running_checks import running_checks
from node.setup import own_host
from trust.certificates import Bundle
from trust.keys import load_key, plain_pem
from trust.tls import browser_context, server_context
from trust.usages import Usage


@asynccontextmanager
async def gateway_listener(
    opened: OpenedHome,
    app: ASGIApp,
    metrics: Metrics,
    identities: LiveIdentities,
    trust: LiveTrust,
) -> AsyncIterator[str]:
    """The gateway with mutual TLS. Raises ``TrustError``, ``OurFault``."""
    home, settings = opened.home, opened.settings

    def admitting(view: TrustView, *, may_be_empty: bool) -> Build:
        anchors = view.certificates(Usage.TLS_CLIENT)
        return lambda identity: server_context(identity, anchors, may_be_empty=may_be_empty)

    live = LiveServerContext(
        tls_identity(home, settings, Role.SERVER), admitting(trust.view, may_be_empty=False)
    )

    def prepare() -> Commit:
        check_trial(home, settings, Role.SERVER, host=own_host(settings))
        return live.prepare(tls_identity(home, settings, Role.SERVER))

    identities.hold(Role.SERVER, prepare)
    trust.hold(lambda view: live.rebuild(admitting(view, may_be_empty=True)))
    async with serving(
        app,
        settings.listen.host,
        settings.listen.port,
        live.context,
        limits=connection_limits(settings.limits),
        metrics=metrics,
        turn_away=opened.turnstile.at("gateway"),
    ) as (host, port):
        yield f"https://{host}:{port}"


@asynccontextmanager
async def grpc_listener(
    opened: OpenedHome, asking: NetworkAsking, identities: LiveIdentities, trust: LiveTrust
) -> AsyncIterator[str]:
    """The gRPC service for local clients. Raises ``TrustError``, ``OurFault``."""
    home, settings = opened.home, opened.settings
    principal = settings.principal
    inbox = FileInbox(
        home.inbox / "grpc", home.inbox / "documents", max_bytes=settings.limits.document_bytes
    )
    inbox.sweep()
    service = ExchangeService(
        initiator=asking.initiator,
        broker=asking.broker,
        clock=asking.clock,
        inbox=inbox,
        own=OwnOrganization(
            organization=settings.node.name,
            organization_id=settings.node.organization_id,
            home_community_id=opened.home_community_id,
        ),
        purposes=purpose_register(),
        default_role=Code(
            code=principal.role, scheme=principal.role_system, display=principal.role_display
        ),
        community=opened.index.community,
    )

    def identity(view: TrustView) -> GrpcIdentity:
        files = identity_files(home, Role.SERVER)
        return GrpcIdentity(
            key=plain_pem(load_key(files.key, passphrase=passphrase(settings))),
            chain=files.certificate.read_bytes(),
            client_anchors=b"".join(Bundle(leaf=anchor).pem() for anchor in view.clients),
        )

    credentials = GrpcCredentials(identity(trust.view))

    def take(view: TrustView) -> Commit:
        fresh = identity(view)
        return lambda: credentials.use(fresh)

    identities.hold(Role.SERVER, lambda: take(trust.view))
    trust.hold(take)
    # apart from the credentials: when those cannot be taken, open connections are judged anew still
    admission = Admission(trust.view.clients, opened.clock.now)
    trust.hold(lambda view: lambda: admission.use(view.clients))
    host, port = settings.grpc.host, settings.grpc.port
    async with serving_grpc(service, credentials, admission, host=host, port=port) as port:
        yield f"{host}:{port}"


@asynccontextmanager
async def ops_listener(
    opened: OpenedHome, metrics: Metrics, trust: LiveTrust, feed: AuditFeed | None
) -> AsyncIterator[str]:
    """Metrics and health, plain HTTP. Raises ``OurFault``."""
    settings = opened.settings.ops
    app = operations_app(metrics, running_checks(opened, trust, feed))
    async with serving(app, settings.host, settings.port, None) as (host, port):
        yield f"http://{host}:{port}"


@asynccontextmanager
async def console_listener(
    opened: OpenedHome, asking: NetworkAsking, identities: LiveIdentities
) -> AsyncIterator[str]:
    """The console: plain HTTP for this machine alone, TLS with the server identity otherwise.

    Raises ``TrustError``, ``OurFault``.
    """
    home, settings = opened.home, opened.settings
    own = settings.console
    secure = not is_loopback(own.host)
    context = None
    if secure:
        live = LiveServerContext(tls_identity(home, settings, Role.SERVER), browser_context)
        identities.hold(
            Role.SERVER, lambda: live.prepare(tls_identity(home, settings, Role.SERVER))
        )
        context = live.context
    network = Network(
        initiator=asking.initiator,
        broker=asking.broker,
        clock=asking.clock,
        seconds=settings.asking.discovery_seconds + settings.asking.query_seconds,
    )
    made = serving_console(opened, own.host, own.port, context, network=network)
    async with made as (host, port):
        yield f"{'https' if secure else 'http'}://{host}:{port}"
