"""From a change of trust to its entry: the one place where that is done. Pure.

Whom we trust and what we are trusted by changes rarely, and each change is an entry of its own, of
kind ``cert`` (our identities, anchors, CRLs) or ``directory`` (imports, decisions about
organisations, the network list). ``data/trust_changes.toml`` lists the acts. What operators do with
the log itself (kind ``admin``) is written in the same way.

**The change and its entry do not come apart silently.** A change is written twice: ``begun`` before
anything is touched, ``done`` or ``failed`` after it, the second naming the number of the first. So

* a log that cannot be written (locked, full, away) stops the change before it is made;
* a change that fails leaves an entry that says so, with the reason's code;
* a process that dies between the two leaves a ``begun`` entry that nothing ends, and a change whose
  second entry could not be written ends with an error that names that entry.

What the node only meets (a list refused, an identity taken over) has one entry, ``done``.

**What goes where.** The leaf has codes, digests, numbers and directory ids: no free text, nothing
about a person. Who did it is in the private group ``who``; words of an operator and other free
texts (a suspension's reason, a label, a URL) are in ``wire``, as is a value that does not have the
form of its field.
"""

from __future__ import annotations

import re
import tomllib
from collections import defaultdict
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from importlib import resources
from typing import Final, Protocol

from node.errors import OurFault
from node.exchange.ports import Receipt
from node.ledger import leaf
from node.ledger.record import Draft

_SHORT: Final = 16
_LEFT_OUT: Final = "…"
_ONE: Final = re.compile(r"\b1 (entr|exchange|flag|document|row|request)(ies|s)\b")


class Step(StrEnum):
    """Where a change stands when its entry is written."""

    BEGUN = "begun"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """One row of the table: the kind of its entries, and what people read of it."""

    kind: str
    doing: str | None
    done: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustChange:
    """A change of trust, as far as it is known.

    Attributes:
        act: a row of ``data/trust_changes.toml``.
        thing: SHA-256 (hex) of the certificate, CRL, network list or file it is about; of several
            files that of their digests, one after the other.
        key: SHA-256 (hex) of the SubjectPublicKeyInfo it is about.
        root: root hash (hex) of the log's newest checkpoint.
        log: origin of a log of ours.
        role: which identity of ours.
        version: of the identity, or of the network list.
        organization_id: directory id of the organisation that is decided about.
        home_community_id: its HCID.
        uses: what a key or an anchor is good for.
        source: whose directory entries.
        setting: name of the setting of a peer profile.
        reason: a code: why it failed or was refused.
        counts: numbers by the names in ``leaf.COUNTS``.
        private: free texts and other details, for the private group ``wire``; JSON-ready.
    """

    act: str
    thing: str | None = None
    key: str | None = None
    root: str | None = None
    log: str | None = None
    role: str | None = None
    version: int | None = None
    organization_id: str | None = None
    home_community_id: str | None = None
    uses: tuple[str, ...] = ()
    source: str | None = None
    setting: str | None = None
    reason: str | None = None
    counts: Mapping[str, int] = field(default_factory=dict)
    private: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Author:
    """Who changes trust.

    Attributes:
        by: ``operator`` for a command, ``user`` for a person at the console, ``node`` for the node
            itself.
        who: the private group: ``user_id`` is the operating system's name of the user, or the
            login at the console.
    """

    by: str
    who: Mapping[str, object]


class Made(Protocol):
    """A change under way: what comes to be known of it before its second entry is written."""

    def add(self, change: TrustChange) -> None:
        """Say what it became; fields that are set replace the former ones."""
        ...

    def refuse(self, reason: str) -> None:
        """Say that it was not made, by a reason's code, without an exception."""
        ...


class Recorder(Protocol):
    """Where changes of trust are written down (implemented by ``node.ledger.trust_log``)."""

    def change(self, change: TrustChange) -> AbstractContextManager[Made]:
        """Write ``begun``, let the block make the change, write ``done`` or ``failed``.

        Raises:
            OurFault: ``trust-change-unrecorded``: nothing was changed, or (the sentence says which)
                it was and its second entry is missing.
        """
        ...

    def fact(self, change: TrustChange) -> Receipt:
        """Write the one entry of something that the node met.

        Raises:
            OurFault: ``trust-change-unrecorded``.
        """
        ...


@lru_cache
def acts() -> dict[str, Act]:
    """All acts by their codes."""
    text = resources.files("node.ledger").joinpath("data/trust_changes.toml").read_text("utf-8")
    return {
        code: Act(kind=row["kind"], doing=row.get("doing"), done=row["done"])
        for code, row in tomllib.loads(text).items()
    }


def completed(change: TrustChange, more: TrustChange) -> TrustChange:
    """A change with what has come to be known of it. Raises ValueError for another act."""
    if more.act != change.act:
        raise ValueError(more.act)
    known = {
        name: value for name in TrustChange.__slots__ if (value := getattr(more, name)) not in _NONE
    }
    known["private"] = {**change.private, **more.private}
    return replace(change, **known)


_NONE: Final[tuple[object, ...]] = (None, (), {})


def draft_change(
    change: TrustChange,
    *,
    step: Step,
    begun: int | None,
    author: Author,
    own: str,
    entry_id: str,
    now: datetime,
) -> Draft:
    """The entry of a change, before sealing.

    Args:
        change: what is changed.
        step: where it stands.
        begun: the number of the entry that this one ends.
        author: who changes it.
        own: our HCID.
        entry_id: a fresh UUID.
        now: the current time.

    Raises:
        OurFault: ``ledger-leaf-invalid`` for an act that the table does not have, or a digest or
            number that is none: errors of ours.
    """
    act = acts().get(change.act)
    if act is None:
        raise OurFault("ledger-leaf-invalid", "A log entry is of an unknown act.")
    fields: dict[str, str | int] = {
        "v": leaf.VERSION,
        "kind": act.kind,
        "id": entry_id,
        "t": leaf.from_time(now),
        "seq": 0,
        "own": own,
        "act": change.act,
        "step": step.value,
        "by": author.by,
    }
    for name, digest in (("thing", change.thing), ("key", change.key), ("root", change.root)):
        if digest is not None:
            fields[name] = _base64(digest)
    numbers = {"begun": begun, "ver": change.version, **change.counts}
    fields |= {name: number for name, number in numbers.items() if number is not None}
    unfit: dict[str, str] = {}
    for name, value in _words(change):
        if value:
            (fields if leaf.fits(name, value) else unfit)[name] = value
    if unfit:
        fields["unfit"] = ",".join(sorted(unfit))
    wire = dict(change.private) | ({"unfit": unfit} if unfit else {})
    groups = {"who": dict(author.who), "wire": wire}
    return Draft(
        fields=fields,
        groups={name: group for name, group in groups.items() if group},
        checked=set(),
    )


def sentence(fields: leaf.Leaf) -> str | None:
    """What a person reads of an entry; ``None`` when it is no change of trust."""
    act = acts().get(str(fields.get("act")))
    if act is None:
        return None
    shown = defaultdict(lambda: _LEFT_OUT, {name: _shown(name, v) for name, v in fields.items()})
    reason = f" ({fields['reason']})" if "reason" in fields else ""

    def filled(words: str) -> str:
        # what an entry does not have at the end of its sentence is no part of it
        whole = words.format_map(shown).removesuffix(".").removesuffix(f": {_LEFT_OUT}")
        return _ONE.sub(_singular, whole)

    match fields["step"]:
        case Step.DONE:
            return f"{filled(act.done)}{reason}."
        case Step.FAILED:
            return f"Failed{reason}: {filled(act.doing or act.done)}."
        case _:
            return f"Begun: {filled(act.doing or act.done)}."


def _singular(found: re.Match[str]) -> str:
    return f"1 {found[1]}{'y' if found[2] == 'ies' else ''}"


def _words(change: TrustChange) -> tuple[tuple[str, str | None], ...]:
    return (
        ("peer", change.home_community_id),
        ("org", change.organization_id),
        ("log", change.log),
        ("role", change.role),
        ("uses", ",".join(change.uses)),
        ("source", change.source),
        ("setting", change.setting),
        ("reason", change.reason),
    )


def _base64(digest: str) -> str:
    try:
        return leaf.from_bytes(bytes.fromhex(digest))
    except ValueError:
        raise OurFault("ledger-leaf-invalid", "A log entry's digest is not in hex.") from None


def _shown(name: str, value: str | int) -> str:
    """Digests as people know them: in hex, and short."""
    if name in ("thing", "key", "root"):
        return leaf.to_bytes(str(value)).hex()[:_SHORT]
    return str(value).replace(",", ", ")
