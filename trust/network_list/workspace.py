"""The folder in which a network is run: what its list shall say, before anybody signs it.

::

    policy.json  deny.json  anchors/*.pem     said by the registrar, under the targets role
    delegations.json                          the QHINs and their keys
    entries/<qhin>/<id>.json                  said by each QHIN, under its own role
    staged/<role>.json                        metadata on its way through the holders' signatures
    public/                                   what `publish` made: serve it by any web server

A QHIN or a holder of a root key may work on a copy of the folder and hand back ``staged/`` and
``entries/<qhin>/``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import orjson
from pydantic import Field, TypeAdapter
from securesystemslib.signer import SSlibKey

from trust.certificates import parse_certificates
from trust.errors import TrustError
from trust.files import write_file
from trust.network_list import names
from trust.network_list.entry import (
    Entry,
    EntryId,
    Index,
    Text,
    authored_entry,
    entry_bytes,
    index_bytes,
    parsed,
)
from trust.network_list.listing import (
    Denial,
    DenyList,
    NetworkPolicy,
    deny_json,
    policy_json,
    read_deny,
    read_policy,
)

_MAX_FILE = 64_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Delegation:
    """A QHIN of the network: its name, its own entry's id, its public keys, its threshold."""

    name: Text
    organization_id: EntryId | None = None
    keys: Annotated[Mapping[str, Mapping[str, Any]], Field(min_length=1, max_length=20)]
    threshold: Annotated[int, Field(ge=1, le=20)] = 1

    def public_keys(self) -> list[SSlibKey]:
        """The keys as TUF has them."""
        return [SSlibKey.from_dict(keyid, dict(value)) for keyid, value in self.keys.items()]


_DELEGATIONS: TypeAdapter[dict[str, Delegation]] = TypeAdapter(dict[str, Delegation])


class Workspace:
    """Reads and writes the files of a network's folder; it signs nothing."""

    def __init__(self, folder: Path) -> None:
        """``folder`` need not exist yet."""
        self.folder = folder
        self.staged = folder / "staged"
        self.public = folder / "public"
        self._entries = folder / "entries"
        self.anchors = folder / "anchors"

    def create(self, policy: NetworkPolicy) -> None:
        """Makes the folders and the first files.

        Raises:
            TrustError: ``file-exists`` where there is a network already.
        """
        for folder in (self.staged, self.public, self._entries, self.anchors):
            folder.mkdir(parents=True, exist_ok=True)
        self._write("policy.json", policy_json(policy), replace=False)
        self._write("deny.json", deny_json(DenyList()), replace=False)
        self._write("delegations.json", {}, replace=False)

    def policy(self) -> NetworkPolicy:
        """The policy. Raises ``network-not-here``, ``network-list-invalid``."""
        return read_policy(self._read("policy.json"))

    def write_policy(self, policy: NetworkPolicy) -> None:
        """Another policy; the one before stays when nobody could read the new one.

        Raises:
            TrustError: ``network-list-invalid``, ``file-not-written``.
        """
        read_policy(_pretty(policy_json(policy)))
        self._write("policy.json", policy_json(policy))

    def deny_list(self) -> DenyList:
        """The deny list. Raises as :meth:`policy`."""
        return read_deny(self._read("deny.json"))

    def deny(self, sha256: str, reason: str, *, certificate: bool, now: datetime) -> bool:
        """Denies a key or a certificate; returns whether that is new."""
        before = self.deny_list()
        held = before.certificates if certificate else before.keys
        if any(denial.sha256 == sha256 for denial in held):
            return False
        added = (*held, Denial(sha256=sha256, reason=reason, since=now))
        change = {"certificates": added} if certificate else {"keys": added}
        self._write("deny.json", deny_json(replace(before, **change)))
        read_deny(self._read("deny.json"))
        return True

    def allow(self, sha256: str) -> bool:
        """Lifts a denial; returns whether there was one."""
        before = self.deny_list()
        after = DenyList(
            keys=tuple(d for d in before.keys if d.sha256 != sha256),
            certificates=tuple(d for d in before.certificates if d.sha256 != sha256),
        )
        self._write("deny.json", deny_json(after))
        return after != before

    def delegations(self) -> dict[str, Delegation]:
        """The QHINs by id. Raises as :meth:`policy`."""
        data = self._read("delegations.json")
        return parsed(_DELEGATIONS, data, "network-list-invalid", "The list of delegations")

    def delegate(
        self,
        qhin: str,
        *,
        name: str,
        keys: Sequence[SSlibKey],
        threshold: int,
        organization_id: str | None,
    ) -> None:
        """Lets a QHIN sign the entries under its own path; an existing delegation is replaced.

        Raises:
            TrustError: ``network-qhin-invalid``.
        """
        if not names.QHIN_ID.fullmatch(qhin):
            raise TrustError(
                "network-qhin-invalid", "A QHIN's id is lower-case letters, digits and hyphens."
            )
        if not 1 <= threshold <= len({key.keyid for key in keys}):
            raise TrustError(
                "network-threshold-invalid", "A role needs as many keys as its threshold."
            )
        held = self.delegations()
        held[qhin] = Delegation(
            name=name,
            organization_id=organization_id,
            keys={key.keyid: key.to_dict() for key in keys},
            threshold=threshold,
        )
        self._write_delegations(held)

    def cut(self, qhin: str) -> bool:
        """Takes a QHIN's delegation away; returns whether there was one."""
        held = self.delegations()
        found = held.pop(qhin, None)
        self._write_delegations(held)
        return found is not None

    def add(self, qhin: str, data: bytes) -> Entry:
        """Adds or replaces an entry of a QHIN.

        Raises:
            TrustError: ``network-qhin-unknown``, ``network-entry-invalid``.
        """
        self._known(qhin)
        entry = authored_entry(data)
        folder = self._entries / qhin
        folder.mkdir(parents=True, exist_ok=True)
        write_file(folder / f"{entry.id}.json", entry_bytes(entry), replace=True)
        return entry

    def remove(self, qhin: str, entry_id: str) -> bool:
        """Removes an entry of a QHIN; returns whether there was one."""
        self._known(qhin)
        path = next((p for p in self._entry_files(qhin) if p.stem == entry_id), None)
        if path is not None:
            path.unlink()
        return path is not None

    def content_of_targets(self) -> dict[str, bytes]:
        """The files under the targets role, by target path."""
        anchors = {f"anchors/{p.name}": p for p in sorted(self.anchors.glob("*.pem"))}
        found = {path: self._bytes(file) for path, file in anchors.items()}
        for path, data in found.items():
            if not names.ANCHOR.fullmatch(path):
                raise TrustError("network-anchor-invalid", "An anchor has no usable file name.")
            parse_certificates(data)
        found[names.POLICY] = _pretty(policy_json(self.policy()))
        found[names.DENY] = _pretty(deny_json(self.deny_list()))
        return found

    def content_of_qhin(self, qhin: str) -> dict[str, bytes]:
        """The files under a QHIN's role, by target path. Raises ``network-qhin-unknown``."""
        delegation = self._known(qhin)
        entries = [authored_entry(self._bytes(file)) for file in self._entry_files(qhin)]
        index = Index(qhin=qhin, organization_id=delegation.organization_id, entries=tuple(entries))
        found = {names.path_of(qhin, f"{e.id}.json"): entry_bytes(e) for e in entries}
        found[names.index_of(qhin)] = index_bytes(index)
        return found

    def _known(self, qhin: str) -> Delegation:
        found = self.delegations().get(qhin)
        if found is None:
            raise TrustError("network-qhin-unknown", "The network has no QHIN with this id.")
        return found

    def _entry_files(self, qhin: str) -> list[Path]:
        return sorted((self._entries / qhin).glob("*.json"))

    def _write_delegations(self, held: dict[str, Delegation]) -> None:
        self._write("delegations.json", _DELEGATIONS.dump_python(held, mode="json"))

    def _write(self, name: str, value: Mapping[str, Any], *, replace: bool = True) -> None:
        write_file(self.folder / name, _pretty(value), replace=replace)

    def _read(self, name: str) -> bytes:
        return self._bytes(self.folder / name)

    def _bytes(self, path: Path) -> bytes:
        try:
            with path.open("rb") as file:
                return file.read(_MAX_FILE)
        except OSError as error:
            raise TrustError(
                "network-not-here", "This folder is no network's folder.", where=str(path)
            ) from error


def _pretty(value: Mapping[str, Any]) -> bytes:
    return orjson.dumps(
        value, option=orjson.OPT_SORT_KEYS | orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE
    )


def sha256_of(data: bytes) -> str:
    """SHA-256 in hex."""
    return hashlib.sha256(data).hexdigest()
