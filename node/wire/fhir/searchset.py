"""A searchset Bundle of another server, taken apart: each resource as the bytes that it came as.

Resources are cut out, never parsed and written again (DESIGN section 4): what is shown of them is
their own bytes. Nothing is believed here; who asked decides what may be shown. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import msgspec
import orjson

from node.errors import LimitError, WireError
from node.wire.fhir.references import is_id, is_type_name

MAX_ENTRIES: Final = 5000
"""Of one page, unless the caller wants fewer."""
MAX_LINK: Final = 4096
"""Characters of a link to another page."""
MAX_DEPTH: Final = 100
"""Of a resource: nothing is looked for below it, so nothing may be there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundResource:
    """One resource of another server.

    Attributes:
        type, id: as it says itself.
        data: its bytes.
        content: the same, decoded.
        mode: ``match``, ``include`` or ``outcome`` where the entry says it.
        version: where it was said besides.
    """

    type: str
    id: str
    data: bytes
    content: dict[str, Any]
    mode: str | None = None
    version: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Searchset:
    """A page of a search.

    Attributes:
        found: its resources in order, OperationOutcomes left out.
        following: the link to the next page as it came, or ``None``.
        total: as it says, where it says a number.
        doubts: whether an OperationOutcome among the entries warns or complains.
        unusable: how many entries are no resource with a type and an id.
    """

    found: tuple[FoundResource, ...]
    following: str | None = None
    total: int | None = None
    doubts: bool = False
    unusable: int = 0


class _Entry(msgspec.Struct):
    resource: msgspec.Raw = msgspec.Raw()
    search: Any = None


class _Bundle(msgspec.Struct):
    resourceType: Any = None  # noqa: N815 - as FHIR writes it
    type: Any = None
    total: Any = None
    link: Any = None
    entry: list[_Entry] | None = None


def read_searchset(data: bytes, *, most: int = MAX_ENTRIES) -> Searchset:
    """Take a page apart.

    Raises:
        LimitError: ``fhir-limit`` past ``most`` entries, or a longer link than ``MAX_LINK``.
        WireError: ``fhir-malformed``, ``fhir-not-a-bundle``.
    """
    try:
        bundle = msgspec.json.decode(data, type=_Bundle)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        raise WireError("fhir-malformed", "The answer is not JSON of a Bundle.") from None
    if bundle.resourceType != "Bundle" or bundle.type != "searchset":
        raise WireError("fhir-not-a-bundle", "The answer is no Bundle of type searchset.")
    entries = bundle.entry or []
    if len(entries) > most:
        raise LimitError("fhir-limit", f"The answer has more than {most} entries.")
    found, doubts, unusable = [], False, 0
    for entry in entries:
        raw = bytes(entry.resource)
        resource = _resource(raw, _mode(entry.search)) if raw else None
        if resource is not None and resource.type != _OUTCOME:
            found.append(resource)
        elif resource is not None:
            doubts = doubts or _complains(resource.content)
        else:
            unusable += 1
    total = bundle.total
    return Searchset(
        found=tuple(found),
        following=_following(bundle.link),
        total=total if isinstance(total, int) and not isinstance(total, bool) else None,
        doubts=doubts,
        unusable=unusable,
    )


def read_resource(data: bytes) -> FoundResource:
    """One resource alone.

    Raises:
        WireError: ``fhir-malformed`` when it is none with a type and an id.
    """
    found = _resource(data, None)
    if found is None:
        raise WireError("fhir-malformed", "The answer is not JSON of a resource.")
    return found


_OUTCOME = "OperationOutcome"


def _resource(raw: bytes, mode: str | None) -> FoundResource | None:
    try:
        content = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(content, dict):
        return None
    type_, id_ = content.get("resourceType"), content.get("id")
    if not isinstance(type_, str) or not is_type_name(type_) or _is_deep(content, MAX_DEPTH):
        return None
    if type_ == _OUTCOME:
        return FoundResource(type=type_, id="", data=b"", content=content, mode=mode)
    if not isinstance(id_, str) or not is_id(id_):
        return None
    return FoundResource(type=type_, id=id_, data=raw.strip(), content=content, mode=mode)


def _is_deep(element: object, left: int) -> bool:
    if isinstance(element, dict):
        return left == 0 or any(_is_deep(each, left - 1) for each in element.values())
    if isinstance(element, list):
        return left == 0 or any(_is_deep(each, left - 1) for each in element)
    return False


def _mode(search: object) -> str | None:
    mode = search.get("mode") if isinstance(search, dict) else None
    return mode if isinstance(mode, str) else None


def _complains(outcome: dict[str, Any]) -> bool:
    found = outcome.get("issue")
    severities = (
        [i.get("severity") for i in found or () if isinstance(i, dict)]
        if isinstance(found, list)
        else [None]
    )
    return any(severity != "information" for severity in severities)


def _following(links: object) -> str | None:
    for link in links if isinstance(links, list) else ():
        if isinstance(link, dict) and link.get("relation") == "next":
            url = link.get("url")
            if not isinstance(url, str):
                raise WireError("fhir-malformed", "The link to the next page is no text.")
            if len(url) > MAX_LINK:
                raise LimitError(
                    "fhir-limit", f"The link to the next page is longer than {MAX_LINK} characters."
                )
            return url
    return None
