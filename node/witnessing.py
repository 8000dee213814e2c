"""Has witnesses sign the checkpoints of our log, and asks them at the start what we signed last.

Sealing never waits for a witness, with one exception: before the first pass of a process each is
asked once, for ``log.witness_timeout_seconds`` at most, what we signed last. A node home that was
restored whole from an older copy does not know that, and would sign a second history.

Every ``log.witness_seconds`` those who have not signed the newest checkpoint are asked to. What
they sign is published with it. When fewer sign than ``log.witness_quorum``, the checkpoint stays
published without them, and that is told: in the node's log, its metrics, and by ``doctor``.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Final

import structlog

from node.errors import CodedError, NetworkFault
from node.identity import LogKey
from node.ledger.sealer import verifier_key
from node.ledger.tlog.edge import tree_of
from node.ledger.tlog.note import Note, Signature, VerifierKey
from node.ledger.tlog.witness import AddCheckpoint, cosignatures, parse_size, shown_checkpoint
from node.ledger.witness_peers import (
    WitnessPeer,
    needed,
    note_cosigned,
    note_failed,
    witness_peers,
)
from node.live_identities import LiveIdentities
from node.live_trust import LiveTrust
from node.log_keys import log_signers
from node.log_origin import origin_of
from node.opened import OpenedHome
from node.ops.metrics import Metrics
from node.peer_pool import peer_pool
from node.peers.breaker import BreakerRules, Breakers
from node.peers.pool import PoolLimits
from node.peers.witness_client import WitnessCalls, WitnessClient, WitnessReply, refused
from node.yearly_sealer import Published, YearlySealer, begun_origin, sealed_years, unwitnessed
from trust.lifecycle import State

_log = structlog.get_logger(__name__)

_FIRST: Final = 0.5  # seconds until something was sealed, at the start
_SOON: Final = 5.0
_OURS: Final = (State.ACTIVE, State.RETIRING, State.VERIFIED)


@asynccontextmanager
async def witnesses(
    opened: OpenedHome, trust: LiveTrust, identities: LiveIdentities, metrics: Metrics
) -> AsyncIterator[WitnessRounds]:
    """Open the way to the witnesses; closed when the block ends. Raises ``TrustError``."""
    seconds = opened.settings.log.witness_timeout_seconds
    limits = PoolLimits(connections_per_host=2, connect=seconds, silence=seconds)
    async with peer_pool(opened, trust, identities, limits=limits) as pool:
        client = WitnessClient(pool.session, pool.judge_server, seconds=seconds)
        yield WitnessRounds(opened, client, metrics)


class WitnessRounds:
    """Asks the witnesses of our log; implements ``node.sealing.Witnesses``."""

    def __init__(self, opened: OpenedHome, calls: WitnessCalls, metrics: Metrics) -> None:
        """Nobody is asked yet."""
        self._opened = opened
        self._calls = calls
        self._metrics = metrics
        self._settings = opened.settings.log
        cadence = self._settings.witness_seconds
        self._breakers = Breakers(
            BreakerRules(threshold=3, pause=2 * cadence, longest_pause=max(900, 4 * cadence))
        )
        self._sizes: dict[tuple[str, str], int] = {}
        self._signed: dict[tuple[str, int], tuple[bytes, tuple[Signature, ...]]] = {}
        self._quorum: bool | None = None

    # --- the start ------------------------------------------------------------------------------

    async def recall(self, sealer: YearlySealer) -> None:
        """Ask each witness once what we signed last; what they show is claimed of the sealer."""
        try:
            peers = await asyncio.to_thread(self._witnesses)
            keys = await asyncio.to_thread(self._own_keys) if peers else ()
            origins = await asyncio.to_thread(self._origins)
            asked = (
                self._recall(peer, year, origin, keys, sealer)
                for peer in peers
                for year, origin in origins.items()
            )
            await asyncio.gather(*asked)
        except Exception as error:  # noqa: BLE001 - sealing must not end because of a witness
            _failed(error)

    async def _recall(
        self,
        peer: WitnessPeer,
        year: int,
        origin: str,
        keys: Sequence[VerifierKey],
        sealer: YearlySealer,
    ) -> None:
        try:
            await self._claim(peer, year, origin, keys, sealer)
        except CodedError as error:
            _log.warning(
                "log.witness-silent",
                organization_id=peer.organization_id,
                code=error.code,
                sentence=error.sentence,
            )

    async def _claim(
        self,
        peer: WitnessPeer,
        year: int,
        origin: str,
        keys: Sequence[VerifierKey],
        sealer: YearlySealer,
    ) -> None:
        """Hold the sealer to what a witness shows that we signed.

        Raises:
            CodedError: when it shows nothing that we signed, or does not answer.
        """
        shown = await self._calls.newest(peer, origin)
        if shown is None:
            return
        ours = [VerifierKey(name=origin, kind=key.kind, public=key.public) for key in keys]
        point, note = shown_checkpoint(shown, origin, ours)
        self._sizes[peer.organization_id, origin] = point.size
        if point.size:
            await asyncio.to_thread(sealer.claim, year, bytes(note))

    # --- rounds ---------------------------------------------------------------------------------

    async def keep(self, sealer: YearlySealer) -> None:
        """Have them sign what was sealed, again and again; never returns."""
        while True:
            await asyncio.sleep(self._pause if sealer.is_sealing else _FIRST)
            if not sealer.is_sealing:
                continue
            try:
                await self.round(sealer)
            except Exception as error:  # noqa: BLE001 - as above
                _failed(error)

    @property
    def _pause(self) -> float:
        """Shorter until enough witnesses sign; who is not there is asked less often anyway."""
        return min(self._settings.witness_seconds, 1000 if self._quorum else _SOON)

    async def round(self, sealer: YearlySealer) -> None:
        """Ask every witness that has not signed the newest checkpoint yet.

        Raises:
            CodedError: when our own files or keys cannot be read.
            OSError: when a file cannot be written.
            SQLAlchemyError: when the database cannot be read or written.
        """
        peers = await asyncio.to_thread(self._witnesses)
        if not peers:
            self._quorum = None
            return
        keys = await asyncio.to_thread(self._own_keys)
        for log in await asyncio.to_thread(unwitnessed, self._opened.home):
            asked = (self._ask(peer, log, keys, sealer) for peer in peers)
            signatures = await asyncio.gather(*asked)
            signed = sum(1 for each in signatures if each)
            quorum = signed >= needed(peers, self._settings.witness_quorum)
            origin = log.point.origin
            whole = Note(
                text=log.note.text,
                signatures=(
                    *(own for own in log.note.signatures if own.name == origin),
                    *(each for found in signatures for each in found),
                ),
            )
            if signed:
                await asyncio.to_thread(sealer.publish, log.year, bytes(whole), quorum=quorum)
            self._tell(quorum=quorum, signed=signed, of=len(peers))

    def _witnesses(self) -> tuple[WitnessPeer, ...]:
        return tuple(peer for peer in witness_peers(self._opened.engine) if peer.is_witness)

    def _origins(self) -> dict[int, str]:
        """The logs that go on or may be begun, by their years."""
        home, year = self._opened.home, self._opened.clock.now().year
        found = {year: origin_of(self._opened.settings, year)}
        for newest in sealed_years(home)[-1:]:
            found[newest] = begun_origin(home, newest) or found[year]
        return found

    def _own_keys(self) -> tuple[VerifierKey, ...]:
        home, settings, now = self._opened.home, self._opened.settings, self._opened.clock.now()
        signers = log_signers(home, settings, now=now, name=LogKey.LOG, states=_OURS)
        return tuple(verifier_key("", signer) for signer in signers)

    async def _ask(
        self,
        peer: WitnessPeer,
        log: Published,
        keys: Sequence[VerifierKey],
        sealer: YearlySealer,
    ) -> tuple[Signature, ...]:
        """The signatures of a witness under a checkpoint; none when it did not sign."""
        identity, engine = peer.organization_id, self._opened.engine
        text, known = self._signed.get((identity, log.year), (b"", ()))
        if text == log.note.text:
            return known
        clock = self._opened.clock
        if not self._breakers.admit(identity, clock.monotonic()):
            return ()
        try:
            found = await self._cosigned(peer, log, keys, sealer)
        except NetworkFault as error:
            self._breakers.failed(identity, clock.monotonic())
            await self._refused(peer, error)
            return ()
        except CodedError as error:
            self._breakers.succeeded(identity)
            await self._refused(peer, error)
            return ()
        except BaseException:
            self._breakers.released(identity, clock.monotonic())
            raise
        self._breakers.succeeded(identity)
        self._signed[identity, log.year] = log.note.text, found
        now, size = clock.now(), log.point.size
        await asyncio.to_thread(note_cosigned, engine, identity, size=size, now=now)
        if peer.failing is not None:
            _log.info("log.witness-signs", organization_id=identity, size=size)
        return found

    async def _cosigned(
        self,
        peer: WitnessPeer,
        log: Published,
        keys: Sequence[VerifierKey],
        sealer: YearlySealer,
    ) -> tuple[Signature, ...]:
        """Ask a witness, a second time when it signed another size last.

        Raises:
            CodedError: whatever kept it from signing, or its signature from being believed.
        """
        origin, size = log.point.origin, log.point.size
        place = peer.organization_id, origin
        old = min(self._sizes.get(place, 0), size)
        reply = await self._send(peer, log, old)
        if reply.status == HTTPStatus.CONFLICT and reply.is_size:
            old = parse_size(reply.body)
            if old <= size:
                reply = await self._send(peer, log, old)
        if reply.status in (HTTPStatus.CONFLICT, HTTPStatus.UNPROCESSABLE_ENTITY):
            # it may know a history of ours that we do not: what it shows decides, not what it says
            await self._claim(peer, log.year, origin, keys, sealer)
            raise refused(reply)
        if reply.status != HTTPStatus.OK:
            raise refused(reply)
        now = int(self._opened.clock.now().timestamp())
        skew = int(self._opened.settings.trust.clock_skew_seconds)
        found = cosignatures(
            reply.body, log.note.text, peer.witness_keys, now=now, skew=max(skew, 1)
        )
        self._sizes[place] = size
        return found

    async def _send(self, peer: WitnessPeer, log: Published, old: int) -> WitnessReply:
        def request() -> bytes:
            proof: tuple[bytes, ...] = ()
            if 0 < old < log.point.size:
                proof = tree_of(log.point.size, log.folder).consistency(old)
            own = [each for each in log.note.signatures if each.name == log.point.origin]
            note = Note(text=log.note.text, signatures=tuple(own))
            return bytes(AddCheckpoint(old=old, proof=proof, note=bytes(note)))

        return await self._calls.add_checkpoint(peer, await asyncio.to_thread(request))

    # --- what is told ---------------------------------------------------------------------------

    async def _refused(self, peer: WitnessPeer, error: CodedError) -> None:
        """Count it; write it down and say it when it is something new."""
        self._metrics.witness_failed(peer.organization_id, error.code)
        if peer.failure == error.code:
            return
        _log.warning(
            "log.witness-failed",
            organization_id=peer.organization_id,
            code=error.code,
            sentence=error.sentence,
            advice=error.advice,
        )
        now = self._opened.clock.now()
        await asyncio.to_thread(note_failed, self._opened.engine, peer, error.code, now=now)

    def _tell(self, *, quorum: bool, signed: int, of: int) -> None:
        self._metrics.witnesses(signed, of, quorum=quorum)
        if quorum == self._quorum:
            return
        if not quorum:
            _log.error("log.quorum-missing", count=signed, size=of, sentence=_MISSING)
        elif self._quorum is False:
            _log.info("log.quorum-held", count=signed, size=of)
        self._quorum = quorum


_MISSING: Final = (
    "Fewer witnesses than log.witness_quorum signed the newest checkpoint; it is published without "
    "them, and `log witness list` says who did not."
)


def _failed(error: Exception) -> None:
    if isinstance(error, CodedError):
        _log.error("log.not-witnessed", code=error.code, sentence=error.sentence)
    else:  # the database's own text may quote a value: only its type goes on
        _log.error("log.not-witnessed", code=type(error).__name__)
