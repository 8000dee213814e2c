"""What our log holds of single peers: who we are to them, and what the gateway shows them."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

from sqlalchemy import select

from node.errors import OurFault, SettingsError
from node.exchange.ports import PeerEntry, Refusal
from node.gateway.protocol import TlsPeer
from node.ledger import leaf
from node.ledger.peer_log import PeerLog
from node.ledger.private import load_key
from node.ledger.promise import Absence, absence_signed
from node.ledger.sealed_proof import log_folders, newest_checkpoint, prove_entry
from node.ledger.sealer import verifier_key
from node.ledger.stated import Limits, Stated, Statements, Us, no_agreement
from node.ledger.tlog.checkpoint import parse_checkpoint
from node.ledger.tlog.note import parse_note
from node.log_keys import agreement_keys, log_signers
from node.log_origin import log_name
from node.model import Direction, HomeCommunityId
from node.opened import OpenedHome
from node.peer_logs import log_of
from node.storage.tables import ENTRY
from trust.binder import Binder
from trust.binding import PresentedKeys

_MOST_OF_A_MESSAGE = 100


def ourselves(opened: OpenedHome) -> Us:
    """Who we are in statements.

    Raises:
        SettingsError: ``log-key-missing`` before the key for it was made.
        TrustError: when that cannot be opened.
    """
    settings = opened.settings
    keys = agreement_keys(opened.home, settings, now=opened.clock.now())
    if not keys:
        raise SettingsError("log-key-missing", "This node home has no agreement key.")
    return Us(
        hcid=opened.home_community_id,
        log=log_name(settings),
        agreement=keys[0],
        quiet_opt_out=settings.policy.quiet_opt_out,
    )


def statements(opened: OpenedHome) -> Statements:
    """Our statements."""
    log = opened.settings.log
    return Statements(
        opened.engine,
        lambda: load_key(opened.home.path),
        opened.home.statements,
        limits=Limits(
            rows=log.reconcile_rows,
            days=log.reconcile_days,
            settle=timedelta(minutes=log.reconcile_after_minutes),
        ),
        now=opened.clock.now,
    )


class ShownPairs:
    """Implements ``gateway.pair_app.Pairs``."""

    def __init__(self, opened: OpenedHome, binder: Binder) -> None:
        """``binder`` binds peers' keys."""
        self._opened = opened
        self._binder = binder
        self._statements = statements(opened)

    def admit(self, peer: TlsPeer | None, hcid: str) -> PeerEntry | Refusal:
        """As ``Pairs``."""
        if peer is None:
            return Refusal(
                code="client-certificate-missing", sentence="There is no client certificate."
            )
        entry = self._opened.peers.by_home_community_id(HomeCommunityId(hcid))
        if entry is None or not entry.active or entry.suspended or entry.unsigned_refused:
            return Refusal(code="unknown-peer", sentence="This community is not known here.")
        bound = self._binder.bind(
            PresentedKeys(
                tls_leaf=peer.certificates.leaf, intermediates=peer.certificates.intermediates
            ),
            self._opened.peers.organization_trust(entry),
            now=self._opened.clock.now(),
        )
        if not bound.ok:
            return Refusal(
                code=bound.reason_code or "tls-key-not-bound",
                sentence="The certificate is not of this community.",
            )
        return entry

    def statement(self, entry: PeerEntry, window: date) -> Path:
        """As ``Pairs``."""
        return self._stated(entry, window).file

    def stated(self, entry: PeerEntry, window: date) -> bytes | None:
        """As ``Pairs``."""
        return self._proof(self._stated(entry, window).seq)

    def entry(self, entry: PeerEntry, message_id: str) -> tuple[bool, bytes] | None:
        """As ``Pairs``."""
        found = self._entries(message_id)
        own = [
            seq for seq, peer in found if peer in (entry.home_community_id, None)
        ]  # without a peer: refused before anybody was known
        if own:
            proof = self._proof(own[0])
            return None if proof is None else (True, proof)
        if found:
            raise OurFault("log-pair-foreign", "The message is not one of this community's.")
        return False, self._absence(message_id)

    def _stated(self, entry: PeerEntry, window: date) -> Stated:
        return self._statements.of(
            ourselves(self._opened), entry.home_community_id, self._log(entry), window
        )

    def _log(self, entry: PeerEntry) -> PeerLog:
        log = log_of(self._opened.view, entry.organization_id)
        if log is None:
            raise no_agreement()
        return log

    def _proof(self, seq: int) -> bytes | None:
        proved = prove_entry(self._opened.home.log, seq)
        return bytes(replace(proved.proof, extra=proved.data)) if proved else None

    def _entries(self, message_id: str) -> list[tuple[int, str | None]]:
        query = (
            select(ENTRY.c.seq, ENTRY.c.peer)
            .where(
                ENTRY.c.msg == message_id,
                ENTRY.c.direction == Direction.RESPONDING.value,
            )
            .order_by(ENTRY.c.t, ENTRY.c.seq)
            .limit(_MOST_OF_A_MESSAGE)
        )
        with self._opened.engine.connect() as connection:
            return [(row[0], row[1]) for row in connection.execute(query)]

    def _absence(self, message_id: str) -> bytes:
        opened = self._opened
        now = opened.clock.now()
        signer = log_signers(opened.home, opened.settings, now=now)[0]
        for folder in reversed(log_folders(opened.home.log)):
            signed = newest_checkpoint(folder)
            if signed is not None:
                point = parse_checkpoint(parse_note(signed).text)
                said = Absence(
                    origin=point.origin,
                    message_id=message_id,
                    t=leaf.from_time(now),
                    size=point.size,
                    root=point.root,
                )
                return absence_signed(said, verifier_key(point.origin, signer), signer.sign)
        raise OurFault("log-file-missing", "Nothing is sealed yet.")
