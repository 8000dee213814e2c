"""Assembles the responding side of an opened node home."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from cryptography import x509
from starlette.types import ASGIApp

from node.exchange.asked import Admission
from node.exchange.individual import IndividualAccess
from node.exchange.ports import Inbox, Ledger, PeerEntry
from node.exchange.receive import DocumentRecipient
from node.exchange.respond import OwnNode, Responder
from node.exchange.served import ServedRecorder
from node.gateway.authentication import Authenticator
from node.gateway.delay import delayed
from node.gateway.kept_replay import kept_replay
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
from node.opened import OpenedHome, fhir_loader, local_records
from node.ops.metrics import Metrics
from node.opt_out_file import OptOutFile
from node.own_entry import address
from node.pairs import ShownPairs
from node.peers.inbox import FileInbox
from node.policy.opt_out import OptOuts
from node.policy.purposes import purpose_register
from node.records.deliveries import LocalDeliveries
from node.settings import LimitsSection, Settings
from node.shown_certificates import Seen
from node.yearly_sealer import Signers
from trust.binder import Binder
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
    own = OwnNode(
        home_community_id=opened.home_community_id,
        organization_name=node.name,
        responds=opened.responds,
        repository_unique_id=node.repository_unique_id,
        quiet_opt_out=settings.policy.quiet_opt_out,
    )
    listed = opt_outs(opened).current
    inbox = FileInbox(
        opened.home.inbox / "delivered",
        opened.home.inbox / "documents",
        max_bytes=settings.limits.document_bytes,
    )
    inbox.sweep()
    responder = Responder(
        own=own,
        records=local_records(opened),
        ledger=ledger,
        directory=opened.peers,
        clock=opened.clock,
        purposes=purpose_register(),
        opt_outs=listed,
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
            repository_unique_id=node.repository_unique_id,
            documents_per_request=settings.limits.documents_per_request,
        ),
        public_url=listen.public_url,
        paths=GatewayPaths(
            discovery=listen.discovery_path,
            query=listen.query_path,
            retrieve=listen.retrieve_path,
            provide=listen.provide_path,
        ),
        limits=MessageLimits(
            body_bytes=settings.limits.request_bytes,
            plain_bytes=2 * settings.limits.request_bytes,
            delivery_bytes=settings.limits.delivery_bytes,
            documents=settings.limits.documents_per_request,
        ),
        metrics=metrics,
        promise=promise,
        receiving=_recipient(opened, ledger, own, inbox, listed),
        inbox=inbox,
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


def _recipient(
    opened: OpenedHome,
    ledger: Ledger,
    own: OwnNode,
    inbox: Inbox,
    listed: Callable[[], OptOuts],
) -> DocumentRecipient:
    """What takes the documents that other communities push to us."""
    records, purposes = local_records(opened), purpose_register()
    return DocumentRecipient(
        admission=Admission(own=own, records=records, purposes=purposes, opt_outs=listed),
        individuals=IndividualAccess(
            tokens=provider_tokens(opened),
            records=records,
            purposes=purposes,
            endpoint=individual_endpoint(opened),
        ),
        deliveries=LocalDeliveries(
            index=opened.index,
            store=opened.content,
            fhir=fhir_loader(opened),
            inbox=inbox,
            clock=opened.clock,
            max_bytes=opened.settings.limits.document_bytes,
        ),
        recorder=ServedRecorder(
            own=own.home_community_id,
            ledger=ledger,
            directory=opened.peers,
            clock=opened.clock,
        ),
        clock=opened.clock,
    )


def connection_limits(limits: LimitsSection) -> ConnectionLimits:
    """What a connection to the gateway may cost."""
    return ConnectionLimits(
        connections=limits.connections,
        of_one_peer=limits.peer_connections,
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
        replay=kept_replay(
            opened.home.replay,
            capacity=settings.trust.replay_cache_entries,
            skew=timedelta(seconds=settings.trust.clock_skew_seconds),
            now=opened.clock.now(),
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
