"""Whose logs we witness, and who witnesses ours: what an operator accepted, in the database.

One row is one organisation. Nobody is in it unless an operator put it there (``log witness add``);
a directory entry that shows other keys later changes nothing here.

A log has an origin for each year (``log.node-a.example/exchange/2026``), its keys are the same. So
the log's keys are kept, and published, under its name without the year, and ``of_year`` makes the
key of an origin.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from sqlalchemy import Engine, delete, insert, select, update

from node.errors import OurFault, TheirFault
from node.ledger.leaf import milliseconds
from node.ledger.tlog.note import KeyType, VerifierKey, parse_verifier_key
from node.storage.engine import IMMEDIATE
from node.storage.tables import WITNESS

MOST_WITNESSES: Final = 64
"""Organisations that may be accepted; a checkpoint takes no more signatures."""

MOST_KEYS: Final = 4
"""Keys of one kind that an organisation may have at a time: one in use, others that take over."""

_ORIGIN: Final = re.compile(r"(.+)/([0-9]{4})", re.ASCII)
_LONGEST_NAME: Final = 255
_WITNESSES: Final = (KeyType.ED25519_COSIGNATURE, KeyType.MLDSA44_COSIGNATURE)


@dataclass(frozen=True, slots=True, kw_only=True)
class WitnessPeer:
    """An organisation that we agreed with to witness each other.

    Attributes:
        organization_id: its directory id.
        name: for people.
        address: below which its witness answers; empty when it witnesses nobody.
        log_keys: of its log, by the log's name without the year; empty when it has none.
        witness_keys: by which its signatures under our checkpoints are checked.
        added: milliseconds since 1970.
        cosigned: when it signed a checkpoint of ours last, the same.
        size: of that checkpoint.
        failing: since when it did not sign when asked, the same.
        failure: why, a code.
    """

    organization_id: str
    name: str
    address: str
    log_keys: tuple[VerifierKey, ...]
    witness_keys: tuple[VerifierKey, ...]
    added: int
    cosigned: int | None = None
    size: int | None = None
    failing: int | None = None
    failure: str | None = None

    @property
    def is_witness(self) -> bool:
        """Whether it witnesses our log."""
        return bool(self.witness_keys)


def split_origin(origin: str) -> tuple[str, int] | None:
    """A log's name and the year of an origin; ``None`` for an origin of another form."""
    found = _ORIGIN.fullmatch(origin)
    return (found[1], int(found[2])) if found else None


def of_year(keys: Iterable[VerifierKey], origin: str) -> tuple[VerifierKey, ...]:
    """The keys of a log's name as the keys of one of its origins; none of another log's."""
    split = split_origin(origin)
    return tuple(replace(key, name=origin) for key in keys if split and key.name == split[0])


def keys_for(peers: Iterable[WitnessPeer], origin: str) -> tuple[VerifierKey, ...]:
    """By which a checkpoint of another log is checked before we witness it; none if we do not."""
    return tuple(key for peer in peers for key in of_year(peer.log_keys, origin))


def checked(peer: WitnessPeer, others: Iterable[WitnessPeer], own: Iterable[VerifierKey]) -> None:
    """Refuse keys that cannot be accepted for an organisation.

    Args:
        peer: what would be accepted.
        others: what was accepted already.
        own: our log's keys and our witness's.

    Raises:
        TheirFault: ``log-witness-keys``.
        OurFault: ``log-witness-limit``.
    """
    known = [each for each in others if each.organization_id != peer.organization_id]
    if len(known) >= MOST_WITNESSES:
        raise OurFault("log-witness-limit", f"There are {MOST_WITNESSES} witnesses already.")
    keys = (*peer.log_keys, *peer.witness_keys)
    if not keys:
        raise _wrong("It shows neither a key of its log nor one of its witness.")
    if max(len(peer.log_keys), len(peer.witness_keys)) > MOST_KEYS:
        raise _wrong(f"It shows more than {MOST_KEYS} keys of one kind.")
    if any(key.kind is not KeyType.ED25519_NOTE for key in peer.log_keys):
        raise _wrong("The key of its log is none that signs checkpoints.")
    if any(key.kind not in _WITNESSES for key in peer.witness_keys):
        raise _wrong("The key of its witness is none that signs as a witness.")
    if len({key.name for key in peer.log_keys}) > 1 or any(
        len(key.name) > _LONGEST_NAME - 5 for key in keys
    ):
        raise _wrong("Its log has several names, or one that is too long.")
    if len({key.public for key in keys}) < len(keys):
        raise _wrong("It shows one key twice.")
    if peer.witness_keys and not peer.address.startswith("https://"):
        raise _wrong("It does not say under which https address its witness answers.")
    _unshared(keys, {key.name for key in peer.log_keys}, known, tuple(own))


def _unshared(
    keys: Sequence[VerifierKey],
    logs: set[str],
    known: Sequence[WitnessPeer],
    own: Sequence[VerifierKey],
) -> None:
    """An Ed25519 signature does not name its witness: one key must never stand for two."""
    held = {key.public for key in own}
    if any(key.public in held for key in keys) or logs & {key.name for key in own}:
        raise _wrong("The name of its log or one of its keys is our own.")
    for other in known:
        theirs = {key.public for key in (*other.log_keys, *other.witness_keys)}
        if any(key.public in theirs for key in keys) or logs & {k.name for k in other.log_keys}:
            raise _wrong(
                f"The name of its log or one of its keys is that of {other.organization_id}."
            )


def needed(peers: Iterable[WitnessPeer], quorum: int) -> int:
    """How many witnesses must have signed: the quorum, or all where there are fewer."""
    return min(quorum, sum(1 for peer in peers if peer.is_witness))


def witness_peers(engine: Engine) -> tuple[WitnessPeer, ...]:
    """Everybody who was accepted, by their ids."""
    query = select(WITNESS).order_by(WITNESS.c.organization_id).limit(MOST_WITNESSES)
    with engine.connect() as connection:
        rows = connection.execute(query).mappings().all()
    return tuple(
        WitnessPeer(
            **{
                **row,
                "log_keys": _keys(row["log_keys"]),
                "witness_keys": _keys(row["witness_keys"]),
            }
        )
        for row in rows
    )


def accept_peer(engine: Engine, peer: WitnessPeer) -> None:
    """Put an organisation in, or replace its keys; what it signed before stays known."""
    values = {
        "name": peer.name[:_LONGEST_NAME],
        "address": peer.address,
        "log_keys": "\n".join(map(str, peer.log_keys)),
        "witness_keys": "\n".join(map(str, peer.witness_keys)),
    }
    at = WITNESS.c.organization_id == peer.organization_id
    with engine.execution_options(**{IMMEDIATE: True}).begin() as connection:
        if connection.execute(update(WITNESS).where(at).values(**values)).rowcount == 0:
            connection.execute(
                insert(WITNESS).values(
                    organization_id=peer.organization_id, added=peer.added, **values
                )
            )


def remove_peer(engine: Engine, organization_id: str) -> bool:
    """Take an organisation out; whether it was in. What we signed of its log stays known."""
    at = WITNESS.c.organization_id == organization_id
    with engine.execution_options(**{IMMEDIATE: True}).begin() as connection:
        return bool(connection.execute(delete(WITNESS).where(at)).rowcount)


def note_cosigned(engine: Engine, organization_id: str, *, size: int, now: datetime) -> None:
    """A witness signed a checkpoint of ours."""
    values = {"cosigned": milliseconds(now), "size": size, "failing": None, "failure": None}
    _note(engine, organization_id, values)


def note_failed(engine: Engine, peer: WitnessPeer, code: str, *, now: datetime) -> None:
    """A witness did not sign when it was asked."""
    values = {"failing": peer.failing or milliseconds(now), "failure": code}
    _note(engine, peer.organization_id, values)


def _note(engine: Engine, organization_id: str, values: Mapping[str, object]) -> None:
    at = WITNESS.c.organization_id == organization_id
    with engine.execution_options(**{IMMEDIATE: True}).begin() as connection:
        connection.execute(update(WITNESS).where(at).values(**values))


def _keys(text: str) -> tuple[VerifierKey, ...]:
    return tuple(map(parse_verifier_key, text.split("\n"))) if text else ()


def _wrong(sentence: str) -> TheirFault:
    return TheirFault("log-witness-keys", f"This organisation cannot be a witness. {sentence}")
