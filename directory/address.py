"""Endpoint addresses: which are usable, and which host they name."""

from __future__ import annotations

from functools import lru_cache
from urllib.parse import urlsplit

_MAX_HOST = 253
"""Characters of a host name (RFC 1035 2.3.4, as text)."""


@lru_cache(maxsize=10_000)
def host_of(address: str | None) -> str | None:
    """The host of an https URL in lower-case A-label form, or ``None`` when it is not usable.

    Usable means: scheme https, a host, no user, no fragment, no space, a port from 1 to 65535.
    """
    if address is None or " " in address or not address.isprintable():
        return None
    try:
        parts = urlsplit(address)
        usable = parts.scheme.lower() == "https" and parts.port != 0 and not parts.fragment
        host = parts.hostname or ""
        if not host.isascii():
            host = host.encode("idna").decode("ascii")
    except ValueError:  # UnicodeError is one
        return None
    usable = usable and len(host) <= _MAX_HOST and parts.username is None and parts.password is None
    return (host.rstrip(".") or None) if usable else None
