"""Syslog messages for an audit repository (RFC 5424), framed for TLS (RFC 5425). Pure.

The header is what ITI TF-2 3.20.4.1.2 asks for: facility 10 (security), severity 5 (notice), the
message id ``IHE+RFC-3881``, no structured data, and the audit message in UTF-8 without a byte order
mark.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

_FACILITY: Final = 10
_SEVERITY: Final = 5
_VERSION: Final = 1
_MESSAGE_ID: Final = "IHE+RFC-3881"
_NIL: Final = "-"
_FORBIDDEN: Final = re.compile(r"[^!-~]")
_LONGEST_HOST: Final = 255
_LONGEST_APP: Final = 48
_LONGEST_PROCESS: Final = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class Sender:
    """Who sends: the host's name, the program's, and the process's."""

    host: str
    app: str
    process: str


def syslog_message(sender: Sender, recorded: str, message: bytes) -> bytes:
    """A message with its header; ``recorded`` is RFC 3339 with at most microseconds."""
    header = (
        f"<{_FACILITY * 8 + _SEVERITY}>{_VERSION} {recorded} {_word(sender.host, _LONGEST_HOST)}"
        f" {_word(sender.app, _LONGEST_APP)} {_word(sender.process, _LONGEST_PROCESS)}"
        f" {_MESSAGE_ID} {_NIL} "
    )
    return header.encode("ascii") + message


def framed(message: bytes) -> bytes:
    """A message with its length in octets before it (RFC 5425 4.3)."""
    return b"%d %b" % (len(message), message)


def _word(text: str, longest: int) -> str:
    """PRINTUSASCII without blanks, as a header field must be."""
    return _FORBIDDEN.sub("", text)[:longest] or _NIL
