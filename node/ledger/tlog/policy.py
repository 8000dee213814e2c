"""Who must have signed: the logs, the witnesses, and the quorum among them (C2SP tlog-policy).

Example::

    log log.node-a.example/exchange/2026+8a58b3e7+Ae+Ei…
    witness B witness.node-b.example/w1+ac9bad38+BNSv…
    witness C witness.node-c.example/w1+676afb3f+BAtq…
    group peers 2 B C
    quorum peers

A name is any run of bytes without white space; it means nothing outside of the file.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Final

from node.errors import LogError
from node.ledger.tlog.checkpoint import Checkpoint, parse_checkpoint, parse_decimal
from node.ledger.tlog.cosignature import checks, time_of
from node.ledger.tlog.note import (
    KeyType,
    Note,
    VerifierKey,
    parse_note,
    parse_verifier_key,
    verified,
)

_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")

NONE: Final = "none"
MAX_POLICY: Final = 256 * 1024
"""Bytes of the longest policy."""

MAX_NAMES: Final = 256
"""Logs, witnesses and groups together; C2SP asks for 32 of each at least."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Holds when ``threshold`` of its members do."""

    threshold: int
    members: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What makes a checkpoint acceptable.

    Attributes:
        logs: keys of which one must have signed under its own name as origin.
        witnesses: by their names in the file.
        groups: in the order of the file; a group names only what stands before it.
        quorum: the witness or group that must hold, or ``none``.
    """

    logs: tuple[VerifierKey, ...]
    witnesses: Mapping[str, VerifierKey] = field(default_factory=dict)
    groups: Mapping[str, Group] = field(default_factory=dict)
    quorum: str = NONE

    def is_met(self, witnessed: Collection[str]) -> bool:
        """Whether the witnesses that cosigned, by name, make the quorum."""
        holds = {name: name in witnessed for name in self.witnesses}
        for name, group in self.groups.items():
            holds[name] = sum(holds[member] for member in group.members) >= group.threshold
        return self.quorum == NONE or holds[self.quorum]


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """A checkpoint that a policy accepts.

    ``witnessed`` are the times (seconds since 1970) of the cosignatures by the witnesses' names.
    """

    checkpoint: Checkpoint
    note: Note
    witnessed: Mapping[str, int]


def of_log(*keys: VerifierKey) -> Policy:
    """The policy that trusts a log's own signature alone."""
    return Policy(logs=keys)


def accept(policy: Policy, data: bytes) -> Accepted:
    """Check a signed checkpoint against a policy.

    Raises:
        LogError: ``log-note-invalid``, ``log-checkpoint-invalid``, ``log-signature-invalid``,
            ``log-quorum-missing``.
    """
    note = parse_note(data)
    checkpoint = parse_checkpoint(note.text)
    # SPEC: the key's name must correspond to the origin line
    logs = [key for key in policy.logs if key.name == checkpoint.origin]
    if not logs:
        raise LogError(
            "log-signature-invalid", f"The checkpoint is of another log: {checkpoint.origin}."
        )
    verified(note, logs, checks)
    witnessed: dict[str, int] = {}
    for name, key in policy.witnesses.items():
        if any(signature.is_of(key) for signature in note.signatures):
            signatures = verified(note, (key,), checks)
            witnessed[name] = max(time_of(signature.value) for signature in signatures)
    if not policy.is_met(witnessed):
        raise LogError(
            "log-quorum-missing",
            f"The checkpoint has {len(witnessed)} of {len(policy.witnesses)} cosignatures, which "
            f"is not the quorum {policy.quorum}.",
        )
    return Accepted(checkpoint=checkpoint, note=note, witnessed=witnessed)


def parse_policy(data: bytes) -> Policy:
    """Read a policy file.

    Raises:
        LogError: ``log-policy-invalid`` with the number of the line, ``log-key-invalid``.
    """
    if len(data) > MAX_POLICY:
        raise LogError("log-policy-invalid", f"A policy is longer than {MAX_POLICY} bytes.")
    reading = _Reading()
    # SPEC: octets above 0x7F are opaque
    lines = data.decode("utf-8", "surrogateescape").split("\n")
    for number, line in enumerate(lines, start=1):
        # SPEC: white space is ASCII space and tab only; the only other control is the newline
        if _CONTROL.search(line):
            raise _invalid(number, "has a control character")
        words = line.replace("\t", " ").split(" ")
        words = [word for word in words if word]
        if words and not words[0].startswith("#"):
            reading.take(number, words)
    if reading.quorum is None:
        raise LogError("log-policy-invalid", "A policy has no quorum line.")
    return Policy(
        logs=tuple(reading.logs),
        witnesses=reading.witnesses,
        groups=reading.groups,
        quorum=reading.quorum,
    )


class _Reading:
    """A policy as far as it was read."""

    def __init__(self) -> None:
        self.logs: list[VerifierKey] = []
        self.witnesses: dict[str, VerifierKey] = {}
        self.groups: dict[str, Group] = {}
        self.quorum: str | None = None
        self._members: set[str] = set()

    def take(self, number: int, words: list[str]) -> None:
        match words:
            case ["log", key] | ["log", key, _]:
                self.logs.append(self._key(number, key, {KeyType.ED25519_NOTE}, self.logs))
            case ["witness", name, key] | ["witness", name, key, _]:
                kinds = {KeyType.ED25519_COSIGNATURE, KeyType.MLDSA44_COSIGNATURE}
                self._new(number, name)
                known = list(self.witnesses.values())
                self.witnesses[name] = self._key(number, key, kinds, known)
            case ["group", name, threshold, *members] if members:
                self._new(number, name)
                self.groups[name] = self._group(number, threshold, members)
            case ["quorum", name]:
                if self.quorum is not None:
                    raise _invalid(number, "is a second quorum line")
                if name != NONE and name not in self.witnesses and name not in self.groups:
                    raise _invalid(number, "names a quorum that no line before it defines")
                self.quorum = name
            case _:
                raise _invalid(number, "is not a line of a policy")
        if len(self.logs) + len(self.witnesses) + len(self.groups) > MAX_NAMES:
            raise _invalid(number, f"is more than the {MAX_NAMES} lines that are taken")

    def _new(self, number: int, name: str) -> None:
        if name == NONE or name in self.witnesses or name in self.groups:
            raise _invalid(number, "defines a name that is taken")

    @staticmethod
    def _key(
        number: int, text: str, kinds: Collection[KeyType], known: list[VerifierKey]
    ) -> VerifierKey:
        key = parse_verifier_key(text)
        if key.kind not in kinds:
            raise _invalid(number, "has a key that signs something else")
        # SPEC: the same public key under another name is a duplicate as well
        if any(key.public == other.public for other in known):
            raise _invalid(number, "has a key that another line has")
        return key

    def _group(self, number: int, threshold: str, members: list[str]) -> Group:
        if not all(member in self.witnesses or member in self.groups for member in members):
            raise _invalid(number, "has a member that no line before it defines")
        # SPEC: each name can be a member at most once, over all groups
        if len(set(members)) != len(members) or self._members & set(members):
            raise _invalid(number, "has a member that is in a group already")
        self._members.update(members)
        words = {"any": 1, "all": len(members)}
        wanted = words.get(threshold, parse_decimal(threshold))
        if wanted is None or not 1 <= wanted <= len(members):
            raise _invalid(number, "has a threshold that is not any, all or 1 to its members")
        return Group(threshold=wanted, members=tuple(members))


def _invalid(number: int, what: str) -> LogError:
    return LogError("log-policy-invalid", f"Line {number} of the policy {what}.")
