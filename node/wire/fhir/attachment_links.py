"""Links to documents in another server's DocumentReference, made links of ours. Pure.

Every other byte of the resource stays as it came. Only what is at that server itself becomes a link
of ours: what it keeps elsewhere is fetched with no credentials of ours, and stays as it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

import orjson

from node.wire.fhir.attachment import Attachment, attachments

_URL: Final = re.compile(rb'(?<!\\)("url"\s*:\s*)("(?:[^"\\]|\\.)*")')
_ABSOLUTE: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:|//|\\")
_MOST_URL: Final = 2048


def with_own_links(
    resource: bytes, full_url: str, link_of: Callable[[int, Attachment], str]
) -> bytes:
    """The resource with our links.

    Args:
        resource: a DocumentReference in JSON.
        full_url: its address at the other server.
        link_of: our link for an attachment, by its place from 0.
    """
    links: dict[str, list[bytes]] = {}
    for place, each in enumerate(attachments(orjson.loads(resource))):
        if each.url and each.data is None and is_there(full_url, each.url):
            links.setdefault(each.url, []).append(orjson.dumps(link_of(place, each)))

    def put(found: re.Match[bytes]) -> bytes:
        # two attachments of one address are told apart by their order
        waiting = links.get(orjson.loads(found[2]))
        if not waiting:
            return found[0]
        return found[1] + (waiting.pop(0) if len(waiting) > 1 else waiting[0])

    return _URL.sub(put, resource) if links else resource


def is_there(full_url: str, url: str) -> bool:
    """Whether an attachment's address is below the base address of its resource's server."""
    if len(url) > _MOST_URL:
        return False
    if not _ABSOLUTE.match(url):
        return True
    base = full_url.rpartition("/DocumentReference/")[0]
    return bool(base) and url.startswith(f"{base}/")
