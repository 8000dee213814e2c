"""The leaf: what the log says of one entry, for ever, in bytes that anybody can check.

A leaf is one flat JSON object in a restricted profile of JCS (RFC 8785; facts: tamper-evident-log
C4): ASCII keys in byte order, no white space, strings of printable ASCII (hence NFC, and nothing to
escape), integers of 0 to 2^53-1, no floats, no null, no nesting, times in RFC 3339 UTC with exactly
milliseconds, bytes in canonical base64, 4 KiB at most. A key that the table does not list for the
leaf's kind is refused. The stored bytes are the truth: they are hashed as they are stored and never
made again; a verifier only checks that they are canonical.

**No PHI is in a leaf (DESIGN, law 6).** Each field has a form too narrow for a name, an address or
an identifier of a person. A value from outside that does not fit its field's form stays out: the
field's name is listed in ``unfit`` and the value itself goes into the private group ``wire``, which
``c_wire`` commits to. So a peer that puts a patient's name into a message id leaves no trace here.

========== ========== ================================================================== ==========
field      kind       form and source                                                    if unfit
========== ========== ================================================================== ==========
v          all        ``1``, the version of this table                                   refused
kind       all        ``exchange``, ``cert``, ``directory``, ``admin``, ``erasure``,     refused
                      ``heartbeat``, ``recon``
id         all        UUID, lower case; of an exchange entry the leg id                  refused
t          all        when it began                                                      refused
seq        all        gap-free from 0: the entry's index in the log                      refused
own        all        HCID of this node                                                  refused
exch       exchange   UUID of the exchange                                               refused
dir        exchange   ``initiating`` or ``responding``                                   refused
txn        exchange   IHE transaction, or FHIR operation                                 refused
outcome    exchange   one of the seven of DESIGN law 5                                   refused
docs       exchange   number of documents named or moved                                 refused
dur_ms     exchange   milliseconds                                                       refused
peer       both       HCID of the other side, or of the one that is decided about        wire
org        both       its directory id                                                   wire
key        both       SHA-256 of the SPKI: of its TLS certificate, or decided about      wire
bind       exchange   how its identity was bound                                         wire
purpose    exchange   an exchange purpose in force; any other code is unfit              wire
reason     both       a code: words joined by ``-_.:``, no run of four digits            wire
msg        exchange   ``urn:uuid:`` and a UUID: random bits, nothing else                wire
rel        exchange   the same, of the message answered                                  wire
dirver     exchange   version of the directory snapshot                                  wire
pol        exchange   ids of the policy rules that decided, joined by ``,``              wire
dev        exchange   tolerated deviations by name, joined by ``,``                      wire
trust      exchange   SHA-256 of the decision about its keys, ``trust.binding_decision`` wire
test       exchange   ``synthetic``: a connectivity test of ours, about nobody; no patient traffic
unfit      both       names of the fields of this table that were left out, joined by ``,``
try        exchange   number of the attempt, from the second on                          refused
promise    exchange   SHA-256 of the log promise that the peer gave
c_req      exchange   salted commitment to the SHA-256 of the request's bytes
c_res      exchange   the same of the response's bytes
c_who      both       salted commitment to the private group ``who``; also of an erasure
c_patient  exchange   the same of ``patient``
c_query    exchange   the same of ``query``
c_docs     exchange   the same of ``docs``
c_wire     both       the same of ``wire``
act        change     what was changed: a code of ``data/trust_changes.toml``            refused
step       change     ``begun``, ``done`` or ``failed``                                  refused
begun      change     ``seq`` of the entry that this one ends                            refused
by         change     ``operator`` (a command), ``user`` (the console) or ``node`` itself  refused
thing      change     SHA-256 of a certificate, CRL, network list, file read or written  refused
role       change     which identity of ours, such as ``server``                         wire
ver        change     version of the identity or of the network list                     refused
uses       change     what a key or an anchor is good for, joined by ``,``               wire
source     change     whose directory entries: a word without digits                     wire
setting    change     name of a setting of the peer profile                              wire
added      change     number of entries that are new                                     refused
changed    change     number of entries that differ                                      refused
removed    change     number of entries that are gone                                    refused
left_out   change     number of rows that could not be used                              refused
entries    change     number of entries that were exported                               refused
size       change     entries of the newest checkpoint, or of the log that is meant      refused
root       change     its root hash                                                      refused
log        change     origin of another log of ours: it follows, went before, or aged    wire
first      change     number of its first entry                                          refused
kept       change     number of its entries that are kept                                refused
target     erasure    ``seq`` of the entry whose private group was erased                refused
part       erasure    the group                                                          refused
authority  erasure    who ordered it, a code of ``data/erasures.toml``                   refused
reason     erasure    why, a code of the same table                                      refused
window     recon      the day (UTC) that a statement for a peer is about                 refused
========== ========== ================================================================== ==========

``recon`` (a statement for one ``peer`` about a day, ``node.ledger.statement``) also has ``entries``
(its rows), ``root`` (of its tokens) and ``thing`` (SHA-256 of its text).

``change`` stands for the kinds ``cert`` (our identities, anchors, CRLs) and ``directory`` (imports,
our decisions, the network list), see ``node.ledger.trust_change``, and ``admin`` (what operators do
with the log itself, such as an export or a legal hold); ``both``: these and exchanges.

Commitments are salted with 32 fresh random bytes each (C5), so two leaves about the same person
share nothing. ``peer`` and ``org`` must be what the directory knows, not what a peer claims.

Example (one line)::

    {"c_who":"3q2+…","dir":"responding","docs":0,"dur_ms":12,"exch":"0190…", … ,"v":1}
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

import orjson

from node.errors import OurFault
from node.model import Direction, Outcome

Leaf = Mapping[str, str | int]
"""The fields of a leaf by their names."""

VERSION: Final = 1
LIMIT: Final = 4096
"""Bytes of the longest leaf."""

GROUPS: Final = ("who", "patient", "query", "docs", "wire")
"""The private groups; each is committed to, and erasable, on its own."""

COUNTS: Final = (
    "added", "changed", "removed", "left_out", "entries", "size", "first", "kept",
)  # fmt: skip
"""The fields of a change that count something."""

_MAX_INTEGER: Final = 2**53 - 1
_UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_HCID = r"(?=.{9,64}\Z)urn:oid:[0-2](?:\.(?:0|[1-9][0-9]*))+"
_CODE = r"(?=.{1,64}\Z)(?!.*[0-9]{4})[A-Za-z][A-Za-z0-9]*(?:[-_.:][A-Za-z0-9]+)*"
_NAME = r"[A-Za-z0-9][A-Za-z0-9._:+/-]{0,63}"
_NAMES = rf"(?=.{{1,512}}\Z){_NAME}(?:,{_NAME})*"
_TIME = r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z"
# the last character before the padding has its two low bits clear in canonical base64
_SHA256 = r"[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]="
_WORD = r"[a-z]+(?:-[a-z]+)*"


class Kind(StrEnum):
    """What an entry is about."""

    EXCHANGE = "exchange"
    CERT = "cert"
    DIRECTORY = "directory"
    ADMIN = "admin"
    ERASURE = "erasure"
    HEARTBEAT = "heartbeat"
    RECON = "recon"


_ALL: Final = frozenset(kind.value for kind in Kind)
_EXCHANGE: Final = frozenset({Kind.EXCHANGE.value})
_TRUST: Final = frozenset({Kind.CERT.value, Kind.DIRECTORY.value, Kind.ADMIN.value})
_ERASURE: Final = frozenset({Kind.ERASURE.value})
_RECON: Final = frozenset({Kind.RECON.value})
_GROUP_KINDS: Final = {"who": _EXCHANGE | _TRUST | _ERASURE, "wire": _EXCHANGE | _TRUST}
"""Which kinds have a private group; the others are of exchanges alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One row of the table above; ``form`` is ``None`` for an integer."""

    form: re.Pattern[str] | None
    kinds: frozenset[str]
    required: bool = False


def _text(form: str, kinds: frozenset[str], *, required: bool = False) -> Field:
    return Field(form=re.compile(form, re.ASCII), kinds=kinds, required=required)


def _number(kinds: frozenset[str], *, required: bool = True) -> Field:
    return Field(form=None, kinds=kinds, required=required)


FIELDS: Final[Mapping[str, Field]] = {
    "v": _number(_ALL),
    "kind": _text("|".join(sorted(_ALL)), _ALL, required=True),
    "id": _text(_UUID, _ALL, required=True),
    "t": _text(_TIME, _ALL, required=True),
    "seq": _number(_ALL),
    "own": _text(_HCID, _ALL, required=True),
    "exch": _text(_UUID, _EXCHANGE, required=True),
    "dir": _text("|".join(Direction), _EXCHANGE, required=True),
    "txn": _text(r"[A-Z][A-Za-z0-9-]{1,31}", _EXCHANGE, required=True),
    "outcome": _text("|".join(Outcome), _EXCHANGE, required=True),
    "docs": _number(_EXCHANGE),
    "dur_ms": _number(_EXCHANGE),
    "peer": _text(_HCID, _EXCHANGE | _TRUST | _RECON),
    "org": _text(r"[A-Za-z0-9.-]{1,64}", _EXCHANGE | _TRUST | _RECON),
    "key": _text(_SHA256, _EXCHANGE | _TRUST),
    "bind": _text(r"[a-z][a-z+-]{0,31}", _EXCHANGE),
    "purpose": _text(r"[A-Z][A-Z0-9-]{0,31}", _EXCHANGE),
    "reason": _text(_CODE, _EXCHANGE | _TRUST | _ERASURE),
    "msg": _text(rf"urn:uuid:{_UUID}", _EXCHANGE),
    "rel": _text(rf"urn:uuid:{_UUID}", _EXCHANGE),
    "dirver": _text(_NAME, _EXCHANGE),
    "pol": _text(_NAMES, _EXCHANGE),
    "dev": _text(_NAMES, _EXCHANGE),
    "trust": _text(_SHA256, _EXCHANGE),
    "test": _text("synthetic", _EXCHANGE),
    "unfit": _text(_NAMES, _EXCHANGE | _TRUST),
    "try": _number(_EXCHANGE, required=False),
    "promise": _text(_SHA256, _EXCHANGE),
    "c_req": _text(_SHA256, _EXCHANGE),
    "c_res": _text(_SHA256, _EXCHANGE),
    **{f"c_{group}": _text(_SHA256, _GROUP_KINDS.get(group, _EXCHANGE)) for group in GROUPS},
    "act": _text(rf"(?=.{{1,32}}\Z){_WORD}", _TRUST, required=True),
    "step": _text("begun|done|failed", _TRUST, required=True),
    "begun": _number(_TRUST, required=False),
    "by": _text("node|operator|user", _TRUST, required=True),
    "thing": _text(_SHA256, _TRUST | _RECON),
    "root": _text(_SHA256, _TRUST | _RECON),
    "role": _text(r"(?=.{1,40}\Z)(?!.*[0-9]{4})[a-z]+(?:-[A-Za-z0-9]+)*", _TRUST),
    "ver": _number(_TRUST, required=False),
    "uses": _text(rf"(?=.{{1,128}}\Z){_WORD}(?:,{_WORD})*", _TRUST),
    "source": _text(rf"(?=.{{1,32}}\Z){_WORD}", _TRUST),
    "log": _text(r"(?=.{1,210}\Z)[A-Za-z0-9.:_-]+(?:/[A-Za-z0-9._~-]+)*/[0-9]{4}", _TRUST),
    "setting": _text(r"(?=.{1,64}\Z)[a-z]+(?:_[a-z]+)*", _TRUST),
    **{name: _number(_TRUST, required=False) for name in COUNTS},
    "entries": _number(_TRUST | _RECON, required=False),
    "target": _number(_ERASURE),
    "part": _text("|".join(GROUPS), _ERASURE, required=True),
    "authority": _text(_CODE, _ERASURE, required=True),
    "window": _text(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", _RECON, required=True),
}

_REQUIRED = {
    kind: frozenset(n for n, f in FIELDS.items() if f.required and kind in f.kinds) for kind in _ALL
}
_FORMS: Final = {
    kind: {name: field.form for name, field in FIELDS.items() if kind in field.kinds}
    for kind in _ALL
}


def fits(name: str, value: object) -> bool:
    """Whether a value has the form of a field; an unknown field fits nothing."""
    field = FIELDS.get(name)
    return field is not None and _has_form(field.form, value)


def _has_form(form: re.Pattern[str] | None, value: object) -> bool:
    if form is None:
        return type(value) is int and 0 <= value <= _MAX_INTEGER
    return isinstance(value, str) and form.fullmatch(value) is not None


def encode(leaf: Leaf, *, checked: Collection[str] = ()) -> bytes:
    """The canonical bytes of a leaf; ``checked`` are fields whose values ``fits`` has passed.

    Raises:
        OurFault: ``ledger-leaf-invalid``: a field is missing, unknown, or not of its form, or the
            leaf is longer than 4 KiB. The sentence names the field, never its value.
    """
    problem = _problem(leaf, checked)
    if problem:
        raise OurFault("ledger-leaf-invalid", problem)
    data = _canonical(leaf)
    if len(data) > LIMIT:
        raise OurFault("ledger-leaf-invalid", f"A log entry is longer than {LIMIT} bytes.")
    return data


def decode(data: bytes) -> dict[str, str | int]:
    """The fields of stored bytes, after checking that these are a canonical leaf.

    Raises:
        OurFault: ``ledger-leaf-invalid``, with the sentence naming what is wrong.
    """
    if len(data) > LIMIT:
        raise OurFault("ledger-leaf-invalid", f"A log entry is longer than {LIMIT} bytes.")
    try:
        leaf = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise OurFault("ledger-leaf-invalid", "A log entry is not JSON.") from error
    if not isinstance(leaf, dict):
        raise OurFault("ledger-leaf-invalid", "A log entry is not a JSON object.")
    problem = _problem(leaf)
    if problem:
        raise OurFault("ledger-leaf-invalid", problem)
    if _canonical(leaf) != data:
        raise OurFault("ledger-leaf-invalid", "A log entry is not in canonical form.")
    return leaf


def leaf_hash(data: bytes) -> bytes:
    """SHA-256 of ``0x00`` and the entry's bytes (RFC 6962 2.1)."""
    return hashlib.sha256(b"\x00" + data).digest()


def split_at_seq(data: bytes) -> tuple[bytes, bytes]:
    """What stands before and after the sequence number of a leaf that was encoded with seq 0.

    The writer learns the number inside its transaction and joins the parts there. The mark cannot
    stand in a value: no form admits a quotation mark.
    """
    head, mark, tail = data.partition(b'"seq":0')
    if not mark:
        raise OurFault("ledger-leaf-invalid", "A log entry to be numbered must have seq 0.")
    return head + b'"seq":', tail


def from_time(instant: datetime) -> str:
    """RFC 3339 UTC with exactly milliseconds (cut, not rounded); the instant must be aware."""
    if instant.tzinfo is None:
        raise OurFault("ledger-leaf-invalid", "A log entry's time has no time zone.")
    return instant.astimezone(UTC).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def to_milliseconds(text: str) -> int:
    """Milliseconds since 1970 of a leaf's ``t``; ValueError when it is no date."""
    return milliseconds(datetime.fromisoformat(text))


def milliseconds(instant: datetime) -> int:
    """Milliseconds since 1970 of an aware instant, cut to the millisecond."""
    since = instant - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1000 + since.microseconds // 1000


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def from_bytes(value: bytes) -> str:
    """Canonical base64 (RFC 4648 section 4)."""
    return binascii.b2a_base64(value, newline=False).decode("ascii")


def to_bytes(text: str) -> bytes:
    """Bytes of canonical base64; stray pad bits are refused (Python's decoder ignores them).

    Raises:
        ValueError: when it is not canonical base64.
    """
    value = base64.b64decode(text, validate=True)
    if from_bytes(value) != text:
        raise ValueError("not canonical base64")
    return value


def _canonical(leaf: Leaf) -> bytes:
    return orjson.dumps(leaf, option=orjson.OPT_SORT_KEYS)


def _problem(leaf: Leaf, checked: Collection[str] = ()) -> str | None:
    kind = leaf.get("kind")
    required = _REQUIRED.get(kind) if isinstance(kind, str) else None
    if required is None:
        return "A log entry is of an unknown kind."
    if not leaf.keys() >= required:
        return f"A log entry lacks {', '.join(sorted(required - leaf.keys()))}."
    forms = _FORMS[str(kind)]
    for name, value in leaf.items():
        if name not in forms:
            return "A log entry has a field that its kind does not have."
        if name not in checked and not _has_form(forms[name], value):
            return f"The field {name} of a log entry does not have its form."
    return _meaning_problem(leaf)


def _meaning_problem(leaf: Leaf) -> str | None:
    """What a form alone cannot say: the version, and real dates."""
    if leaf["v"] != VERSION:
        return "A log entry is of an unknown version."
    try:
        datetime.fromisoformat(str(leaf["t"]))
    except ValueError:
        return "The field t of a log entry is not a time."
    return None
