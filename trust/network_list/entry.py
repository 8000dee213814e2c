"""One organisation as its QHIN publishes it in the network list (facts pki B3.2). Pure.

Reading is liberal about fields that a later version adds; writing goes through
:func:`authored_entry`, which refuses a field that nobody would read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal, TypeVar
from urllib.parse import urlsplit

import orjson
from pydantic import AwareDatetime, Field, TypeAdapter, ValidationError

from trust.errors import TrustError
from trust.network_list.names import ENTRY_ID, limit

_OID = r"[0-2](\.(0|[1-9][0-9]*))+"
Oid = Annotated[str, Field(pattern=f"^{_OID}$", max_length=64)]
Hcid = Annotated[str, Field(pattern=f"^urn:oid:{_OID}$", max_length=72)]
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Text = Annotated[str, Field(min_length=1, max_length=200)]
EntryId = Annotated[str, Field(pattern=f"^{ENTRY_ID}$")]
Code = Annotated[str, Field(pattern="^[A-Za-z0-9._:-]{1,64}$")]
Url = Annotated[str, Field(pattern=r"^https://[!-~]+$", max_length=1000)]
T = TypeVar("T")
_Few = Field(max_length=100)


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedEndpoint:
    """An address; ``kind`` is a transaction such as ``ITI-55`` or ``FHIR``.

    ``fqdn`` may be left out; where it is given it is the URL's host.
    """

    kind: Code
    url: Url
    fqdn: Text | None = None
    responds: Annotated[tuple[Code, ...], _Few] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedKey:
    """A key by the SHA-256 of its SubjectPublicKeyInfo, and when it counts."""

    spki_sha256: Sha256
    not_before: AwareDatetime | None = None
    not_after: AwareDatetime | None = None
    role: Literal["server", "client", "both"] = "both"

    def counts_at(self, now: datetime) -> bool:
        """Whether the key may be used at a moment."""
        begun = self.not_before is None or self.not_before <= now
        return begun and (self.not_after is None or now <= self.not_after)


@dataclass(frozen=True, slots=True, kw_only=True)
class Udap:
    """UDAP issuers and communities."""

    iss_uris: Annotated[tuple[Url, ...], _Few] = ()
    communities: Annotated[tuple[Text, ...], _Few] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedLog:
    """The organisation's tamper-evident log: where it is and which keys sign it."""

    origin: Text
    vkeys: Annotated[tuple[Text, ...], _Few] = ()
    url: Url | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedWitness:
    """The organisation's witness."""

    vkey: Text
    url: Url | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedContact:
    """Whom to call."""

    name: Text | None = None
    phone: Text | None = None
    email: Text | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One organisation.

    Attributes:
        id: the directory id.
        initiates: purposes it asks for; what it answers stands at its endpoints.
        part_of: id of the entry above it, of the same QHIN.
        valid_from, valid_to: when the entry counts; outside it is inactive.
    """

    id: EntryId
    name: Text
    home_community_id: Hcid | None = None
    organization_oid: Oid | None = None
    status: Literal["active", "inactive"] = "active"
    valid_from: AwareDatetime | None = None
    valid_to: AwareDatetime | None = None
    type: Text | None = None
    part_of: EntryId | None = None
    npis: Annotated[tuple[Annotated[str, Field(pattern="^[0-9]{10}$")], ...], _Few] = ()
    assigning_authorities: Annotated[tuple[Oid, ...], _Few] = ()
    initiates: Annotated[tuple[Code, ...], _Few] = ()
    endpoints: Annotated[tuple[ListedEndpoint, ...], _Few] = ()
    tls_pins: Annotated[tuple[ListedKey, ...], _Few] = ()
    saml_signers: Annotated[tuple[ListedKey, ...], _Few] = ()
    udap: Udap | None = None
    log: ListedLog | None = None
    witness: ListedWitness | None = None
    contact: ListedContact | None = None

    def __post_init__(self) -> None:
        for endpoint in self.endpoints:
            host = urlsplit(endpoint.url).hostname
            if not host or (endpoint.fqdn is not None and endpoint.fqdn.lower() != host):
                raise ValueError("the fqdn of an endpoint is not the host of its url")
        kinds = [endpoint.kind for endpoint in self.endpoints]
        if len(set(kinds)) != len(kinds):
            raise ValueError("two endpoints have one kind")

    def active_at(self, now: datetime) -> bool:
        """Whether the entry counts at a moment."""
        begun = self.valid_from is None or self.valid_from <= now
        ended = self.valid_to is not None and self.valid_to < now
        return self.status == "active" and begun and not ended


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """All entries of a QHIN; ``organization_id`` is the entry of the QHIN itself."""

    qhin: str
    organization_id: EntryId | None = None
    entries: tuple[Entry, ...] = ()


_ENTRY: TypeAdapter[Entry] = TypeAdapter(Entry)
_INDEX: TypeAdapter[Index] = TypeAdapter(Index)


def authored_entry(data: bytes) -> Entry:
    """An entry that somebody wrote for publication.

    Raises:
        TrustError: ``network-entry-invalid`` naming the field, also for an unknown one.
    """
    if len(data) > limit("entry_bytes"):
        raise TrustError("network-entry-invalid", "An entry of the network list is too large.")
    entry = parsed(_ENTRY, data, "network-entry-invalid", "An entry of the network list")
    unknown = _unknown(orjson.loads(data), as_json(_ENTRY, entry, whole=True))
    if unknown:
        raise TrustError(
            "network-entry-invalid",
            "An entry of the network list has a field that is not known.",
            where=unknown,
        )
    return entry


def read_index(data: bytes, qhin: str) -> Index:
    """The index of a QHIN.

    Raises:
        TrustError: ``network-list-invalid``.
    """
    index = parsed(_INDEX, data, "network-list-invalid", "A QHIN's index in the network list")
    if index.qhin != qhin:
        raise TrustError("network-list-invalid", "A QHIN's index names another QHIN.")
    ids = [entry.id for entry in index.entries]
    if len(set(ids)) != len(ids):
        raise TrustError("network-list-invalid", "A QHIN's index has two entries with one id.")
    return index


def entry_bytes(entry: Entry) -> bytes:
    """The entry file, the same bytes for the same entry."""
    return _file(as_json(_ENTRY, entry))


def index_bytes(index: Index) -> bytes:
    """The index file; entries stand in the order of their ids."""
    ordered = Index(
        qhin=index.qhin,
        organization_id=index.organization_id,
        entries=tuple(sorted(index.entries, key=lambda e: e.id)),
    )
    return _file(as_json(_INDEX, ordered))


def entry_fields(entry: Entry) -> dict[str, Any]:
    """The entry as JSON values, without what is not set."""
    return as_json(_ENTRY, entry)


def parsed(adapter: TypeAdapter[T], data: bytes, code: str, what: str) -> T:
    """JSON bytes as a value; what is wrong is named by its place, its content is not repeated.

    Raises:
        TrustError: with the given code.
    """
    try:
        return adapter.validate_json(data)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise TrustError(
            code, f"{what} is not valid: {first['msg']}.", where=place or None
        ) from None


def as_json(adapter: TypeAdapter[Any], value: object, *, whole: bool = False) -> dict[str, Any]:
    """A value as JSON; defaults are left out unless ``whole``."""
    found: dict[str, Any] = adapter.dump_python(value, mode="json", exclude_defaults=not whole)
    return found


def _file(value: Mapping[str, Any]) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE)


def _unknown(given: object, known: object, place: str = "") -> str | None:
    """The place of the first field that reading dropped."""
    if isinstance(given, dict) and isinstance(known, dict):
        for key, value in given.items():
            here = f"{place}.{key}" if place else str(key)
            if key not in known:
                return here
            if found := _unknown(value, known[key], here):
                return found
    if isinstance(given, list) and isinstance(known, list):
        for number, (one, other) in enumerate(zip(given, known, strict=False)):
            if found := _unknown(one, other, f"{place}.{number}"):
                return found
    return None
