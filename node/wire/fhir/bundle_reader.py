"""A FHIR Bundle taken apart: each resource as the bytes that it is served as.

Resources are cut out of the bundle, never parsed and written again. Two things are spliced in,
because a resource could not be read or followed by itself otherwise, and every other byte stays:

* a reference to a ``urn:`` address of the same bundle becomes ``Type/id``, which a server that
  takes a transaction has to do as well (FHIR R4 3.1.0.11.2);
* a resource without an id whose address is ``urn:uuid:`` gets that UUID as its id.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec
import orjson

from node.errors import LimitError, WireError
from node.wire.fhir.references import is_id, local_reference, patients_in, references_in

MAX_ENTRIES = 200_000
_LINK = re.compile(rb'(?<!\\)("(?:reference|url)"\s*:\s*)"((?:urn:)[^"\\]{1,500})"')
_URN = "urn:"
_URN_UUID = "urn:uuid:"


class _Entry(msgspec.Struct):
    fullUrl: Any = None  # noqa: N815 - as FHIR writes it
    resource: msgspec.Raw = msgspec.Raw()


class _Bundle(msgspec.Struct):
    resourceType: Any = None  # noqa: N815 - as FHIR writes it
    entry: Any = None


class _Entries(msgspec.Struct):
    entry: list[_Entry] = []


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleResource:
    """One resource of a bundle.

    Attributes:
        type, id: what it is read by.
        data: the bytes that are served.
        content: the same, decoded.
        patients: whom it is about (``references.patients_in``, through Provenance and Binary).
    """

    type: str
    id: str
    data: bytes
    content: dict[str, Any]
    patients: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """An entry that is not served, its place in the bundle from 1, and why."""

    place: int
    sentence: str


def read_resources(
    data: bytes, types: Mapping[str, object]
) -> tuple[list[BundleResource], list[LeftOut]]:
    """The resources of a bundle whose types are served, and the entries that are not.

    Entries of other types are none of either: the bundle is served whole as a document.

    Raises:
        LimitError: ``fhir-limit`` past ``MAX_ENTRIES`` entries.
        WireError: ``fhir-malformed``, ``fhir-not-a-bundle``.
    """
    entries = _entries(data)
    heads = [_Head.of(number, entry) for number, entry in enumerate(entries, start=1)]
    addresses = {
        h.address: f"{h.type}/{h.id}" for h in heads if h.address and not h.problem and h.id
    }
    found: list[BundleResource] = []
    left_out: list[LeftOut] = []
    for head in heads:
        if head.content is not None and head.problem is None:
            found.append(_resource(head, addresses))
        elif head.problem is not None:
            left_out.append(LeftOut(place=head.place, sentence=head.problem))
    return [r for r in _with_patients(found) if r.type in types], left_out


def _entries(data: bytes) -> list[_Entry]:
    try:
        bundle = msgspec.json.decode(data, type=_Bundle)
        if bundle.resourceType != "Bundle":
            raise WireError("fhir-not-a-bundle", "The JSON is not a FHIR Bundle.")
        if not isinstance(bundle.entry, list):
            return []
        if len(bundle.entry) > MAX_ENTRIES:
            raise LimitError("fhir-limit", f"The Bundle has more than {MAX_ENTRIES} entries.")
        return msgspec.json.decode(data, type=_Entries).entry
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        raise WireError("fhir-malformed", "The file is not JSON of a Bundle.") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Head:
    """An entry: what it is and what is wrong with it."""

    place: int
    type: str = ""
    id: str = ""
    address: str | None = None
    raw: bytes = b""
    content: dict[str, Any] | None = None
    problem: str | None = None

    @classmethod
    def of(cls, place: int, entry: _Entry) -> _Head:
        raw = bytes(entry.resource)
        if not raw:
            return cls(place=place)
        try:
            content = orjson.loads(raw)
        except orjson.JSONDecodeError:
            return cls(place=place, problem="The entry's resource is not JSON in UTF-8.")
        if not isinstance(content, dict) or not isinstance(content.get("resourceType"), str):
            return cls(place=place, problem="The entry's resource has no resourceType.")
        address = entry.fullUrl if isinstance(entry.fullUrl, str) else None
        own, problem = content.get("id"), None
        if own is None and address is not None and address.startswith(_URN_UUID):
            own = address.removeprefix(_URN_UUID)
            content = {"resourceType": content["resourceType"], "id": own, **content}
            raw = b'{"id":%b,%b' % (orjson.dumps(own), raw.lstrip()[1:])
        if not isinstance(own, str) or not is_id(own):
            problem = "The entry's resource has no id that FHIR allows."
        return cls(
            place=place,
            type=content["resourceType"],
            id=own if isinstance(own, str) and problem is None else "",
            address=address,
            raw=raw,
            content=content,
            problem=problem,
        )


def _resource(head: _Head, addresses: Mapping[str, str]) -> BundleResource:
    data, content = head.raw, head.content or {}

    def local(found: re.Match[bytes]) -> bytes:
        target = addresses.get(found[2].decode("utf-8", "replace"))
        return found[0] if target is None else b'%b"%b"' % (found[1], target.encode())

    if b'"urn:' in data:
        spliced = _LINK.sub(local, data)
        if spliced != data:
            data, content = spliced, orjson.loads(spliced)
    if any(
        _is_foreign(reference) and reference in addresses for reference in references_in(content)
    ):
        # an address of the same bundle that is no urn: followed, but left as it was written
        content = _followed(content, addresses)
    return BundleResource(
        type=head.type, id=head.id, data=data, content=content, patients=frozenset()
    )


def _is_foreign(reference: str) -> bool:
    return not reference.startswith(_URN) and local_reference(reference) is None


def _followed(element: Any, addresses: Mapping[str, str]) -> Any:
    if isinstance(element, list):
        return [_followed(item, addresses) for item in element]
    if isinstance(element, dict):
        return {
            name: addresses.get(value, value)
            if name == "reference" and isinstance(value, str)
            else _followed(value, addresses)
            for name, value in element.items()
        }
    return element


def _with_patients(found: Sequence[BundleResource]) -> list[BundleResource]:
    """Say whom each is about; of a Provenance also whom its targets are about.

    A Binary is about whom those are about who refer to it.
    """
    direct = {f"{r.type}/{r.id}": patients_in(r.content) for r in found}
    binaries: dict[str, set[str]] = {}
    for resource in found:
        for reference in references_in(resource.content):
            if reference.startswith("Binary/"):
                binaries.setdefault(reference, set()).update(
                    direct[f"{resource.type}/{resource.id}"]
                )
    made = []
    for resource in found:
        name = f"{resource.type}/{resource.id}"
        patients = set(direct[name])
        if resource.type == "Provenance":
            for target in references_in(resource.content.get("target")):
                patients |= direct.get(target, set() if target.startswith("Patient/") else {"?"})
        elif resource.type == "Binary":
            patients |= binaries.get(name, set())
        made.append(replace(resource, patients=frozenset(patients)))
    return made
