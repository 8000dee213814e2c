"""The life of one of our identities, as a table of states and what may happen in each (pki A2).

An identity is one key with its certificate in one role. A role has numbered versions of it, of
which at most one is active; a version that was superseded stays usable (retiring) until peers have
forgotten it. Nothing here touches a file or a clock, and no record ever holds key material: a key
is named by the SHA-256 of its SubjectPublicKeyInfo.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from enum import StrEnum

from trust.errors import TrustError


class State(StrEnum):
    """Where a version stands."""

    PLANNED = "planned"
    KEY_GENERATED = "key-generated"
    CSR_ISSUED = "csr-issued"
    STAGED = "staged"  # certificate received, its checks passed
    VERIFIED = "verified"  # a handshake with it worked
    ACTIVE = "active"
    RETIRING = "retiring"
    RETIRED = "retired"
    COMPROMISED = "compromised"


class Verb(StrEnum):
    """What can happen to a version."""

    GENERATE = "generate"
    REQUEST = "request"
    ADOPT = "adopt"  # key and certificate came from elsewhere, and are in use already
    PROVE = "prove"  # a key without certificate signed something that its public half verifies
    RECEIVE = "receive"
    VERIFY = "verify"
    ACTIVATE = "activate"
    SUPERSEDE = "supersede"
    RETIRE = "retire"
    COMPROMISE = "compromise"


TRANSITIONS: Mapping[State, Mapping[Verb, State]] = {
    State.PLANNED: {Verb.GENERATE: State.KEY_GENERATED, Verb.ADOPT: State.ACTIVE},
    State.KEY_GENERATED: {
        Verb.REQUEST: State.CSR_ISSUED,
        Verb.RECEIVE: State.STAGED,  # issued for a request made elsewhere, or a renewal
        Verb.PROVE: State.VERIFIED,
        Verb.RETIRE: State.RETIRED,
        Verb.COMPROMISE: State.COMPROMISED,
    },
    State.CSR_ISSUED: {
        Verb.REQUEST: State.CSR_ISSUED,
        Verb.RECEIVE: State.STAGED,
        Verb.RETIRE: State.RETIRED,
        Verb.COMPROMISE: State.COMPROMISED,
    },
    State.STAGED: {
        Verb.RECEIVE: State.STAGED,
        Verb.VERIFY: State.VERIFIED,
        Verb.RETIRE: State.RETIRED,
        Verb.COMPROMISE: State.COMPROMISED,
    },
    State.VERIFIED: {
        Verb.RECEIVE: State.STAGED,
        Verb.VERIFY: State.VERIFIED,
        Verb.ACTIVATE: State.ACTIVE,
        Verb.RETIRE: State.RETIRED,
        Verb.COMPROMISE: State.COMPROMISED,
    },
    State.ACTIVE: {
        Verb.REQUEST: State.ACTIVE,  # a renewal for the same key; its certificate is a new version
        Verb.SUPERSEDE: State.RETIRING,
        Verb.COMPROMISE: State.COMPROMISED,
    },
    State.RETIRING: {
        Verb.ACTIVATE: State.ACTIVE,  # switching back
        Verb.RETIRE: State.RETIRED,
        Verb.COMPROMISE: State.COMPROMISED,
    },
    State.RETIRED: {Verb.COMPROMISE: State.COMPROMISED},
    State.COMPROMISED: {},
}

_USED = frozenset({State.ACTIVE, State.RETIRING, State.RETIRED, State.COMPROMISED})
GONE = frozenset({State.RETIRED, State.COMPROMISED})
WAITING = frozenset({State.KEY_GENERATED, State.CSR_ISSUED, State.STAGED, State.VERIFIED})

MAX_VERSIONS = 9999
MAX_STEPS = 50
MAX_REASON = 200
MAX_HISTORY_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One thing that happened to a version, and when."""

    verb: Verb
    state: State
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityRecord:
    """What is known of a version.

    Attributes:
        version: its number in its role, from 1.
        state: where it stands.
        spki_sha256: its key's name; ``None`` before there is a key.
        certificate_sha256: its certificate's fingerprint, once there is one.
        not_before: start of the certificate's validity.
        not_after: end of it.
        reason: why it was retired or compromised, in the operator's words.
        steps: the last ``MAX_STEPS`` things that happened, oldest first.
    """

    version: int
    state: State = State.PLANNED
    spki_sha256: str | None = None
    certificate_sha256: str | None = None
    not_before: datetime | None = None
    not_after: datetime | None = None
    reason: str = ""
    steps: tuple[Step, ...] = ()

    @property
    def since(self) -> datetime | None:
        """When it came into its state."""
        return self.steps[-1].at if self.steps else None

    def after(self, verb: Verb, *, now: datetime) -> IdentityRecord:
        """The record after something happened.

        Raises:
            TrustError: ``lifecycle-refused`` when that cannot happen in its state.
        """
        state = TRANSITIONS[self.state].get(verb)
        if state is None:
            raise TrustError(
                "lifecycle-refused",
                f"Version {self.version} is {self.state}: {verb} is not possible from there.",
            )
        step = Step(verb=verb, state=state, at=now)
        return replace(self, state=state, steps=(*self.steps, step)[-MAX_STEPS:])


Records = tuple[IdentityRecord, ...]
"""The versions of one role, by number."""


def of_version(records: Sequence[IdentityRecord], version: int) -> IdentityRecord:
    """The record of a version. Raises ``TrustError`` ``version-unknown``."""
    for record in records:
        if record.version == version:
            return record
    raise TrustError("version-unknown", f"There is no version {version}.")


def replaced(records: Iterable[IdentityRecord], record: IdentityRecord) -> Records:
    """The records with one put in the place of that of its version, or added."""
    others = {each.version: each for each in records}
    others[record.version] = record
    return tuple(others[version] for version in sorted(others))


def next_version(records: Sequence[IdentityRecord]) -> int:
    """The number of the next version. Raises ``TrustError`` ``versions-exhausted``."""
    version = max((record.version for record in records), default=0) + 1
    if version > MAX_VERSIONS:
        raise TrustError("versions-exhausted", f"A role has {MAX_VERSIONS} versions at most.")
    return version


def active(records: Sequence[IdentityRecord]) -> IdentityRecord | None:
    """The active version, if there is one."""
    return next((record for record in records if record.state is State.ACTIVE), None)


def waiting(records: Sequence[IdentityRecord]) -> IdentityRecord | None:
    """The newest version that is on its way to become active, if there is one."""
    return next((record for record in reversed(records) if record.state in WAITING), None)


def switched(records: Sequence[IdentityRecord], version: int, *, now: datetime) -> Records:
    """The records after a switch: one version becomes active, the one before it retiring.

    Raises:
        TrustError: ``version-unknown``, ``lifecycle-refused``.
    """
    chosen = of_version(records, version).after(Verb.ACTIVATE, now=now)
    before = active(records)
    settled = replaced(records, before.after(Verb.SUPERSEDE, now=now)) if before else records
    return replaced(settled, chosen)


def settled(records: Sequence[IdentityRecord], live: int | None, *, now: datetime) -> Records:
    """The records made to agree with what is live: a crash may come between a switch and its note.

    Raises:
        TrustError: ``lifecycle-refused`` when the live version could never have become active.
    """
    before = active(records)
    if before is not None and before.version == live:
        return tuple(records)
    if live is not None:
        return switched(records, live, now=now)
    if before is not None:
        return replaced(records, before.after(Verb.SUPERSEDE, now=now))
    return tuple(records)


def compromised_keys(records: Iterable[IdentityRecord]) -> frozenset[str]:
    """SPKI SHA-256 of the keys that must never come back."""
    found = (r.spki_sha256 for r in records if r.state is State.COMPROMISED)
    return frozenset(key for key in found if key)


def used_keys(records: Iterable[IdentityRecord]) -> frozenset[str]:
    """SPKI SHA-256 of the keys that are not new: once in use, or in use now.

    The key in use is new again when its renewal was asked for on purpose (facts pki A2: "unless
    explicitly overridden").
    """
    known = tuple(records)
    used = {r.spki_sha256 for r in known if r.state in _USED}
    asked = {r.spki_sha256 for r in known if r.state is State.ACTIVE and _asked_again(r)}
    return frozenset(key for key in used - asked if key)


def _asked_again(record: IdentityRecord) -> bool:
    verbs = [step.verb for step in record.steps]
    return bool(verbs) and verbs[-1] is Verb.REQUEST


# --- as a file ----------------------------------------------------------------------------------


def write_history(records: Iterable[IdentityRecord]) -> bytes:
    """The records as JSON."""
    rows = [asdict(record) for record in records]
    return (json.dumps({"versions": rows}, default=_plain, indent=1) + "\n").encode()


def read_history(data: bytes) -> Records:
    """Reads what ``write_history`` wrote.

    Raises:
        TrustError: ``identity-history-invalid``.
    """
    if len(data) > MAX_HISTORY_BYTES:
        raise TrustError("identity-history-invalid", "The history of an identity is too large.")
    try:
        records = tuple(_record(row) for row in json.loads(data)["versions"])
    except (ValueError, KeyError, TypeError) as error:
        raise TrustError(
            "identity-history-invalid",
            "The history of an identity cannot be read.",
            detail=type(error).__name__,
        ) from error
    numbers = [record.version for record in records]
    if numbers != sorted(set(numbers)) or sum(r.state is State.ACTIVE for r in records) > 1:
        raise TrustError(
            "identity-history-invalid", "The history of an identity contradicts itself."
        )
    return records


def _record(row: Mapping[str, object]) -> IdentityRecord:
    steps = row["steps"]
    if not isinstance(steps, list) or not isinstance(row["version"], int):
        raise TypeError
    return IdentityRecord(
        version=row["version"],
        state=State(str(row["state"])),
        spki_sha256=_text(row["spki_sha256"]),
        certificate_sha256=_text(row["certificate_sha256"]),
        not_before=_time(row["not_before"]),
        not_after=_time(row["not_after"]),
        reason=str(row["reason"]),
        steps=tuple(
            Step(
                verb=Verb(step["verb"]),
                state=State(step["state"]),
                at=datetime.fromisoformat(step["at"]),
            )
            for step in steps
        ),
    )


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _time(value: object) -> datetime | None:
    return None if value is None else datetime.fromisoformat(str(value))


def _plain(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(type(value).__name__)
