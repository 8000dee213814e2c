"""References between resources: their normal form, and where a resource holds them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

MAX_REFERENCE: Final = 512

_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}", re.ASCII)
_TYPE = r"[A-Z][A-Za-z]{1,63}"
_TYPE_NAME = re.compile(_TYPE, re.ASCII)
_RELATIVE = re.compile(
    rf"({_TYPE})/([A-Za-z0-9\-.]{{1,64}})(?:/_history/[A-Za-z0-9\-.]{{1,64}})?", re.ASCII
)
_MAX_DEPTH = 100


def is_id(text: str) -> bool:
    """Whether a text has the form of a logical id (FHIR R4 2.24.0.1)."""
    return _ID.fullmatch(text) is not None


def is_type_name(text: str) -> bool:
    """Whether a text has the form of a resource type."""
    return _TYPE_NAME.fullmatch(text) is not None


def local_reference(text: str) -> tuple[str, str] | None:
    """The type and id of a relative reference, its version left out, or ``None``."""
    found = _RELATIVE.fullmatch(text)
    return (found[1], found[2]) if found else None


def normal_reference(text: str) -> str | None:
    """``Type/id`` or the absolute URL, without a version; ``None`` for ``#contained`` and too long.

    A canonical's version (behind ``|``) is left out as well.
    """
    if not text or text.startswith("#") or len(text) > MAX_REFERENCE or not text.isascii():
        return None
    local = local_reference(text)
    if local is not None:
        return "/".join(local)
    return text.partition("/_history/")[0].partition("|")[0] if text.isprintable() else None


def references_in(element: object, *, depth: int = 0) -> Iterator[str]:
    """Every reference and URL of an attachment, wherever it stands, contained resources too."""
    if depth > _MAX_DEPTH:
        return
    if isinstance(element, list):
        for item in element:
            yield from references_in(item, depth=depth + 1)
    elif isinstance(element, dict):
        if element.get("type") == "Patient" and "reference" not in element:
            yield "Patient?"  # named by an identifier or by a text alone
        for name, value in element.items():
            if isinstance(value, str):
                if name in ("reference", "url"):
                    yield value
            else:
                yield from references_in(value, depth=depth + 1)


def patients_in(resource: dict[str, Any]) -> set[str]:
    """The patients that a resource refers to: local ids, and the URLs of foreign ones.

    A Patient is about itself; other records of a person (``link``) do not count.
    """
    is_patient = resource.get("resourceType") == "Patient"
    searched = {n: v for n, v in resource.items() if n != "link"} if is_patient else resource
    found = {str(resource.get("id"))} if is_patient else set()
    for reference in references_in(searched):
        local = local_reference(reference)
        if local is not None and local[0] == "Patient":
            found.add(local[1])
        elif reference.startswith("Patient?") or (local is None and "/Patient/" in reference):
            found.add(reference)
    return found
