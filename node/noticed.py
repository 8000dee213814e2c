"""What a running node takes over or refuses of our trust, written into the log.

Commands write their own entries. These say when the running node followed them, and they are the
only ones about files that somebody changed without a command, also while no node ran. What the log
cannot take at once is kept, in order, and tried again.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final

import structlog

from node.crls import CrlEvent, report_crl
from node.errors import CodedError
from node.identity import Role
from node.identity_store import versions
from node.ledger.trust_change import Recorder, TrustChange
from node.ledger.trust_known import Known
from node.live_identities import LiveIdentities
from node.live_trust import LiveTrust, ViewChange
from node.settings import NodeHome
from node.trust_changes import of_anchor, of_crl, of_identity
from trust.certificates import fingerprint
from trust.lifecycle import active

_log = structlog.get_logger(__name__)

MOST: Final = 1000
"""Changes that are kept while the log cannot be written; further ones are only logged."""


class Noticed:
    """Keeps what the node met until it is in the log."""

    def __init__(self, home: NodeHome, recorder: Recorder, now: Callable[[], datetime]) -> None:
        self._home = home
        self._recorder = recorder
        self._now = now
        self._waiting: deque[TrustChange] = deque()

    async def begin(self, said: Known, trust: LiveTrust) -> None:
        """Write down what differs at the start from what the log says: nobody told it."""
        clients = (TrustChange(act="anchor-take", thing=fingerprint(c)) for c in trust.view.clients)
        held = {str(change.thing): change for change in clients}
        held |= {a.fingerprint: of_anchor("anchor-take", a) for a in trust.view.anchors}
        gone = sorted(said.anchors - held.keys())
        self._note([TrustChange(act="anchor-drop", thing=digest) for digest in gone])
        self._note([change for digest, change in held.items() if digest not in said.anchors])
        taken = [await asyncio.to_thread(self._taken, role) for role in Role]
        self._note([c for c in taken if c.key and c.key != said.keys.get(str(c.role))])
        await self.settle()

    async def follow(self, identities: LiveIdentities, trust: LiveTrust) -> None:
        """Take over what was switched or trusted otherwise, and write down what came of it.

        One after the other: each builds contexts from what the other one holds.
        """
        before = identities.refused()
        taken = await identities.check()
        refused = identities.refused() - before
        await trust.check()
        self._note(
            [
                *[await asyncio.to_thread(self._taken, role) for role in taken],
                *(TrustChange(act="identity-refuse", role=role.value) for role in sorted(refused)),
            ]
        )
        await self.settle()

    def anchors(self, change: ViewChange) -> None:
        """Anchors were taken over from the files (``LiveTrust.changed``)."""
        added = {anchor.fingerprint for anchor in change.added}
        gone = [anchor for anchor in change.removed if anchor.fingerprint not in added]
        self._note(
            [
                *(of_anchor("anchor-drop", anchor) for anchor in gone),
                *(of_anchor("anchor-take", anchor) for anchor in change.added),
            ]
        )

    def crl(self, event: CrlEvent) -> None:
        """A CRL that was fetched was accepted, or refused (``CrlUpdater``'s ``tell``)."""
        report_crl(event)
        self._note([of_crl(event)])

    async def settle(self) -> None:
        """Write down what waits; what the log cannot take waits on."""
        while self._waiting:
            try:
                await asyncio.to_thread(self._recorder.fact, self._waiting[0])
            except CodedError as error:
                _log.error("trust.unrecorded", code=error.code, count=len(self._waiting))
                return
            self._waiting.popleft()

    def _taken(self, role: Role) -> TrustChange:
        try:
            found = active(versions(self._home, role, now=self._now()))
        except CodedError:
            found = None  # it is served all the same; what reads the history tells of it
        if found is None:
            return TrustChange(act="identity-take", role=role.value)
        return of_identity("identity-take", role, found)

    def _note(self, changes: Sequence[TrustChange]) -> None:
        room = MOST - len(self._waiting)
        self._waiting.extend(changes[:room])
        for change in changes[room:]:
            _log.error("trust.unrecorded", code="store-busy", name=change.act)
