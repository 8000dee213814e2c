"""What the directory says of a peer, as detectors read it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from directory.address import host_of
from directory.model import Organization
from directory.store import DirectoryStore

_MOST_SUSPENDED: Final = 1000
_PAGE: Final = 100
_MOST_PAGES: Final = 10
_MOST_KIN: Final = 5
_MOST_PEERS: Final = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerFacts:
    """A peer in the directory: what it declares, how large it is, what it shares (``About``)."""

    declared: frozenset[str] | None = None
    states: frozenset[str] = frozenset()
    entries: int = 1
    npis: frozenset[str] = frozenset()
    kin: tuple[str, ...] = ()


class PeerDirectory:
    """Reads a directory; what it read is kept until ``refresh`` finds that it has changed."""

    def __init__(self, directory: DirectoryStore) -> None:
        self._directory = directory
        self._suspended: dict[str, set[str]] | None = None
        self._facts: dict[str, PeerFacts] = {}
        self._version = ""

    def refresh(self) -> None:
        """Forget what was read of another version of the directory."""
        version = self._directory.version()
        if version != self._version:
            self._version = version
            self._suspended = None
            self._facts.clear()

    def facts(self, hcid: str) -> PeerFacts:
        """What the directory says of the organisations with an HCID; nothing of an unknown one."""
        found = self._facts.get(hcid)
        if found is None:
            found = self._read(hcid)
            if len(self._facts) < _MOST_PEERS:
                self._facts[hcid] = found
        return found

    def _read(self, hcid: str) -> PeerFacts:
        found = self._directory.by_home_community_id(hcid)
        if not found:
            return PeerFacts()
        return PeerFacts(
            declared=frozenset().union(
                *(each.initiates for each in found),
                *(end.responds for each in found for end in each.endpoints),
            ),
            states=frozenset(
                address.state.strip().upper()[:2]
                for each in found
                for address in each.addresses
                if address.state
            ),
            entries=sum(1 + self._below(each.id) for each in found),
            npis=frozenset(npi for each in found for npi in each.npis),
            kin=tuple(self._kin(found))[:_MOST_KIN],
        )

    def _below(self, identity: str) -> int:
        number, after = 0, None
        for _ in range(_MOST_PAGES):
            page = self._directory.children(identity, limit=_PAGE, after=after)
            number += len(page.organizations)
            after = page.after
            if after is None:
                break
        return number

    def _kin(self, found: tuple[Organization, ...]) -> Iterator[str]:
        """What a peer has in common with suspended ones; of a suspended one nothing is said."""
        if any(each.suspended for each in found):
            return
        by_feature = self._features_of_suspended()
        for each in found:
            for feature in sorted(set(self._features(each))):
                names = by_feature.get(feature)
                if names:
                    yield f"{feature.partition(' ')[0]} ({', '.join(sorted(names)[:2])})"

    def _features_of_suspended(self) -> dict[str, set[str]]:
        if self._suspended is None:
            self._suspended = defaultdict(set)
            for identity in self._directory.local.suspended(limit=_MOST_SUSPENDED):
                organization = self._directory.by_id(identity)
                for feature in self._features(organization) if organization else ():
                    self._suspended[feature].add(organization.name if organization else identity)
        return self._suspended

    def _features(self, organization: Organization) -> Iterator[str]:
        """Words that two entries have in common when they share a thing: its kind, its value."""
        for endpoint in organization.endpoints:
            if host := host_of(endpoint.address):
                yield f"host {host}"
        yield from (f"NPI {npi}" for npi in organization.npis)
        for contact in organization.contacts:
            yield from (f"mail {mail.casefold()}" for mail in contact.emails)
            yield from (f"telephone {phone}" for phone in contact.phones)
        yield from (f"key {key.value}" for key in organization.keys)
        yield from (f"key {pin.spki}" for pin in self._directory.local.pins(organization.id))
