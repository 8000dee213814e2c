"""A peer's searchset taken apart: each resource as the bytes that came, never written again.

The whole page must be JSON of a Bundle. An entry that is not what it should be is put aside with a
sentence that says why, and the good ones flow. Of a good one only its head is looked at: what it
is, whom it is about, what it may be recognised by. A resource about another patient than the one
asked about is never passed on, whatever the peer meant by it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

import msgspec
import orjson

from node.errors import LimitError, WireError
from node.wire.fhir.catalogue import ResourceType, resource_types
from node.wire.fhir.head import Head, read_head
from node.wire.fhir.references import is_id, is_type_name
from node.wire.fhir.same_result import ResultKey, result_key

MAX_ENTRIES: Final = 10_000
"""Entries of one page."""
MAX_DEPTH: Final = 64
_MODES: Final = frozenset({"match", "include", "outcome"})
_URN: Final = ("urn:uuid:", "urn:oid:")
_MAX_URL: Final = 4096
_PLAIN: Final = {b'{"mode":"match"}': "match", b'{"mode":"include"}': "include"}


class _Entry(msgspec.Struct, gc=False):
    fullUrl: Any = None  # noqa: N815 - as FHIR writes it
    resource: msgspec.Raw = msgspec.Raw()
    search: msgspec.Raw = msgspec.Raw()


class _Page(msgspec.Struct):
    resourceType: Any = None  # noqa: N815 - as FHIR writes it
    type: Any = None
    link: Any = None
    entry: list[_Entry] = []


class _OddPage(msgspec.Struct):
    resourceType: Any = None  # noqa: N815 - as FHIR writes it
    type: Any = None
    link: Any = None
    entry: Any = None


class _RawEntries(msgspec.Struct):
    entry: list[msgspec.Raw] = []


class ReadEntry(msgspec.Struct, frozen=True, gc=False):
    """One entry that may be passed on.

    Attributes:
        full_url: where it is at its origin: below the peer's base address, or a ``urn:`` of a
            resource that has no address.
        resource: its bytes as they came.
        type: its resource type.
        mode: ``match`` or ``include``.
        search: the ``search`` element as it came; empty where it says nothing but the mode.
        key: what it may be recognised by.
    """

    full_url: str
    resource: bytes
    type: str
    mode: str
    search: bytes = b""
    key: ResultKey | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Quarantined:
    """An entry that is not passed on: its place on the page from 1, and why; no PHI."""

    place: int
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Remark:
    """What the peer says beside its resources: an issue of its own OperationOutcome."""

    severity: str
    code: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Searchset:
    """One page of an answer.

    Attributes:
        entries: what may be passed on, in the peer's order.
        quarantined: what may not.
        remarks: of the peer.
        following: the link to the next page as the peer wrote it, or ``None``.
        deviations: tolerated deviations by name (DESIGN law 4).
    """

    entries: tuple[ReadEntry, ...] = ()
    quarantined: tuple[Quarantined, ...] = ()
    remarks: tuple[Remark, ...] = ()
    following: str | None = None
    deviations: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a page answers: under which base address, which type, about which Patient there."""

    base_url: str
    type: ResourceType
    patient: str | None = None


def read_searchset(data: bytes, asked: Asked) -> Searchset:
    """Read one page.

    Raises:
        WireError: ``fhir-malformed`` when it is no JSON, ``fhir-not-a-bundle``.
        LimitError: ``fhir-limit`` past ``MAX_ENTRIES`` entries.
    """
    page, entries = _decoded(data)
    if page.resourceType != "Bundle":
        raise WireError("fhir-not-a-bundle", "The JSON is not a FHIR Bundle.")
    if len(entries) > MAX_ENTRIES:
        raise LimitError("fhir-limit", f"The Bundle has more than {MAX_ENTRIES} entries.")
    reading = _Reading(asked, _is_text(data), f"Patient/{asked.patient}")
    for place, entry in enumerate(entries, start=1):
        reading.take(place, entry)
    if page.type != "searchset":
        reading.deviations["bundle-type"] = None
    return Searchset(
        entries=tuple(reading.entries),
        quarantined=tuple(reading.quarantined),
        remarks=tuple(reading.remarks),
        following=_following(page.link),
        deviations=tuple(reading.deviations),
    )


def _decoded(data: bytes) -> tuple[_Page | _OddPage, list[_Entry | None]]:
    """The page and its entries; ``None`` stands for one that is no object."""
    try:
        try:
            page = msgspec.json.decode(data, type=_Page)
        except msgspec.ValidationError:
            odd = msgspec.json.decode(data, type=_OddPage)
            if not isinstance(odd.entry, list):
                return odd, []
            raws = msgspec.json.decode(data, type=_RawEntries).entry
            return odd, [_entry(raw) for raw in raws]
        return page, list(page.entry)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        raise WireError("fhir-malformed", "The answer is not JSON of a Bundle.") from None


def _entry(raw: msgspec.Raw) -> _Entry | None:
    try:
        return msgspec.json.decode(raw, type=_Entry)
    except msgspec.ValidationError:
        return None


@dataclass(slots=True)
class _Reading:
    """A page while it is read."""

    asked: Asked
    is_text: bool
    own: str
    entries: list[ReadEntry] = field(default_factory=list)
    quarantined: list[Quarantined] = field(default_factory=list)
    remarks: list[Remark] = field(default_factory=list)
    deviations: dict[str, None] = field(default_factory=dict)

    def take(self, place: int, entry: _Entry | None) -> None:
        """Keep an entry, or put it aside."""
        try:
            self._take(entry)
        except _PutAside as why:
            self.quarantined.append(Quarantined(place=place, sentence=str(why)))

    def _take(self, entry: _Entry | None) -> None:
        if entry is None:
            raise _PutAside("The entry is no JSON object.")
        raw = bytes(entry.resource)
        head = self._head(raw)
        kind = head.resourceType
        mode, search = self._mode(entry.search, kind)
        if kind == "OperationOutcome":
            self.remarks += remarks_of(orjson.loads(raw))
            return
        if mode == "match" and kind != self.asked.type.name:
            raise _PutAside("The entry's resource is of a type that was not asked for.")
        self._check_patient(head, mode)
        address = self._address(entry.fullUrl, kind, head.id)
        key = result_key(head) if mode == "match" else None
        self.entries.append(ReadEntry(address, raw, kind, mode, search, key))

    def _mode(self, search: msgspec.Raw, kind: str) -> tuple[str, bytes]:
        raw = bytes(search)
        plain = _PLAIN.get(raw)
        if plain is not None:
            return plain, b""
        try:
            element = orjson.loads(raw) if raw else None
        except orjson.JSONDecodeError:
            element = None
        mode = element.get("mode") if isinstance(element, dict) else None
        if isinstance(element, dict) and isinstance(mode, str) and mode in _MODES:
            return mode, raw if len(element) > 1 else b""
        self.deviations["search-mode-missing"] = None
        return "match" if kind == self.asked.type.name else "include", b""

    def _head(self, raw: bytes) -> Head:
        if not raw:
            raise _PutAside("The entry has no resource.")
        if not self.is_text and not _is_text(raw):
            raise _PutAside("The entry's resource is not in UTF-8.")
        head = read_head(raw)
        if head is None or not (
            head.resourceType in _subjects() or is_type_name(head.resourceType)
        ):
            raise _PutAside("The entry's resource has no resourceType.")
        if raw.count(b"{") + raw.count(b"[") > MAX_DEPTH and _is_too_deep(raw):
            raise _PutAside(f"The entry's resource is nested deeper than {MAX_DEPTH} levels.")
        return head

    def _check_patient(self, head: Head, mode: str) -> None:
        """A server that does not know a parameter may give anybody's resources."""
        patient, kind = self.asked.patient, head.resourceType
        if patient is None:
            return
        name = _subjects().get(kind)
        if kind == "Patient":
            reference: str | None = f"Patient/{head.id}"
        else:
            subject = getattr(head, name) if name is not None else None
            reference = subject.reference if subject is not None else None
        if reference == self.own or (reference is None and (mode != "match" or name is None)):
            return
        if reference is None:
            raise _PutAside("The entry's resource does not say which patient it is about.")
        type_, _, id_ = reference.partition("/_history/")[0].rpartition("/")
        if (type_ == "Patient" or type_.endswith("/Patient")) and id_ == patient:
            return
        if mode == "match" or type_.endswith("Patient"):
            raise _PutAside("The entry's resource is about another patient.")

    def _address(self, full_url: object, kind: str, id_: str | None) -> str:
        if id_ is not None and is_id(id_):
            made = f"{self.asked.base_url}/{kind}/{id_}"
            if full_url != made:
                # behind a proxy a server may call itself by a name that nobody else can reach
                self.deviations["full-url-other"] = None
            return made
        if isinstance(full_url, str) and full_url.startswith(_URN) and len(full_url) < _MAX_URL:
            return full_url
        raise _PutAside("The entry's resource has neither an id that FHIR allows nor an address.")


class _PutAside(Exception):
    """Why an entry is not passed on."""


def remarks_of(outcome: dict[str, Any]) -> list[Remark]:
    """The issues of an OperationOutcome, at most 20."""
    issues = outcome.get("issue")
    found = []
    for issue in issues[:20] if isinstance(issues, list) else ():
        if not isinstance(issue, dict):
            continue
        details = issue.get("details")
        text = issue.get("diagnostics") or (
            details.get("text") if isinstance(details, dict) else None
        )
        code = issue.get("code")
        found.append(
            Remark(
                severity=str(issue.get("severity"))[:16],
                code=code if isinstance(code, str) else "",
                text=text[:500] if isinstance(text, str) else "",
            )
        )
    return found


@lru_cache
def _subjects() -> dict[str, str]:
    """By type, the element that names its patient; a Provenance is about its targets."""
    found = {}
    for name, type_ in resource_types().items():
        parameter = type_.parameters.get("patient")
        if parameter is not None and name != "Provenance":
            found[name] = parameter.paths[0]
    return found


def _is_text(raw: bytes) -> bool:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True


def _following(links: object) -> str | None:
    for link in links if isinstance(links, list) else ():
        if isinstance(link, dict) and link.get("relation") == "next":
            url = link.get("url")
            return url if isinstance(url, str) and url else None
    return None


def _is_too_deep(raw: bytes) -> bool:
    level: list[Any] = [orjson.loads(raw)]
    for _ in range(MAX_DEPTH):
        inner = [i for e in level for i in (e.values() if isinstance(e, dict) else e)]
        level = [each for each in inner if isinstance(each, dict | list)]
        if not level:
            break
    return bool(level)
