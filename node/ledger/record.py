"""From a leg to what is written of it: the fields of its leaf and its private groups. Pure.

Every value goes to exactly one place. What has the form of its leaf field goes into the leaf; what
comes from outside and has another form goes into ``wire.unfit`` and is named in the leaf's
``unfit``. The group ``wire`` also takes what an audit needs of the message and what may hold
anything (facts: ihe-wire 9): the assertion id, the peer's address and name, the sentence, the
registry errors with their contexts, and the digests behind ``c_req`` and ``c_res`` with their
salts, so that one side of a dispute can show a digest and nothing else.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import dataclass

from node.ledger import leaf
from node.ledger.commitment import SALT_LENGTH, commit
from node.model import LegRecord

ENTROPY = 2 * SALT_LENGTH
"""Random bytes that ``draft`` takes: the salts of the two digests."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """An entry before sealing: its fields (``seq`` 0, no group commitments) and private groups.

    ``checked`` are the fields that are known to have their form.
    """

    fields: dict[str, str | int]
    groups: dict[str, object]
    checked: set[str]


def draft(record: LegRecord, *, purposes: Collection[str], entropy: bytes) -> Draft:
    """What is to be written of a leg; ``purposes`` are the codes of the exchange purposes."""
    leg, private = record.leg, record.private
    fields: dict[str, str | int] = {
        "v": leaf.VERSION,
        "kind": "exchange",
        "id": leg.leg_id,
        "t": leaf.from_time(leg.started),
        "seq": 0,
        "own": record.own,
        "exch": leg.exchange_id,
        "dir": leg.direction.value,
        "txn": leg.transaction.value,
        "outcome": leg.outcome.value,
        "docs": leg.documents,
        "dur_ms": max(leg.duration_ms, 0),
    }
    if record.attempt > 1:
        fields["try"] = record.attempt
    unfit: dict[str, str] = {}
    # what enumerations and our own encoders made has its form
    checked = {"v", "kind", "seq", "dir", "txn", "outcome"}
    for name, value in _from_outside(record):
        if not value:
            continue
        if leaf.fits(name, value) and (name != "purpose" or value in purposes):
            fields[name] = value
            checked.add(name)
        else:
            unfit[name] = value
    if unfit:
        fields["unfit"] = ",".join(sorted(unfit))
    wire: dict[str, object] = {"unfit": unfit} if unfit else {}
    for name, place, digest, salt in (
        ("c_req", "request", record.request_digest, entropy[:SALT_LENGTH]),
        ("c_res", "response", record.response_digest, entropy[SALT_LENGTH:]),
    ):
        if digest:
            fields[name] = leaf.from_bytes(commit(salt, name, digest))
            checked.add(name)
            wire[place] = {"salt": leaf.from_bytes(salt), "digest": leaf.from_bytes(digest)}
    wire |= _evidence(record)
    groups: dict[str, object] = {
        "who": private.who,
        "patient": private.patient,
        "query": private.query,
        "docs": private.docs,
        "wire": wire,
    }
    present = {name: value for name, value in groups.items() if value}
    return Draft(fields=fields, groups=present, checked=checked)


def _from_outside(record: LegRecord) -> tuple[tuple[str, str | None], ...]:
    leg = record.leg
    return (
        ("peer", leg.peer.home_community_id),
        ("org", leg.peer.organization_id),
        ("key", _base64_of_hex(record.peer_key)),
        ("bind", record.binding),
        ("purpose", record.purpose),
        ("reason", leg.reason),
        ("msg", leg.message_id),
        ("rel", leg.relates_to),
        ("dirver", record.directory_version),
        ("pol", ",".join(record.policy_rules)),
        ("trust", record.trust.digest if record.trust else None),
        ("dev", ",".join(sorted(set(record.deviations))) if record.deviations else None),
        ("promise", _digest(record.promise)),
        ("test", "synthetic" if record.synthetic else None),
    )


def _base64_of_hex(digest: str | None) -> str | None:
    try:
        return leaf.from_bytes(bytes.fromhex(digest)) if digest else None
    except ValueError:
        return digest


def _digest(text: str | None) -> str | None:
    return leaf.from_bytes(hashlib.sha256(text.encode()).digest()) if text else None


def _evidence(record: LegRecord) -> dict[str, object]:
    leg = record.leg
    found: dict[str, object] = {
        "assertion_id": record.assertion_id,
        "issuer": record.issuer,
        "address": leg.peer.address,
        "name": leg.peer.name,
        "sentence": leg.sentence,
        "errors": [
            {
                "code": error.code,
                "context": error.context,
                "severity": error.severity.value,
                "location": error.location,
            }
            for error in leg.errors
        ],
    }
    return {name: value for name, value in found.items() if value}
