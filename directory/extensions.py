"""The extensions of a resource by what they mean in its community."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from directory.elements import Notes, extension_codes, objects, reference, text
from directory.mapping import CommunityMapping, meaning
from directory.model import PublishedKey
from directory.rows import Resource

_LONGEST_KEY = 4096


@dataclass(frozen=True, slots=True)
class Extensions:
    """The extensions of a resource that the mapping knows, by meaning."""

    by_meaning: dict[str, list[Resource]]
    notes: Notes

    def codes(self, means: str) -> list[tuple[str, str]]:
        """The codings of every extension with this meaning."""
        found = self.by_meaning.get(means, ())
        return [pair for item in found for pair in extension_codes(item, self.notes)]

    def references(self, means: str) -> list[str]:
        """The organisation ids that extensions with this meaning refer to."""
        found = []
        for item in self.by_meaning.get(means, ()):
            target = reference(item.get("valueReference"), "Organization")
            if target is None:
                self.notes.add("bad-form", element=means)
            else:
                found.append(target)
        return found

    def keys(self) -> tuple[PublishedKey, ...]:
        """The public keys that the entry shows; one without use or value is noted and left out."""
        found = []
        for item in self.by_meaning.get("published-key", ()):
            parts = {str(part.get("url")): part for part in objects(item, "extension", self.notes)}
            use = text(parts.get("use", {}), "valueCode", self.notes)
            value = text(parts.get("value", {}), "valueString", self.notes, _LONGEST_KEY)
            address = text(parts.get("address", {}), "valueUrl", self.notes)
            if use is None or value is None:
                self.notes.add("bad-form", element="published-key")
            else:
                found.append(PublishedKey(use=use, value=value, address=address))
        return tuple(dict.fromkeys(found))

    def flag(self, means: str) -> bool:
        """True when present, unless its value is the boolean false."""
        items = self.by_meaning.get(means, [])
        return any(item.get("valueBoolean") is not False for item in items)


def extensions_of(resource: Resource, mapping: CommunityMapping, notes: Notes) -> Extensions:
    """The extensions of an Organization or Endpoint."""
    found: dict[str, list[Resource]] = {}
    for item in objects(resource, "extension", notes):
        url = item.get("url")
        means = mapping.extensions.get(url) if isinstance(url, str) else None
        if means is not None:
            found.setdefault(means, []).append(item)
    return Extensions(found, notes)


def purposes_of(
    codes: Iterable[tuple[str, str]], mapping: CommunityMapping, notes: Notes
) -> Iterator[str]:
    """The purposes that codings mean; one that is not known is noted and left out."""
    for system, code in codes:
        found = meaning(mapping.purposes, system, code)
        if found is None:
            notes.add("unknown-purpose", value=code)
        yield from found or ()


def transactions_of(
    codes: Iterable[tuple[str, str]], mapping: CommunityMapping, notes: Notes
) -> Iterator[str]:
    """The transactions that codings mean; one that is not known is noted and left out."""
    for system, code in codes:
        found = meaning(mapping.transactions, system, code)
        if found is None:
            notes.add("unknown-transaction", value=code)
        yield from found or ()
