"""What our log is called, without the year and as each year's log, and what our witness is called.

Host and port are those that others see: two nodes of one host are two logs.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from node.settings import Settings


def log_name(settings: Settings) -> str:
    """The name of our log without the year: that of the settings, or made from ``public_url``."""
    return settings.log.origin or f"log.{_host(settings)}/exchange"


def origin_of(settings: Settings, year: int) -> str:
    """The origin of a year's log."""
    return f"{log_name(settings)}/{year}"


def witness_name(settings: Settings) -> str:
    """The name of our witness: that of the settings, or made from ``public_url``."""
    return settings.log.witness or f"witness.{_host(settings)}"


def _host(settings: Settings) -> str:
    address = urlsplit(settings.listen.public_url)
    host = address.hostname or "localhost"
    return f"{host}:{address.port}" if address.port else host
