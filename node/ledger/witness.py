"""Our witness: it signs checkpoints of the logs that an operator accepted.

Nothing is signed before it is durable what was signed last.

A checkpoint is weighed against what was signed last, and then put in its place only if that is
still there; another request that came first makes this one be weighed anew. So of requests that
race, for one log, none takes what was signed last back to a smaller one (C2SP tlog-witness).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from http import HTTPStatus
from typing import Final

from sqlalchemy import Engine, insert, select, update
from sqlalchemy.exc import IntegrityError

from node.errors import LogError, OurFault
from node.ledger.leaf import milliseconds
from node.ledger.tlog.checkpoint import Checkpoint, parse_checkpoint
from node.ledger.tlog.cosignature import checks, cosign
from node.ledger.tlog.note import KeyType, Note, Signature, VerifierKey, parse_note, verified
from node.ledger.tlog.witness import Seen, Verdict, parse_add_checkpoint, weigh
from node.ledger.witness_peers import keys_for, split_origin, witness_peers
from node.storage.engine import IMMEDIATE
from node.storage.tables import WITNESSED
from trust.log_key import LogKeySigner

_TRIES: Final = 8
_YEARS: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class WitnessAnswer:
    """What our witness answers: a verdict, and the signature lines when it signed."""

    verdict: Verdict
    lines: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class WitnessedLog:
    """What we signed last of a log; ``t`` in milliseconds since 1970."""

    origin: str
    size: int
    root: bytes
    t: int


class Witness:
    """Our witness. Safe for several threads and processes over one database."""

    def __init__(
        self,
        engine: Engine,
        name: str,
        signers: Callable[[], Sequence[LogKeySigner]],
        now: Callable[[], datetime],
    ) -> None:
        """Takes the database, the witness's name, the keys that sign now, and the clock."""
        self._engine = engine
        self._name = name
        self._signers = signers
        self._now = now

    def add_checkpoint(self, data: bytes) -> WitnessAnswer:
        """Answer a request.

        Raises:
            OurFault: ``log-witness-busy`` when other requests were always first.
            TrustError: when a key that signs cannot be opened.
            SQLAlchemyError: nothing was signed.
        """
        try:
            request = parse_add_checkpoint(data)
            note = parse_note(request.note)
            point = parse_checkpoint(note.text)
        except LogError as error:
            return _refused(HTTPStatus.BAD_REQUEST, error.sentence)
        keys = self._keys(point.origin)
        for _ in range(_TRIES):
            seen = self._seen(point.origin)
            verdict = weigh(request, point, note, keys, seen)
            if verdict.status is not HTTPStatus.OK:
                return WitnessAnswer(verdict=verdict)
            signatures = self._sign(note.text)
            # only what we checked goes on under our signature
            whole = Note(text=note.text, signatures=(*verified(note, keys, checks), *signatures))
            if self._keep(point, bytes(whole), seen):
                lines = "".join(f"{each.line}\n" for each in signatures)
                return WitnessAnswer(verdict=verdict, lines=lines.encode())
        raise OurFault("log-witness-busy", "Too many requests for one log came at once.")

    def newest(self, digest: str) -> bytes | None:
        """The checkpoint signed last of the log whose origin has this SHA-256 (hex)."""
        query = select(WITNESSED.c.note).where(WITNESSED.c.digest == digest)
        with self._engine.connect() as connection:
            found: bytes | None = connection.execute(query).scalar()
        return found

    def _keys(self, origin: str) -> Collection[VerifierKey]:
        """The log's keys, of a year that is now: nobody fills the table with other ones."""
        split = split_origin(origin)
        if split is None or abs(split[1] - self._now().year) > _YEARS:
            return ()
        return keys_for(witness_peers(self._engine), origin)

    def _sign(self, text: bytes) -> tuple[Signature, ...]:
        time = int(self._now().timestamp())
        signed = []
        for signer in self._signers():
            key = witness_key(self._name, signer)
            value = cosign(text, time, signer.sign)
            signed.append(Signature(name=key.name, key_id=key.key_id, value=value))
        if not signed:
            raise OurFault("log-key-missing", "This node home has no key that signs as a witness.")
        return tuple(signed)

    def _seen(self, origin: str) -> Seen | None:
        query = select(WITNESSED.c.size, WITNESSED.c.root).where(
            WITNESSED.c.digest == _digest(origin)
        )
        with self._engine.connect() as connection:
            row = connection.execute(query).one_or_none()
        return Seen(size=row.size, root=row.root) if row else None

    def _keep(self, point: Checkpoint, note: bytes, seen: Seen | None) -> bool:
        """Put it in place of what was seen, durably; ``False`` when another one is there now."""
        # SPEC: checking the old size and persisting must be performed atomically
        new = {"size": point.size, "root": point.root, "note": note}
        values = {**new, "t": milliseconds(self._now())}
        digest = _digest(point.origin)
        try:
            with self._engine.execution_options(**{IMMEDIATE: True}).begin() as connection:
                if seen is None:
                    connection.execute(
                        insert(WITNESSED).values(digest=digest, origin=point.origin, **values)
                    )
                    return True
                changed = connection.execute(
                    update(WITNESSED)
                    .where(
                        WITNESSED.c.digest == digest,
                        WITNESSED.c.size == seen.size,
                        WITNESSED.c.root == seen.root,
                    )
                    .values(**values)
                )
                return changed.rowcount == 1
        except IntegrityError:
            return False


def witness_key(name: str, signer: LogKeySigner) -> VerifierKey:
    """The key by which others check what a signer signs as a witness."""
    public = signer.public_key.public_bytes_raw()
    return VerifierKey(name=name, kind=KeyType.ED25519_COSIGNATURE, public=public)


def witnessed_logs(engine: Engine) -> tuple[WitnessedLog, ...]:
    """What we signed last of each log."""
    query = select(WITNESSED.c.origin, WITNESSED.c.size, WITNESSED.c.root, WITNESSED.c.t).order_by(
        WITNESSED.c.origin
    )
    with engine.connect() as connection:
        return tuple(WitnessedLog(**row) for row in connection.execute(query).mappings())


def _digest(origin: str) -> str:
    return sha256(origin.encode()).hexdigest()


def _refused(status: HTTPStatus, sentence: str) -> WitnessAnswer:
    return WitnessAnswer(verdict=Verdict(status=status, sentence=sentence))
