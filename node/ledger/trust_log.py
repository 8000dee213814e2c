"""Writes changes of trust into the log: ``trust_change.Recorder`` over a database.

An entry is written and made durable in the caller's thread, in a transaction of its own, and is
numbered by the same counter as the entries of exchanges: commands and the running node share one
sequence without gaps.
"""

from __future__ import annotations

import os
import pwd
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from node.errors import CodedError, OurFault
from node.exchange.ports import Receipt
from node.ledger import private
from node.ledger.ledger import SealedEntry, seal_draft, write_entries
from node.ledger.private import LedgerKey
from node.ledger.trust_change import Author, Step, TrustChange, completed, draft_change
from node.storage.engine import IMMEDIATE

NODE: Final = Author(by="node", who={"process": "node"})
"""The running node itself."""


def operator() -> Author:
    """The operating system's user of this process, as the author of a command."""
    number = os.getuid()
    try:
        name = pwd.getpwuid(number).pw_name
    except KeyError:
        name = str(number)  # a container's user need not have a name
    return Author(by="operator", who={"user_id": name, "uid": number})


class Change:
    """Implements ``trust_change.Made``."""

    def __init__(self, change: TrustChange) -> None:
        self.change = change
        self.refused: str | None = None

    def add(self, change: TrustChange) -> None:
        """Say what it became."""
        self.change = completed(self.change, change)

    def refuse(self, reason: str) -> None:
        """Say that it was not made."""
        self.refused = reason


class TrustLog:
    """Usable from several threads. The schema must be migrated before."""

    def __init__(
        self,
        engine: Engine,
        key: Callable[[], LedgerKey],
        *,
        own: str,
        author: Author,
        now: Callable[[], datetime],
    ) -> None:
        """``key`` gives the ledger key when an entry is written, and only then."""
        self._engine = engine.execution_options(**{IMMEDIATE: True})
        self._key = key
        self._own = own
        self._author = author
        self._now = now

    @contextmanager
    def change(self, change: TrustChange) -> Iterator[Change]:
        """Write ``begun``, let the block make the change, write ``done`` or ``failed``.

        Whatever ends the block by an exception is ``failed``, with the code of a coded error as its
        reason; that exception goes on.

        Raises:
            OurFault: ``trust-change-unrecorded`` before or after the block; see the sentence.
            SettingsError: before the block, when the ledger key cannot be used.
        """
        key = self._key()
        try:
            begun = self._write(key, change, Step.BEGUN)
        except (CodedError, SQLAlchemyError) as error:
            raise _unrecorded(
                "The log cannot be written, so nothing was changed.", error
            ) from error
        made = Change(change)
        try:
            yield made
        except BaseException as error:
            failed = _failed(made, error)
            try:
                self._write(key, failed, Step.FAILED, begun.seq)
            except (CodedError, SQLAlchemyError):
                # what went wrong first is what the caller must hear; the begun entry stays open
                error.add_note(f"The log could not take the end of entry {begun.seq}.")
            raise
        ended = made.change
        step = Step.DONE
        if made.refused:
            ended = completed(ended, TrustChange(act=change.act, reason=made.refused))
            step = Step.FAILED
        try:
            self._write(key, ended, step, begun.seq)
        except (CodedError, SQLAlchemyError) as error:
            raise _unrecorded(
                f"The change that entry {begun.seq} of the log begins was made, but the log could "
                "not take the entry that ends it.",
                error,
            ) from error

    def fact(self, change: TrustChange) -> Receipt:
        """Write the one entry of something that the node met.

        Raises:
            OurFault: ``trust-change-unrecorded``.
            SettingsError: when the ledger key cannot be used.
        """
        key = self._key()
        try:
            return self._write(key, change, Step.DONE)
        except (CodedError, SQLAlchemyError) as error:
            raise _unrecorded("The log could not take an entry about trust.", error) from error

    def _write(
        self, key: LedgerKey, change: TrustChange, step: Step, begun: int | None = None
    ) -> Receipt:
        made = draft_change(
            change,
            step=step,
            begun=begun,
            author=self._author,
            own=self._own,
            entry_id=str(uuid.uuid4()),
            now=self._now(),
        )
        entropy = os.urandom(private.ENTROPY * len(made.groups))
        entry = seal_draft(made, key=key, entropy=entropy)
        try:
            return self._transact(entry, again=False)
        except DBAPIError as error:
            if not error.connection_invalidated:
                raise
            # the connection broke, perhaps while committing: look whether it is there
            return self._transact(entry, again=True)

    def _transact(self, entry: SealedEntry, *, again: bool) -> Receipt:
        with self._engine.begin() as connection:
            return write_entries(connection, [entry], again=again)[0]


def write_fact(
    connection: Connection,
    key: LedgerKey,
    change: TrustChange,
    *,
    author: Author,
    own: str,
    now: datetime,
) -> tuple[Receipt, bytes]:
    """Write the one entry of something into the transaction that does it; its receipt and bytes.

    Raises:
        OurFault: as ``draft_change``, ``seal_draft`` and ``write_entries``.
    """
    made = draft_change(
        change,
        step=Step.DONE,
        begun=None,
        author=author,
        own=own,
        entry_id=str(uuid.uuid4()),
        now=now,
    )
    entry = seal_draft(made, key=key, entropy=os.urandom(private.ENTROPY * len(made.groups)))
    (receipt,) = write_entries(connection, [entry], again=False)
    return receipt, entry.head + str(receipt.seq).encode() + entry.tail


def _failed(made: Change, error: BaseException) -> TrustChange:
    reason = made.refused or "interrupted"
    if isinstance(error, CodedError):
        reason = error.code
    elif isinstance(error, OSError):
        reason = "file-unusable"
    return completed(made.change, TrustChange(act=made.change.act, reason=reason))


def _unrecorded(sentence: str, error: Exception) -> OurFault:
    # the database's own text may quote a value: only its type goes on
    cause = error.orig if isinstance(error, DBAPIError) else error
    detail = error.code if isinstance(error, CodedError) else type(cause).__name__
    return OurFault("trust-change-unrecorded", sentence, detail=detail)
