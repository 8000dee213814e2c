"""Characters of a peer's text that a page must not have: those nobody sees.

Direction overrides and isolates can make a text read as another one (Unicode TR 36, "Trojan
Source"); zero-width and tag characters hide text or split a word so that a search misses it.
Controls of C1 have no place in XML text. They are taken out and counted. A soft hyphen goes too.
"""

from __future__ import annotations

import re
from typing import Final

_UNSEEN: Final = re.compile(
    "[\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e"
    "\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\ufffe\uffff\U0001d173-\U0001d17a"
    "\U000e0000-\U000e0fff]"
)


def seen(text: str) -> tuple[str, int]:
    """The text without the characters that nobody sees, and how many those were."""
    return (text, 0) if text.isascii() and "\x7f" not in text else _UNSEEN.subn("", text)
