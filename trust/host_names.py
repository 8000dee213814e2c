"""Host names as they are compared: lower-case A-labels, or nothing (RFC 9525, facts pki A8)."""

from __future__ import annotations

import ipaddress
import re

# RFC 1123 2.1 letters, digits, hyphens; underscores are no host name. A wildcard never matches.
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", re.ASCII)
_MAX_LENGTH = 253


def ascii_host_name(name: str) -> str | None:
    """A name from a directory entry or a person, as a certificate would carry it.

    Lower-cases, turns U-labels into A-labels and drops one trailing dot. Returns ``None`` for
    anything that is not a host name: an address, a wildcard, an empty label, control characters.
    """
    text = name.removesuffix(".")
    if not text.isascii():
        try:
            text = text.encode("idna").decode("ascii")
        except UnicodeError:
            return None
    return certificate_host_name(text)


def certificate_host_name(name: str) -> str | None:
    """A dNSName of a certificate, lower-cased; ``None`` when it must not be compared at all.

    A certificate gets no help: a trailing dot, a wildcard, an IP address in text or an embedded NUL
    makes the name unusable.
    """
    text = name.lower()
    if not name.isascii() or not text or len(text) > _MAX_LENGTH or ip_address(text) is not None:
        return None
    if not all(_LABEL.fullmatch(label) for label in text.split(".")):
        return None
    return text


def ip_address(text: str) -> str | None:
    """The canonical text of an IP address (brackets of a URL allowed), or ``None``."""
    try:
        return str(ipaddress.ip_address(text.removeprefix("[").removesuffix("]")))
    except ValueError:
        return None
