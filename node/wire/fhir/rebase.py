"""Addresses of another server in its resources, made those of the server that passes them on.

A gateway serves a resource under its own address and with the resource's own id, so that relative
references hold as they are. An absolute one into the other server would lead around the gateway and
could not be followed: ``https://other/fhir/Patient/1`` becomes ``Patient/1``, and every other byte
stays. That is done in ``reference`` for all types, and in ``url`` (an attachment's) for types that
are served here, because the ``url`` of an extension names a definition and must stay. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

_ID = rb"[A-Za-z0-9\-.]{1,64}"
_SLASH = rb"\\?/"  # JSON may write it with a backslash


def rebased(data: bytes, base_url: str, types: Iterable[str]) -> bytes:
    """The resource with references into ``base_url`` made relative.

    Args:
        data: its bytes in JSON.
        base_url: of the other server, without a slash at its end.
        types: those whose addresses may stand in ``url``.
    """
    reference, url = _patterns(base_url, frozenset(types))
    return url.sub(rb'\1"\2"', reference.sub(rb'\1"\2"', data))


@lru_cache(maxsize=64)
def _patterns(base_url: str, types: frozenset[str]) -> tuple[re.Pattern[bytes], re.Pattern[bytes]]:
    base = _SLASH.join(re.escape(part).encode() for part in base_url.split("/"))
    named = "|".join(sorted(types)).encode() or b"(?!)"
    tail = rb"%b%b(?:%b_history%b%b)?" % (_SLASH, _ID, _SLASH, _SLASH, _ID)
    return (
        # (?<!\\): a name inside of a text has its quotation marks escaped
        re.compile(
            rb'(?<!\\)("reference"\s*:\s*)"%b%b([A-Z][A-Za-z]{1,63}%b)"' % (base, _SLASH, tail)
        ),
        re.compile(rb'(?<!\\)("url"\s*:\s*)"%b%b((?:%b)%b)"' % (base, _SLASH, named, tail)),
    )
