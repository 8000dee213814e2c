"""Anchors for tests, as a person or a signed list would have added them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from cryptography import x509

from trust.anchors import Anchor


def anchor_of(certificate: x509.Certificate, **fields: Any) -> Anchor:
    """An anchor that is authorised for everything."""
    given = {"label": "Test CA", "network": "test", "added": datetime(2026, 1, 1, tzinfo=UTC)}
    return Anchor(certificate=certificate, **{**given, **fields})
