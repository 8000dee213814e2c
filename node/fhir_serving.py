"""Assembles the FHIR side of an opened node home: its authorization server, and what it guards."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from importlib.metadata import version

from starlette.applications import Starlette
from starlette.routing import Route
from starlette.types import ASGIApp

from node.audit_site import audit_site
from node.errors import SettingsError
from node.exchange.fhir_audit import AuditResponder
from node.exchange.fhir_paging import Pages
from node.exchange.fhir_ports import FhirRecords, Grants
from node.exchange.fhir_respond import FhirResponder
from node.exchange.ports import Ledger, PeerEntry
from node.exchange.respond import OwnNode
from node.fhir_apps import app_pages, key_sets
from node.fhir_brokering import NetworkAsking
from node.fhir_trust import FhirTrust, LiveSigner
from node.fhir_upstream import upstream_records
from node.gateway.fhir.app import FhirApp
from node.gateway.fhir.desk import ResourceDesk
from node.gateway.fhir.statement import StatementOfOffer
from node.gateway.oauth.answering import Answering
from node.gateway.oauth.app import OauthEndpoints
from node.gateway.oauth.approvals import Approvals
from node.gateway.oauth.attempt import AuthorizationLog
from node.gateway.oauth.client_keys import ClientKeys
from node.gateway.oauth.grants import TokenGrants
from node.gateway.oauth.guard import Guard
from node.gateway.oauth.id_token import OwnIdTokens
from node.gateway.oauth.metadata import MetadataSigner
from node.gateway.oauth.own import OwnParty
from node.gateway.oauth.patience import Patience
from node.gateway.oauth.proof import ClientRules
from node.gateway.oauth.server import Addresses, AuthorizationServer, ConsentRule, Individuals
from node.gateway.oauth.smart_app import SmartEndpoints
from node.gateway.oauth.store import OauthStore
from node.gateway.server import serving
from node.gateway.turned_away import Throttle
from node.identity import FhirServer, Role, tls_identity
from node.individual_grants import IndividualGrants
from node.individuals import individual_endpoint, provider_tokens
from node.ledger.audit_records import LedgerAudit
from node.ledger.private import load_key
from node.live_identities import LiveIdentities, LiveServerContext
from node.live_trust import LiveTrust
from node.model import Code
from node.network_serving import network_app
from node.opened import OpenedHome
from node.ops.metrics import Metrics
from node.own_entry import own_organization
from node.peer_directory import peer_entry
from node.policy.purposes import purpose_register
from node.policy.scopes import own_offer
from node.records.fhir.source import LocalFhir
from node.responding import connection_limits, opt_outs
from node.settings import Settings
from node.users.store import Users
from node.wire.fhir.capability import capability_statement
from trust.tls import TlsIdentity, browser_context


def authorization_server(
    opened: OpenedHome, ledger: Ledger, trust: FhirTrust, individuals: Individuals | None = None
) -> AuthorizationServer:
    """The authorization server of a node home.

    Raises:
        SettingsError: ``settings-invalid`` for a purpose that is not in force.
    """
    settings = opened.settings
    return AuthorizationServer(
        addresses=Addresses(base_url=settings.fhir.public_url),
        own=own_party(opened),
        rules=ClientRules(
            knowledge=trust.knowledge,
            only_listed=trust.only_listed,
            organization_trust=opened.peers.organization_trust,
            allow_unpinned=settings.trust.allow_unpinned_peers,
            responds=opened.responds,
            register=purpose_register(),
        ),
        peers=opened.peers,
        store=OauthStore(opened.engine),
        approvals=Approvals(opened.engine),
        people=Users(opened.engine, load_key(opened.home.path), opened.clock.now),
        id_tokens=OwnIdTokens(
            LiveSigner(opened.home, settings, FhirServer.SERVER), settings.fhir.public_url
        ),
        log=AuthorizationLog(own=opened.home_community_id, ledger=ledger, clock=opened.clock),
        clock=opened.clock,
        random=secrets.token_bytes,
        offer=own_offer(),
        certifications=settings.fhir.certifications,
        consent=_consent(settings),
        token_life=timedelta(minutes=settings.fhir.token_minutes),
        skew=timedelta(seconds=settings.trust.clock_skew_seconds),
        individuals=individuals,
    )


def own_party(opened: OpenedHome) -> OwnParty:
    """Ourselves, whom our own apps and systems are of.

    Raises:
        SettingsError: ``settings-invalid`` for a purpose that is not in force.
    """
    settings, own = opened.settings, opened.settings.principal
    declared = peer_entry(own_organization(settings, purpose_register()))

    def entry() -> PeerEntry:
        listed = opened.peers.by_organization_id(declared.organization_id)
        # nobody has to vouch to us for ourselves
        return replace(listed or declared, unsigned_refused=False)

    return OwnParty(
        entry=entry,
        name=settings.node.name,
        organization_id=settings.node.organization_id,
        home_community_id=opened.home_community_id,
        role=Code(code=own.role, scheme=own.role_system, display=own.role_display),
    )


def fhir_app(
    opened: OpenedHome,
    ledger: Ledger,
    trust: LiveTrust,
    asking: NetworkAsking,
    records: FhirRecords,
) -> ASGIApp:
    """The application of the FHIR listener; it follows ``trust`` where that changes.

    ``asking`` asks the network for our own systems.

    Raises:
        SettingsError: as ``authorization_server``.
        TrustError: when the network list with its denied keys cannot be read.
    """
    server = authorization_server(
        opened,
        ledger,
        FhirTrust(opened.home, opened.settings, trust),
        individuals=_individuals(opened, records),
    )
    signer = LiveSigner(opened.home, opened.settings, FhirServer.SERVER)
    keys = ClientKeys(key_sets(opened), opened.clock.monotonic)
    answering = Answering(server, patience_of(opened))
    smart = SmartEndpoints(server, answering, keys)
    endpoints = OauthEndpoints(server, MetadataSigner(signer), answering, smart)
    prefix = server.addresses.path
    grants = TokenGrants(Guard(server), opened.peers, server.own, purpose_register().system)
    resources = _resources(opened, ledger, server, grants, records=records)
    network = network_app(opened, ledger, asking, grants, prefix=f"{prefix}/network")
    return Starlette(
        routes=[
            *endpoints.routes(prefix),
            *app_pages(opened, server, answering, records).routes(),
            Route(f"{prefix}/network", endpoint=network),
            Route(f"{prefix}/network/{{path:path}}", endpoint=network),
            Route(prefix or "/", endpoint=resources),
            Route(f"{prefix}/{{path:path}}", endpoint=resources),
        ]
    )


def _individuals(opened: OpenedHome, records: FhirRecords) -> Individuals | None:
    tokens = provider_tokens(opened)
    if tokens is None:
        return None
    return IndividualGrants(
        tokens=tokens,
        records=records,
        opt_outs=opt_outs(opened).current,
        by_endpoint=individual_endpoint(opened) is not None,
    )


def _resources(
    opened: OpenedHome,
    ledger: Ledger,
    server: AuthorizationServer,
    grants: Grants,
    *,
    records: FhirRecords,
) -> FhirApp:
    """The health system's resources behind the base address."""
    node, base_url = opened.settings.node, server.addresses.base_url
    key = load_key(opened.home.path)
    pages = Pages(key.page_key)
    responder = FhirResponder(
        own=OwnNode(
            home_community_id=opened.home_community_id,
            organization_name=node.name,
            responds=opened.responds,
            repository_unique_id=node.repository_unique_id,
        ),
        records=records,
        ledger=ledger,
        directory=opened.peers,
        clock=opened.clock,
        purposes=purpose_register(),
        opt_outs=opt_outs(opened).current,
        pages=pages,
        base_url=base_url,
    )
    audit = AuditResponder(
        responder=responder,
        audit=LedgerAudit(opened.engine, key, audit_site(opened.settings)),
        records=records,
        clock=opened.clock,
        pages=pages,
        base_url=base_url,
    )
    # a patience of its own: who is refused tokens is not who is refused resources
    patience = patience_of(opened)
    return FhirApp(
        desk=ResourceDesk(responder, audit),
        grants=grants,
        capability=StatementOfOffer(
            records.offer,
            lambda offer: capability_statement(
                base_url=base_url, name=node.name, version=version("tefca-node"), types=offer
            ),
        ),
        prefix=server.addresses.path,
        may_cost=lambda address: patience.allows(address, opened.clock.monotonic()),
    )


def patience_of(opened: OpenedHome) -> Patience:
    """What strangers' refusals may cost; those past it are counted for the register."""
    count = opened.turnstile.at("fhir")
    return Patience(spent=lambda: count(Throttle.RATE, None))


@asynccontextmanager
async def serving_fhir(
    opened: OpenedHome,
    ledger: Ledger,
    metrics: Metrics,
    identities: LiveIdentities,
    trust: LiveTrust,
    *,
    asking: NetworkAsking,
) -> AsyncIterator[str]:
    """Serve it on a listener of its own, without client certificates; yields its address.

    FHIR clients are known by what they sign.

    Raises:
        OurFault, SettingsError, TrustError: when it cannot be opened.
    """
    home, settings = opened.home, opened.settings

    def identity() -> TlsIdentity:
        return tls_identity(home, settings, Role.SERVER)

    live = LiveServerContext(identity(), browser_context)
    identities.hold(Role.SERVER, lambda: live.prepare(identity()))
    async with (
        _records(opened, metrics) as records,
        serving(
            fhir_app(opened, ledger, trust, asking, records),
            settings.fhir.host,
            settings.fhir.port,
            live.context,
            limits=connection_limits(settings.limits),
            metrics=metrics,
            turn_away=opened.turnstile.at("fhir"),
        ) as (host, port),
    ):
        yield f"https://{host}:{port}"


@asynccontextmanager
async def _records(opened: OpenedHome, metrics: Metrics) -> AsyncIterator[FhirRecords]:
    """The health system's own FHIR server where the settings name one, else the folder's."""
    if opened.settings.upstream.url:
        async with upstream_records(opened.home, opened.settings, metrics) as records:
            yield records
    else:
        yield LocalFhir(opened.engine, opened.index, opened.content)


def _consent(settings: Settings) -> dict[str, ConsentRule]:
    register = purpose_register()
    for code in settings.fhir.consent:
        if register.by_code(code) is None:
            raise SettingsError("settings-invalid", f"fhir.consent: {code} is no exchange purpose.")
    return {
        code: ConsentRule(policies=policies, form=settings.fhir.consent_form)
        for code, policies in settings.fhir.consent.items()
    }
