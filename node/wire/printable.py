"""Text for formats that others read: characters that they cannot carry are replaced."""

from __future__ import annotations

import re
from typing import Final

_REPLACEMENT: Final = "\N{REPLACEMENT CHARACTER}"
# XML 1.0 Char is the narrowest of the three; a tab or a line break would be read as a blank there
_FORBIDDEN: Final = re.compile("[^ -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_BLANKS: Final = re.compile("[\t\r\n]+")


def printable(text: str) -> str:
    """The text with white space as blanks, and U+FFFD for each character that is not allowed.

    An audit record must be written whatever a peer sent: that one character cannot be shown is no
    reason to show nothing.
    """
    return _FORBIDDEN.sub(_REPLACEMENT, _BLANKS.sub(" ", text)) or _REPLACEMENT
