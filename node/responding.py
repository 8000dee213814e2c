"""Assembles the responding side of an opened node home."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from cryptography import x509
from starlette.types import ASGIApp

from node.exchange.ports import Ledger, PeerEntry
from node.exchange.respond import OwnNode, Responder
from node.gateway.authentication import Authenticator
from node.gateway.delay import delayed
from node.gateway.limits import ConnectionLimits, MessageLimits
from node.gateway.log_app import with_log
from node.gateway.pair_app import with_pairs
from node.gateway.responding import GatewayIdentity
from node.gateway.soap_app import Gateway, GatewayPaths, soap_app
from node.gateway.witness_app import with_witness
from node.identity import LogKey, binder_of
from node.individuals import individual_endpoint, provider_tokens
from node.ledger.witness import Witness
from node.live_trust import LiveTrust
from node.log_origin import witness_name
from node.model import Transaction
from node.opened import OpenedHome, local_records
from node.ops.metrics import Metrics
from node.opt_out_file import OptOutFile
from node.own_entry import address
from node.pairs import ShownPairs
from node.policy.purposes import purpose_register
from node.settings import LimitsSection, Settings
from node.shown_certificates import Seen
from node.yearly_sealer import Signers
from trust.binder import Binder
from trust.replay import ReplayCache
from trust.saml_check import AssertionPolicy
from trust.usages import Usage
from trust.wssecurity import SecurityPolicy
from trust.xmldsig import SignaturePolicy


def responding_app(
    opened: OpenedHome,
    ledger: Ledger,
    metrics: Metrics,
    trust: LiveTrust,
    seen: Seen | None = None,
    *,
    promise: Callable[[str], str | None] = lambda _message_id: None,
) -> ASGIApp:
    """The gateway's application; it follows ``trust`` where that changes.

    ``seen`` is told of the certificates with which peers ask; ``promise`` gives the log promise
    for the answer to a message.

    Raises:
        SettingsError: when the opt-out file cannot be read.
        TrustError: when the network list with its denied keys cannot be read.
    """
    settings = opened.settings
    listen, node = settings.listen, settings.node
    responder = Responder(
        own=OwnNode(
            home_community_id=opened.home_community_id,
            organization_name=node.name,
            responds=opened.responds,
            repository_unique_id=node.repository_unique_id,
            quiet_opt_out=settings.policy.quiet_opt_out,
        ),
        records=local_records(opened),
        ledger=ledger,
        directory=opened.peers,
        clock=opened.clock,
        purposes=purpose_register(),
        opt_outs=opt_outs(opened).current,
        id_tokens=provider_tokens(opened),
        individual_endpoint=individual_endpoint(opened),
    )
    binder = binder_of(
        opened.home, settings, trust.view.anchors, trust.revocations, lambda: trust.trusted
    )
    trust.hold(lambda view: lambda: binder.use(view.anchors))
    gateway = Gateway(
        responding=responder,
        authenticator=_authenticator(opened, binder, seen),
        clock=opened.clock,
        own=GatewayIdentity(
            home_community_id=opened.home_community_id,
            organization_name=node.name,
            documents_per_request=settings.limits.documents_per_request,
        ),
        public_url=listen.public_url,
        paths=GatewayPaths(
            discovery=listen.discovery_path,
            query=listen.query_path,
            retrieve=listen.retrieve_path,
        ),
        limits=MessageLimits(
            body_bytes=settings.limits.request_bytes, plain_bytes=2 * settings.limits.request_bytes
        ),
        metrics=metrics,
        promise=promise,
    )
    app = with_log(soap_app(gateway), opened.home.log, frozenset(settings.log.readers))
    witness = Witness(
        opened.engine,
        witness_name(settings),
        Signers(opened, LogKey.WITNESS),
        opened.clock.now,
    )
    app = with_witness(app, witness, metrics)
    app = with_pairs(app, ShownPairs(opened, binder))
    return delayed(app, listen.answer_delay_seconds)


def connection_limits(limits: LimitsSection) -> ConnectionLimits:
    """What a connection to the gateway may cost."""
    return ConnectionLimits(
        connections=limits.connections,
        head=limits.header_seconds,
        idle=limits.idle_seconds,
        age=limits.connection_seconds,
    )


def opt_outs(opened: OpenedHome) -> OptOutFile:
    """The list of those who asked not to share.

    Raises:
        SettingsError: when the file cannot be read.
    """
    name = opened.settings.policy.opt_out_file
    return OptOutFile(opened.home.resolve(name) if name else None)


def _authenticator(opened: OpenedHome, binder: Binder, seen: Seen | None) -> Authenticator:
    settings = opened.settings

    def saw(entry: PeerEntry, leaf: x509.Certificate) -> None:
        if seen is not None:
            seen(entry.organization_id, entry.name, leaf, Usage.TLS_CLIENT)

    return Authenticator(
        facts=opened.peers,
        replay=ReplayCache(
            capacity=settings.trust.replay_cache_entries,
            skew=timedelta(seconds=settings.trust.clock_skew_seconds),
        ),
        binder=binder,
        policy=_security_policy(settings),
        seen=saw,
    )


def _security_policy(settings: Settings) -> Callable[[PeerEntry | None], SecurityPolicy]:
    """What is demanded of a peer's Security header; the peer's profile may bend it."""
    register = purpose_register()
    assertion = AssertionPolicy(
        audiences=frozenset(address(settings, transaction) for transaction in Transaction),
        purposes={register.system: frozenset(register.purposes)},
        skew=timedelta(seconds=settings.trust.clock_skew_seconds),
        one_purpose=settings.trust.refuse_second_purpose,
    )
    strict = SecurityPolicy(assertion=assertion)
    with_sha1 = SecurityPolicy(assertion=assertion, signature=SignaturePolicy(allow_sha1=True))

    def policy(entry: PeerEntry | None) -> SecurityPolicy:
        if entry is not None and entry.quirks.get("accept_sha1_signatures") is True:
            return with_sha1
        return strict

    return policy
