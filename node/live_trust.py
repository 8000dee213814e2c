"""Whom a running node trusts: taken over while it serves, without a failed handshake.

``read_trust`` gives the anchors of this moment as one frozen value. Everybody who judges by them
registers how to take another one; ``check`` looks whether the files have become others, reads them,
and hands the new view to all holders in one go.

What cannot be read leaves the view as it was, is logged once and tried again at every check. A
holder that cannot take a new view stays behind alone: the binders, which judge every request, take
every view.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import structlog
from cryptography import x509

from node.errors import CodedError
from node.identity import client_anchors, network_anchors
from node.live_identities import Commit
from node.settings import NodeHome
from trust.anchors import Anchor, authorised
from trust.live_revocation import LiveRevocations
from trust.network_list.cache import Slot
from trust.trusted_time import require_clock, trusted_time
from trust.usages import Usage

_log = structlog.get_logger(__name__)

_Stamp = tuple[tuple[str, int, int, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustView:
    """Whom we trust at a moment.

    Attributes:
        anchors: the anchors of our networks.
        clients: the anchors of our own gRPC clients.
    """

    anchors: tuple[Anchor, ...] = ()
    clients: tuple[x509.Certificate, ...] = ()

    def certificates(self, usage: Usage) -> tuple[x509.Certificate, ...]:
        """The certificates of the anchors that are authorised for a use."""
        return authorised(self.anchors)[usage]


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewChange:
    """What differs between two views."""

    before: TrustView
    after: TrustView

    @property
    def added(self) -> tuple[Anchor, ...]:
        """Anchors that are new or authorised otherwise than before."""
        return tuple(anchor for anchor in self.after.anchors if anchor not in self.before.anchors)

    @property
    def removed(self) -> tuple[Anchor, ...]:
        """Anchors that are gone or authorised otherwise now."""
        return tuple(anchor for anchor in self.before.anchors if anchor not in self.after.anchors)


Take = Callable[[TrustView], Commit]
"""Makes ready for a view, in a thread; gives what takes it over, in the loop.

Raises ``CodedError`` when that cannot be done.
"""


def read_trust(home: NodeHome) -> TrustView:
    """Whom a node home trusts now. Raises ``TrustError`` when that cannot be read."""
    return TrustView(anchors=network_anchors(home), clients=client_anchors(home))


class LiveTrust:
    """The view of a process, and who takes a new one.

    Attributes:
        view: whom this process trusts now.
        revocations: what CRLs say, by the rules of these anchors.
        trusted: the highest time that was vouched for; with a clock behind it nobody is bound.
    """

    def __init__(
        self,
        home: NodeHome,
        now: Callable[[], datetime],
        *,
        changed: Callable[[ViewChange], None] | None = None,
    ) -> None:
        """Reads the first view.

        Args:
            home: the node home.
            now: the current time.
            changed: told of every change, after all holders took it.

        Raises:
            TrustError: when it cannot be read: no node runs without knowing whom it trusts;
                ``clock-behind`` when the clock is wrong for certain.
        """
        self._home = home
        self._now = now
        self._changed = changed or (lambda _change: None)
        self._holders: list[Take] = []
        self._taken: _Stamp | None = _stamp(home)
        self._faults: frozenset[str] = frozenset()
        self.trusted = trusted_time(home.trusted_time)
        require_clock(now(), self.trusted)
        self.view = read_trust(home)
        self.revocations = LiveRevocations(home.crls, self.view.anchors, now=now())
        self.hold(self._take_rules)

    def hold(self, take: Take) -> None:
        """Register how somebody who opened something with the view takes another."""
        self._holders.append(take)

    def faults(self) -> frozenset[str]:
        """Codes of what keeps the trust that the files say from being taken; mostly none."""
        return self._faults

    async def check(self) -> bool:
        """Take over what has changed in the files; gives whether anything did."""
        try:
            self.trusted = trusted_time(self._home.trusted_time)
            stamp = _stamp(self._home)
            if stamp == self._taken:
                self._note(set())
                return False
            view = await asyncio.to_thread(read_trust, self._home)
        except (CodedError, OSError) as error:
            self._note({_code(error)})
            return False
        return await self._take(view, stamp)

    async def _take(self, view: TrustView, stamp: _Stamp) -> bool:
        commits: list[Commit] = []
        faults: set[str] = set()
        for take in self._holders:
            try:
                commits.append(await asyncio.to_thread(take, view))
            except (CodedError, OSError) as error:
                faults.add(_code(error))
        for commit in commits:
            commit()
        change = ViewChange(before=self.view, after=view)
        self.view = view
        try:
            await self._forget_rules(change)
        except (CodedError, OSError) as error:
            faults.add(_code(error))
        self._taken = None if faults else stamp
        self._note(faults)
        if view == change.before:
            return False
        self._tell(change)
        return True

    def _take_rules(self, view: TrustView) -> Commit:
        # An anchor that leaves keeps its rule until the binders have taken the view: without one
        # it would get the strict one, and its peers be refused for a reason that is not theirs.
        staying = {anchor.fingerprint for anchor in view.anchors}
        leaving = [anchor for anchor in self.view.anchors if anchor.fingerprint not in staying]
        self.revocations.use_anchors((*view.anchors, *leaving), now=self._now())
        return lambda: None

    async def _forget_rules(self, change: ViewChange) -> None:
        if change.removed:
            anchors = change.after.anchors
            await asyncio.to_thread(self.revocations.use_anchors, anchors, now=self._now())

    def _tell(self, change: ViewChange) -> None:
        for event, anchors in (("anchor.removed", change.removed), ("anchor.added", change.added)):
            for anchor in anchors:
                _log.info(event, name=anchor.label, fingerprint=anchor.fingerprint)
        self._changed(change)

    def _note(self, faults: set[str]) -> None:
        for code in sorted(faults - self._faults):
            _log.error("trust.refused", code=code)
        self._faults = frozenset(faults)


def _code(error: CodedError | OSError) -> str:
    return error.code if isinstance(error, CodedError) else type(error).__name__


def _stamp(home: NodeHome) -> _Stamp:
    files = [path for folder in (home.anchors, home.client_anchors) for path in folder.glob("*")]
    files += [home.network / slot for slot in Slot]
    return tuple(found for path in sorted(files) if (found := _file_stamp(path)) is not None)


def _file_stamp(path: Path) -> tuple[str, int, int, int] | None:
    try:
        status = path.stat()
    except OSError:  # removed while we look: the next look sees it gone
        return None
    return (str(path), status.st_ino, status.st_size, status.st_mtime_ns)
