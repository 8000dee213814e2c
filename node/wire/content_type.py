"""Content-Type of SOAP messages: read with and without quotes, written strictly.

Partners leave out quotes where the grammar wants them (``boundary=uuid:1``, ``start=<root@n>``),
put ``action`` into the type or into ``start-info``, and vary letter case (facts: ihe-wire 1).

Sources: RFC 2045 5.1, RFC 2387 (multipart/related), W3C XOP 1.0 5, RFC 3902 (application/soap+xml).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from types import MappingProxyType

from node.errors import WireError

SOAP_XML = "application/soap+xml"
XOP_XML = "application/xop+xml"
MULTIPART_RELATED = "multipart/related"

_MAX_LENGTH = 2048
_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # noqa: S105 - RFC 2045's word for it
_TYPE = re.compile(rf"\s*({_TOKEN}/{_TOKEN})\s*(?=;|$)")
_PARAMETER = re.compile(rf';\s*(?:({_TOKEN})\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^";]*)))?\s*(?=;|$)')
_QUOTED_PAIR = re.compile(r"\\(.)")


@dataclass(frozen=True, slots=True, kw_only=True)
class ContentType:
    """A media type in lower case and its parameters; names are in lower case, values as given."""

    media_type: str
    parameters: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    def get(self, name: str) -> str | None:
        """A parameter's value, or ``None`` when it is absent or empty."""
        return self.parameters.get(name) or None

    @property
    def action(self) -> str | None:
        """The ``action`` parameter, from the type itself or from inside ``start-info``."""
        own = self.get("action")
        if own or "start-info" not in self.parameters:
            return own
        try:
            return parse_content_type(self.parameters["start-info"]).get("action")
        except WireError:
            return None


@lru_cache(maxsize=256)  # a peer says the same of each of its messages
def parse_content_type(value: str) -> ContentType:
    """Read a Content-Type header value.

    Raises:
        WireError: ``content-type-invalid`` when it is not a media type with parameters, is longer
            than 2,048 characters, or gives one parameter two values.
    """
    start = _TYPE.match(value) if len(value) <= _MAX_LENGTH else None
    if start is None:
        raise WireError("content-type-invalid", "The Content-Type cannot be read.")
    parameters: dict[str, str] = {}
    position = start.end()
    while position < len(value):
        match = _PARAMETER.match(value, position)
        if match is None:
            raise WireError(
                "content-type-invalid",
                "A parameter of the Content-Type cannot be read.",
                where=f"character {position}",
            )
        position = match.end()
        name, quoted, plain = match.groups()
        if name is None:
            continue  # a semicolon with nothing after it
        text = _QUOTED_PAIR.sub(r"\1", quoted) if quoted is not None else plain.strip()
        if parameters.setdefault(name.lower(), text) != text:
            raise WireError(
                "content-type-invalid", "The Content-Type gives one parameter two values."
            )
    return ContentType(media_type=start[1].lower(), parameters=MappingProxyType(parameters))


def build_content_type(media_type: str, parameters: Mapping[str, str | None]) -> str:
    """Write a Content-Type; every value is quoted except ``charset``, ``None`` is left out.

    Raises:
        WireError: ``content-type-invalid`` when a value has a line break or other control sign.
    """
    parts = [media_type]
    for name, value in parameters.items():
        if value is None:
            continue
        if not value.isprintable() or not value.isascii():
            raise WireError("content-type-invalid", "A Content-Type value is not printable ASCII.")
        if name == "charset":
            parts.append(f"{name}={value}")
        else:
            escaped = value.replace("\\", "\\\\").replace('"', '\\"')
            parts.append(f'{name}="{escaped}"')
    return "; ".join(parts)


def soap_content_type(action: str | None = None) -> str:
    """``application/soap+xml; charset=UTF-8`` with the optional action (RFC 3902)."""
    return build_content_type(SOAP_XML, {"charset": "UTF-8", "action": action})
