"""The feed of encounters of an opened node home: taking messages, the listener, the purge."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from typing import Final
from uuid import uuid4

import structlog
from sqlalchemy.exc import SQLAlchemyError

from node.errors import CodedError, SettingsError
from node.gateway.mllp import MllpAnswers, MllpLimits, serving_mllp
from node.governance.access.encounter_import import reading_of
from node.governance.access.encounters import Encounters
from node.governance.access.grants import Grants
from node.governing import is_loopback
from node.identity import Role, tls_identity
from node.ledger.private import load_key
from node.ledger.trust_log import NODE
from node.live_identities import Build, Commit, LiveIdentities, LiveServerContext
from node.live_trust import LiveTrust, TrustView
from node.opened import OpenedHome
from node.wire.hl7v2.ack import OURS, acknowledgement
from node.wire.hl7v2.adt import Header, read_adt
from node.wire.hl7v2.refusals import Refusal, refusal
from node.wire.identifiers import home_community_id
from trust.tls import server_context

_PURGE_EVERY: Final = timedelta(hours=6)
_log = structlog.get_logger(__name__)


def encounters_of(opened: OpenedHome) -> Encounters:
    """The encounters of the home. Raises ``SettingsError`` when the ledger key cannot be read."""
    own = home_community_id(opened.settings.node.home_community_id)
    return Encounters(opened.engine, load_key(opened.home.path), own=own)


def grants_of(opened: OpenedHome) -> Grants:
    """The grants by broken glass. Raises ``SettingsError`` when the ledger key cannot be read."""
    own = home_community_id(opened.settings.node.home_community_id)
    return Grants(opened.engine, load_key(opened.home.path), own=own)


class FeedTaker:
    """Takes messages of the feed, each with an answer; usable from several threads."""

    def __init__(self, opened: OpenedHome) -> None:
        self._encounters = encounters_of(opened)
        self._settings = opened.settings.encounters
        self._reading = reading_of(self._settings)
        self._now = opened.clock.now

    def take(self, data: bytes) -> bytes:
        """Take a message; the answer to it. What it says is durable before that."""
        now = self._now()
        read = read_adt(data, self._reading, now=now, max_bytes=self._settings.message_bytes)
        refused = read.refusal
        try:
            left_out = 0 if refused is None else 1
            self._encounters.take(
                read.events, author=NODE, source="feed", now=now, left_out=left_out
            )
        except (CodedError, SQLAlchemyError) as error:
            code = error.code if isinstance(error, CodedError) else type(error).__name__
            _log.error("encounters.not-taken", code=code)
            refused = OURS
        if refused is not None and refused.ack != "AA" and refused is not OURS:
            _log.warning("encounters.refused", code=refused.code)
        return self._answer(read.header, refused)

    def too_large(self) -> bytes:
        """The answer to a message that is larger than is read."""
        _log.warning("encounters.refused", code="hl7-too-large")
        return self._answer(Header(), refusal("hl7-too-large"))

    def _answer(self, header: Header, refused: Refusal | None) -> bytes:
        return acknowledgement(header, refused, control_id=uuid4().hex[:20], now=self._now())


@asynccontextmanager
async def feeding(
    opened: OpenedHome, identities: LiveIdentities, trust: LiveTrust
) -> AsyncIterator[str | None]:
    """Listen for messages where the settings say so, and purge; yields the address, or ``None``.

    Raises:
        SettingsError: ``settings-invalid`` where other machines would reach it without TLS.
        TrustError, OurFault: when it cannot listen.
    """
    settings = opened.settings.encounters
    taker = FeedTaker(opened)
    async with AsyncExitStack() as stack:
        stack.callback(asyncio.create_task(_purging(opened)).cancel)
        if not settings.host:
            yield None
            return
        if not (settings.tls or settings.allow_plain or is_loopback(settings.host)):
            raise SettingsError(
                "settings-invalid",
                "encounters.host is an address that other machines reach: set encounters.tls, or"
                " encounters.allow_plain where the network itself is protected.",
            )
        live = _tls(opened, identities, trust) if settings.tls else None
        host, port = await stack.enter_async_context(
            serving_mllp(
                MllpAnswers(take=taker.take, too_large=taker.too_large),
                settings.host,
                settings.port,
                live.context if live else None,
                limits=MllpLimits(
                    connections=settings.connections,
                    message_bytes=settings.message_bytes,
                    idle_seconds=settings.idle_seconds,
                ),
                turn_away=opened.turnstile.at("mllp"),
            )
        )
        yield f"{host}:{port}"


def _tls(opened: OpenedHome, identities: LiveIdentities, trust: LiveTrust) -> LiveServerContext:
    """TLS with our server identity, for senders with a certificate of a local client."""
    home, settings = opened.home, opened.settings

    def admitting(view: TrustView) -> Build:
        anchors = tuple(view.clients)
        return lambda identity: server_context(identity, anchors, may_be_empty=True)

    live = LiveServerContext(tls_identity(home, settings, Role.SERVER), admitting(trust.view))

    def prepare() -> Commit:
        return live.prepare(tls_identity(home, settings, Role.SERVER))

    identities.hold(Role.SERVER, prepare)
    trust.hold(lambda view: live.rebuild(admitting(view)))
    return live


async def _purging(opened: OpenedHome) -> None:
    """Delete encounters that are older than they are kept, now and every six hours."""
    while True:
        await asyncio.to_thread(purge, opened)
        await asyncio.sleep(_PURGE_EVERY.total_seconds())


def purge(opened: OpenedHome) -> None:
    """Delete encounters and grants older than they are kept; a failure is in the node's log."""
    keep = timedelta(days=opened.settings.encounters.keep_days)
    try:
        now = opened.clock.now()
        count = encounters_of(opened).purge(keep=keep, author=NODE, now=now)
        grants_of(opened).purge(now - keep)
    except (CodedError, SQLAlchemyError) as error:
        code = error.code if isinstance(error, CodedError) else type(error).__name__
        _log.error("encounters.not-purged", code=code)
        return
    if count:
        _log.info("encounters.purged", count=count)
