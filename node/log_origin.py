"""What our log is called: one name without the year, and one origin for each year's log."""

from __future__ import annotations

from urllib.parse import urlsplit

from node.settings import Settings


def log_name(settings: Settings) -> str:
    """The name of our log without the year: that of the settings, or made from ``public_url``.

    Host and port as others see them: two nodes of one host are two logs.
    """
    if settings.log.origin:
        return settings.log.origin
    address = urlsplit(settings.listen.public_url)
    host = address.hostname or "localhost"
    return f"log.{host}:{address.port}/exchange" if address.port else f"log.{host}/exchange"


def origin_of(settings: Settings, year: int) -> str:
    """The origin of a year's log."""
    return f"{log_name(settings)}/{year}"
