"""A decision about one binding, as the log keeps it for ever: bytes, and the name of the bytes.

``trust.binding_decision`` makes them.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustDecision:
    """A decision in the form in which it is kept.

    Attributes:
        digest: SHA-256 of the bytes, in base64.
        body: the bytes.
        warnings: codes of what was let pass, for counting.
    """

    digest: str
    body: bytes = field(repr=False)
    warnings: tuple[str, ...] = ()


def digest_of(body: bytes) -> str:
    """The name of a decision's bytes."""
    return base64.b64encode(hashlib.sha256(body).digest()).decode("ascii")
