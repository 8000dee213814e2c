"""A log as a node has it after months: its entries, made fast, always the same for the same seed.

What is real: every leaf is canonical and has the fields, forms and lengths of an exchange's (or a
heartbeat's, or a trust change's), its leaf hash is the leaf's own, its tokens are those of its
patient, user and documents under the ledger key, so that each is found as in a node. A question
goes to several peers, and those who know the patient are asked for documents. Peers, users and
patients are chosen as in life: few very often, most seldom (Zipf's law); each peer has a purpose
that it mostly asks for; what was refused or failed has a reason that belongs to it.

What is not: the mix of peers, outcomes, purposes and commitments is drawn for 100,000 entries and
comes again; ids, times, patients, users and documents are drawn for each. Only one entry in
``private_every`` has its private groups (really sealed), the others none. No filter reads them.
"""

from __future__ import annotations

import hashlib
import random
from bisect import bisect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from itertools import accumulate
from typing import Final, NamedTuple

import orjson

from node.ledger import leaf, private
from node.ledger.commitment import SALT_LENGTH, commit
from node.ledger.ledger import columns
from node.ledger.private import LedgerKey
from node.model import Direction, Outcome, PatientId, Transaction
from node.policy.purposes import purpose_register
from node.storage.bulk import Row

ENTRY_COLUMNS: Final = (
    "seq", "leaf", "leaf_hash", "kind", "exchange_id", "direction", "txn", "peer", "purpose",
    "outcome", "reason", "msg", "rel", "entry_id", "t",
)  # fmt: skip
"""The columns of an entry's row, in the order of ``Made.entry``."""

OWN: Final = "urn:oid:2.999.1"
_PATTERNS: Final = 100_000
_OTHER_EVERY: Final = 5000
"""One entry in so many is a heartbeat or a change of trust."""

_OUTCOMES: Final = {
    Transaction.ITI_55: (45, 42, 0.2, 6, 4, 2.5, 0.3),
    Transaction.ITI_38: (80, 12, 1, 2, 3, 1.8, 0.2),
    Transaction.ITI_39: (93, 0.5, 2, 0.5, 2, 1.9, 0.1),
}
"""Weights, in the order of ``Outcome``."""

_REASONS: Final = {
    Outcome.DECLINED: ("purpose-not-offered", "consent-missing", "peer-suspended", "opted-out"),
    Outcome.FAILED: ("certificate-revoked", "tls-handshake", "answer-malformed", "soap-fault"),
    Outcome.TIMED_OUT: ("timeout", "connect-timeout"),
    Outcome.PARTIAL: ("registry-partial",),
    Outcome.CANCELLED: ("cancelled",),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """How large the log is, and of what kind."""

    entries: int
    seed: int = 1
    end: datetime = datetime(2026, 11, 1, tzinfo=UTC)
    days: int = 240
    peers: int = 500
    users: int = 3000
    private_every: int = 1000

    @property
    def patients(self) -> int:
        """People in the log: each has about fifteen entries on average, some have hundreds."""
        return max(200, self.entries // 15)

    def peer(self, number: int) -> str:
        """The HCID of a peer; the higher its number, the rarer it is."""
        return f"urn:oid:2.999.{100 + number}"

    def purpose(self, number: int) -> str:
        """The purpose that a peer mostly asks for."""
        codes = sorted(purpose_register().purposes)
        return codes[number % len(codes)] if number % 3 == 0 else codes[0]

    def patient(self, number: int) -> PatientId:
        """A person; the higher the number, the rarer."""
        return PatientId(assigning_authority="2.999.1.7", id=f"MRN{number:08d}")

    def user(self, number: int) -> str:
        """Who asked; the higher the number, the rarer."""
        return f"user{number:05d}@hospital.example"

    def document(self, patient: int, number: int) -> str:
        """One of the documents of a person."""
        return f"2.999.1.7.{patient}.{number}"


class Made(NamedTuple):
    """The rows of one entry."""

    entry: Row
    tokens: list[Row]
    private: Row | None


class _Pattern(NamedTuple):
    """An entry without what is its own: its leaf with gaps, and its columns."""

    leaf: str
    head: tuple[str | None, ...]
    exchange: int
    documents: int


class _Exchange(NamedTuple):
    id: str
    patient: int
    user: int


def log(shape: Shape, key: LedgerKey) -> Iterator[Made]:
    """All entries in their order; memory does not grow with them (but for the patients' tokens)."""
    chance = random.Random(shape.seed)
    patterns = _patterns(shape, chance)
    users = _zipf(shape.users, 0.8)
    token = lru_cache(maxsize=100_000)(key.token)
    end = leaf.milliseconds(shape.end)
    span = shape.days * 86_400_000
    exchanges: dict[int, _Exchange] = {}
    for seq in range(shape.entries):
        # entries are written when they end, so the order of their beginnings is not the log's
        t = end - span + span * seq // shape.entries - int(1000 * chance.random() ** 3)
        if seq % _OTHER_EVERY == _OTHER_EVERY - 1:
            yield _other(chance, seq, t)
            continue
        place = seq % len(patterns)
        if place == 0:
            exchanges.clear()
        pattern = patterns[place]
        of = exchanges.get(pattern.exchange)
        if of is None:
            of = exchanges[pattern.exchange] = _Exchange(
                id=_uuids(chance, 1)[0],
                patient=int(shape.patients * chance.random() ** 2.5),
                user=_one(chance, users),
            )
        yield _entry(shape, chance, key, token, pattern, of, seq, t)


def _entry(
    shape: Shape,
    chance: random.Random,
    key: LedgerKey,
    token: Callable[[str, str], bytes],
    pattern: _Pattern,
    of: _Exchange,
    seq: int,
    t: int,
) -> Made:
    entry_id, message, related = _uuids(chance, 3)
    data = (pattern.leaf % (of.id, entry_id, message, related, seq, _time(t))).encode()
    direction, txn, peer, purpose, outcome, reason = pattern.head
    ids = [shape.document(of.patient, int(chance.random() * 9)) for _ in range(pattern.documents)]
    sealed = None
    if seq % shape.private_every == 0:
        data, sealed = _sealed(shape, chance, key, of, data, ids)
    row = (
        seq, data, leaf.leaf_hash(data), "exchange", of.id, direction, txn, peer, purpose, outcome,
        reason, f"urn:uuid:{message}", f"urn:uuid:{related}", entry_id, t,
    )  # fmt: skip
    found = {
        token("patient", shape.patient(of.patient).cx): "patient",
        token("user", shape.user(of.user)): "who",
    }
    for one in ids:
        found[token("document", one)] = "docs"
    return Made(row, [(each, t, seq, part) for each, part in found.items()], sealed)


def _patterns(shape: Shape, chance: random.Random) -> list[_Pattern]:
    """What is drawn once and comes again every so many entries: the mix of a day or so."""
    peers = _zipf(shape.peers, 1.1)
    codes = sorted(purpose_register().purposes)
    purposes = [shape.purpose(number) for number in range(shape.peers)]
    outcomes = {txn: list(accumulate(weights)) for txn, weights in _OUTCOMES.items()}
    found: list[_Pattern] = []

    def leg(direction: Direction, txn: Transaction, peer: int, purpose: str) -> Outcome:
        outcome = tuple(Outcome)[_one(chance, outcomes[txn])]
        found.append(_pattern(shape, chance, direction, txn, peer, purpose, outcome, exchange))
        return outcome

    exchange = 0
    while len(found) < min(shape.entries, _PATTERNS):
        exchange += 1
        if chance.random() < 0.8:
            peer = _one(chance, peers)
            usual = chance.random() < 0.95
            txn = chance.choices(tuple(_OUTCOMES), (6, 3, 3))[0]
            leg(Direction.RESPONDING, txn, peer, purposes[peer] if usual else chance.choice(codes))
            continue
        purpose = codes[0] if chance.random() < 0.9 else chance.choice(codes)
        for _ in range(min(1 + int(chance.expovariate(0.4)), 20)):
            peer = _one(chance, peers)
            for txn in _OUTCOMES:
                if leg(Direction.INITIATING, txn, peer, purpose) is not Outcome.OK:
                    break
    return found


def _pattern(
    shape: Shape,
    chance: random.Random,
    direction: Direction,
    txn: Transaction,
    peer: int,
    purpose: str,
    outcome: Outcome,
    exchange: int,
) -> _Pattern:
    moved = outcome is Outcome.OK and txn is not Transaction.ITI_55
    documents = 1 + int(chance.random() * 4) if moved else 0
    hcid = shape.peer(peer)
    fields: dict[str, str | int] = {
        "v": leaf.VERSION, "kind": "exchange", "id": "%s", "t": "%s", "seq": 0, "own": OWN,
        "exch": "%s", "dir": direction.value, "txn": txn.value, "outcome": outcome.value,
        "docs": documents, "dur_ms": int(chance.expovariate(1 / 900)), "peer": hcid,
        "org": hcid[8:], "key": leaf.from_bytes(hashlib.sha256(hcid.encode()).digest()),
        "bind": "anchor+name", "purpose": purpose, "msg": "urn:uuid:%s", "rel": "urn:uuid:%s",
        "dirver": "2026-11-01.1", "pol": "in-1-purpose,in-2-peer",
    }  # fmt: skip
    for name in ("c_req", "c_res", "c_who", "c_patient", "c_query", "c_wire"):
        fields[name] = leaf.from_bytes(chance.randbytes(32))
    if documents:
        fields["c_docs"] = leaf.from_bytes(chance.randbytes(32))
    reasons = _REASONS.get(outcome)
    reason = reasons[int(len(reasons) * chance.random() ** 2)] if reasons else None
    if reason:
        fields["reason"] = reason
    text = orjson.dumps(fields, option=orjson.OPT_SORT_KEYS).decode()
    return _Pattern(
        leaf=text.replace('"seq":0', '"seq":%d'),
        head=(direction.value, txn.value, hcid, purpose, outcome.value, reason),
        exchange=exchange,
        documents=documents,
    )


def _zipf(count: int, power: float) -> list[float]:
    return list(accumulate(1 / (number + 1) ** power for number in range(count)))


def _one(chance: random.Random, cumulated: Sequence[float]) -> int:
    return bisect(cumulated, chance.random() * cumulated[-1], hi=len(cumulated) - 1)


def _uuids(chance: random.Random, count: int) -> list[str]:
    text = chance.randbytes(16 * count).hex()
    return [
        f"{text[i : i + 8]}-{text[i + 8 : i + 12]}-{text[i + 12 : i + 16]}-"
        f"{text[i + 16 : i + 20]}-{text[i + 20 : i + 32]}"
        for i in range(0, 32 * count, 32)
    ]


def _sealed(
    shape: Shape,
    chance: random.Random,
    key: LedgerKey,
    of: _Exchange,
    data: bytes,
    ids: list[str],
) -> tuple[bytes, Row]:
    """The leaf with its own commitments, and the row of the groups that they commit to."""
    fields = orjson.loads(data)
    wrapping = key.wrapping(fields["id"])
    groups: dict[str, object] = {
        "who": {"user_id": shape.user(of.user), "subject_id": "Dr. Somebody"},
        "patient": {"ids": [shape.patient(of.patient).cx]},
        "query": {"demographics": {"names": [{"family": "Somebody"}], "birth_date": "19691231"}},
        "docs": [{"id": one, "repository": "2.999.1.5"} for one in ids],
        "wire": {"address": "https://peer.example/xcpd", "name": "Somebody's Hospital"},
    }
    blobs: list[bytes | None] = []
    for name, value in groups.items():
        if not value:
            blobs.append(None)
            continue
        held, entropy = private.to_json(value), chance.randbytes(private.ENTROPY)
        fields[f"c_{name}"] = leaf.from_bytes(commit(entropy[:SALT_LENGTH], name, held))
        blobs.append(private.seal(wrapping, fields["id"], name, held, entropy))
    return leaf.encode(fields), (fields["seq"], *blobs)


def _other(chance: random.Random, seq: int, t: int) -> Made:
    fields: dict[str, str | int] = {
        "v": leaf.VERSION, "kind": "heartbeat", "id": _uuids(chance, 1)[0], "t": _time(t),
        "seq": seq, "own": OWN,
    }  # fmt: skip
    if chance.random() < 0.5:
        fields |= {
            "kind": "cert", "act": "anchor-add", "step": "done", "by": "operator",
            "thing": leaf.from_bytes(chance.randbytes(32)), "uses": "tls-server",
        }  # fmt: skip
    data = leaf.encode(fields)
    found = columns(fields)
    row = (seq, data, leaf.leaf_hash(data), *(found[name] for name in ENTRY_COLUMNS[3:]))
    return Made(row, [], None)


def _time(t: int) -> str:
    minute, rest = divmod(t, 60_000)
    return f"{_minute(minute)}:{rest // 1000:02d}.{rest % 1000:03d}Z"


@lru_cache(maxsize=4096)
def _minute(minute: int) -> str:
    return datetime.fromtimestamp(minute * 60, UTC).strftime("%Y-%m-%dT%H:%M")


def is_true(made: Made) -> bool:
    """Whether a row is what the ledger would have written of its leaf."""
    row = dict(zip(ENTRY_COLUMNS, made.entry, strict=True))
    held = leaf.decode(bytes(row["leaf"]))  # type: ignore[arg-type]
    expected = columns(held) | {
        "seq": held["seq"], "leaf": row["leaf"], "leaf_hash": leaf.leaf_hash(row["leaf"])  # type: ignore[arg-type]
    }  # fmt: skip
    return row == expected
