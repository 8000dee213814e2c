"""What the running node says of itself, for ``doctor``: it alone knows what it took over."""

from __future__ import annotations

import asyncio
import http.client
from collections.abc import Iterator
from typing import Final

import orjson

from node.examined import Examined
from node.ops.health import Status
from node.served_certificate import local_address
from node.settings import Settings

_SECONDS: Final = 5.0
_MAX_BYTES: Final = 64 * 1024
_MOST: Final = 20
_MAX_TEXT: Final = 500
_CHECK: Final = "running"


async def examine_running(settings: Settings) -> list[Examined]:
    """The checks of the running node's ``/readyz``; nothing when no node answers there."""
    if not settings.ops.enabled or not settings.ops.port:
        return []
    return await asyncio.to_thread(lambda: list(_examined(settings)))


def _examined(settings: Settings) -> Iterator[Examined]:
    connection = http.client.HTTPConnection(
        local_address(settings.ops.host), settings.ops.port, timeout=_SECONDS
    )
    try:
        connection.request("GET", "/readyz")
        found = orjson.loads(connection.getresponse().read(_MAX_BYTES))
        for name, each in list(found["checks"].items())[:_MOST]:
            status = Status(each["status"])
            advice = each["advice"] or "Look into the node's log."
            yield Examined(
                check=f"{_CHECK}: {name}"[:_MAX_TEXT],
                status=status,
                sentence=str(each["sentence"])[:_MAX_TEXT],
                next_step=None if status is Status.OK else str(advice)[:_MAX_TEXT],
            )
    except ConnectionRefusedError:
        return  # it does not run, which the gateway's port says
    except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError, AttributeError):
        yield Examined(
            check=_CHECK,
            status=Status.UNKNOWN,
            sentence=f"{settings.ops.host}:{settings.ops.port}/readyz does not answer as a node.",
            next_step="Look who listens there: `ops.port` in node.toml.",
        )
    finally:
        connection.close()
