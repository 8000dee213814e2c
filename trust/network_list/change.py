"""What differs between two network lists, as data and as sentences. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from trust.network_list.entry import Entry, entry_fields
from trust.network_list.listing import DenyList, NetworkList, policy_json, terms_of
from trust.network_list.names import numbers


class Kind(StrEnum):
    """What happened to a thing."""

    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldChange:
    """One field of an entry: JSON values, ``None`` where it is not set."""

    field: str
    before: Any
    after: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryChange:
    """One entry."""

    kind: Kind
    entry_id: str
    name: str
    qhin: str
    fields: tuple[FieldChange, ...] = ()

    @property
    def sentence(self) -> str:
        """What a person reads."""
        what = f"{self.name} ({self.entry_id}, by {self.qhin}) {_WORDS[self.kind]}"
        if not self.fields:
            return f"{what}."
        return f"{what}: {', '.join(field.field for field in self.fields)}."


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherChange:
    """Something that is no entry: a QHIN, a denied key, an anchor, the policy, the root."""

    kind: Kind
    subject: str
    name: str

    @property
    def sentence(self) -> str:
        """What a person reads."""
        return f"{self.subject} {self.name} {_WORDS[self.kind]}."


@dataclass(frozen=True, slots=True, kw_only=True)
class ListChange:
    """All that differs.

    Attributes:
        before: digest of the older list, ``None`` when there was none.
        after: digest of the newer one.
        share: changed entries over entries before, 0 to 1 and more.
        approval: why an operator must approve it; empty when it need not wait.
    """

    before: str | None
    after: str
    entries: tuple[EntryChange, ...]
    others: tuple[OtherChange, ...]
    share: float
    approval: tuple[str, ...]

    @property
    def sentences(self) -> tuple[str, ...]:
        """What a person reads, one line per change, what matters most first."""
        return (
            *(change.sentence for change in self.others),
            *(change.sentence for change in self.entries),
        )


_WORDS = {Kind.ADDED: "was added", Kind.REMOVED: "was removed", Kind.CHANGED: "changed"}


def compare(before: NetworkList | None, after: NetworkList, *, own_id: str | None) -> ListChange:
    """What differs between the list in use and a newer one.

    Args:
        before: the list in use; the first list of all need not wait: joining approved it.
        after: the newer one.
        own_id: the id of our own entry, whose change always waits.
    """
    old = {entry.id: (part.qhin, entry) for part, entry in before.entries()} if before else {}
    new = {entry.id: (part.qhin, entry) for part, entry in after.entries()}
    entries = tuple(_entries(old, new))
    share = len(entries) / max(len(old), 1)
    approval: list[str] = []
    if before is not None:
        if share > numbers()["change"]["approval_share"]:
            approval.append(f"{len(entries)} of {len(old)} entries differ.")
        if any(change.entry_id == own_id for change in entries):
            approval.append("Our own entry differs.")
        approval.extend(_power(before, after))
    return ListChange(
        before=before.digest if before else None,
        after=after.digest,
        entries=entries,
        others=tuple(_others(before, after)),
        share=share,
        approval=tuple(approval),
    )


def _power(before: NetworkList, after: NetworkList) -> Iterator[str]:
    """Why a change of the anchors waits, however small: nobody has a greater power than they."""
    differing = list(_named(_anchors(before), _anchors(after)))
    if differing:
        number = len(differing)
        yield f"{number} anchor{'s' if number > 1 else ''} or what they may vouch for differ."
    if before.policy.minimum_strength != after.policy.minimum_strength:
        yield f"Keys below 128-bit strength: {after.policy.minimum_strength}, no longer as before."


def _entries(
    old: Mapping[str, tuple[str, Entry]], new: Mapping[str, tuple[str, Entry]]
) -> Iterator[EntryChange]:
    for identity in sorted({*old, *new}):
        was, now = old.get(identity), new.get(identity)
        qhin, entry = now or was or ("", None)
        if entry is None or was == now:
            continue
        kind = Kind.CHANGED if was and now else Kind.ADDED if now else Kind.REMOVED
        yield EntryChange(
            kind=kind,
            entry_id=identity,
            name=entry.name,
            qhin=qhin,
            fields=tuple(_fields(was, now)) if was and now else (),
        )


def _fields(was: tuple[str, Entry], now: tuple[str, Entry]) -> Iterator[FieldChange]:
    if was[0] != now[0]:
        yield FieldChange(field="qhin", before=was[0], after=now[0])
    before, after = entry_fields(was[1]), entry_fields(now[1])
    for name in sorted({*before, *after}):
        if before.get(name) != after.get(name):
            yield FieldChange(field=name, before=before.get(name), after=after.get(name))


def _others(before: NetworkList | None, after: NetworkList) -> Iterator[OtherChange]:
    denied = _named(_denied(before.deny) if before else {}, _denied(after.deny))
    yield from (OtherChange(kind=k, subject="The denial of", name=n) for k, n in denied)
    qhins = _named(
        {p.qhin: 1 for p in before.qhins} if before else {},
        dict.fromkeys((p.qhin for p in after.qhins), 1),
    )
    yield from (OtherChange(kind=k, subject="The QHIN", name=n) for k, n in qhins)
    anchors = _named(_anchors(before) if before else {}, _anchors(after))
    yield from (OtherChange(kind=k, subject="The anchor", name=n) for k, n in anchors)
    if before:
        old, new = policy_json(before.policy), policy_json(after.policy)
        for field in sorted({*old, *new}):
            if old.get(field) != new.get(field):
                name = f"{after.policy.network} ({field.replace('_', ' ')})"
                yield OtherChange(kind=Kind.CHANGED, subject="The policy of", name=name)
    if before and before.root_version != after.root_version:
        name = f"(version {before.root_version} to {after.root_version})"
        yield OtherChange(kind=Kind.CHANGED, subject="The root", name=name)


def _anchors(listed: NetworkList) -> dict[str, object]:
    """What each anchor is worth, by its file and the fingerprint that a person compares."""
    return {
        f"{anchor.name} ({anchor.fingerprint})": terms_of(listed.policy, anchor.file)
        for anchor in listed.anchors
    }


def _denied(deny: DenyList) -> dict[str, str]:
    keys = {f"the key {denial.sha256}": denial.reason for denial in deny.keys}
    return keys | {f"the certificate {d.sha256}": d.reason for d in deny.certificates}


def _named(before: Mapping[str, object], after: Mapping[str, object]) -> Iterator[tuple[Kind, str]]:
    for name in sorted({*before, *after}):
        if name not in before:
            yield Kind.ADDED, name
        elif name not in after:
            yield Kind.REMOVED, name
        elif before[name] != after[name]:
            yield Kind.CHANGED, name
