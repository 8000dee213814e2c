"""Gives the log promises of a running node, signed with the log's key in use."""

from __future__ import annotations

import asyncio

import structlog

from node.errors import CodedError
from node.identity import LogKey
from node.ledger import leaf
from node.ledger.promise import promised
from node.ledger.sealer import verifier_key
from node.log_origin import log_name
from node.opened import OpenedHome
from node.yearly_sealer import Signers

_log = structlog.get_logger(__name__)


class Promises:
    """Call it once the entry is durable, never before; takes some 40 microseconds."""

    def __init__(self, opened: OpenedHome) -> None:
        """Opens the key. Raises ``TrustError`` when that cannot be done."""
        self._now = opened.clock.now
        self._name = log_name(opened.settings)
        self._signers = Signers(opened, LogKey.LOG)
        self.refresh()

    def refresh(self) -> None:
        """Take the key in use now; may wait for a disk. Raises ``TrustError``."""
        signer = next(iter(self._signers()), None)
        self._signing = (verifier_key(self._name, signer), signer.sign) if signer else None

    def __call__(self, message_id: str) -> str | None:
        """The header's value for the answer to a message.

        ``None`` for an id that no leaf holds in the clear, since nobody could be shown its entry.
        """
        if self._signing is None or not leaf.fits("msg", message_id):
            return None
        return str(promised(self._name, message_id, self._now(), *self._signing))


async def keep_current(promises: Promises, *, seconds: float) -> None:
    """Follow the log's key when it is switched."""
    while True:
        await asyncio.sleep(seconds)
        try:
            await asyncio.to_thread(promises.refresh)
        except CodedError as error:
            _log.error("log.promise-key-unusable", code=error.code, sentence=error.sentence)
