"""The exchange purpose in a FHIR client's URI: TEFCA has one client for each (tefca 8). Pure."""

from __future__ import annotations

import re
from collections.abc import Collection

_SEPARATORS = re.compile(r"[#/?&=:;,]")


def purpose_of(uri: str, codes: Collection[str]) -> str | None:
    """The one purpose that a URI names between separators, or ``None`` for none or several.

    ``urn:oid:2.999#T-PH-ECR`` names ``T-PH-ECR`` and not ``T-PH`` beside it.
    """
    found = {part for part in _SEPARATORS.split(uri) if part in codes}
    return found.pop() if len(found) == 1 else None
