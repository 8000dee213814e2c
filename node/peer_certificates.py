"""Peers' certificates that an operator pinned by file, kept to know when they end.

What binds a key to an organisation is the pin in the directory; the certificate here decides
nothing::

    trust/peers/2.999.71/3f9a….pem    by the organisation's id and the key's SPKI SHA-256
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path
from urllib.parse import quote, unquote

from cryptography import x509

from node.settings import NodeHome
from trust.certificates import Bundle, load_certificates
from trust.errors import TrustError
from trust.files import write_file
from trust.keys import spki_sha256

MAX_KEPT = 2000
"""Certificates that are read back; a calendar and the metrics must stay readable."""

MAX_OF_ONE = 20
"""Certificates of one organisation that are read for its page."""


def keep_peer_certificate(home: NodeHome, organization_id: str, leaf: x509.Certificate) -> None:
    """Keep the certificate of a pinned key; a newer one replaces it. Raises ``TrustError``."""
    file = _file(home, organization_id, spki_sha256(leaf))
    file.parent.mkdir(parents=True, exist_ok=True)
    write_file(file, Bundle(leaf=leaf).pem(), replace=True)


def forget_peer_certificate(home: NodeHome, organization_id: str, spki: str) -> None:
    """Forget the certificate of a key that is pinned no longer."""
    _file(home, organization_id, spki).unlink(missing_ok=True)


def peer_certificates(home: NodeHome) -> Iterator[tuple[str, x509.Certificate]]:
    """Organisation ids with a certificate, at most ``MAX_KEPT``; unreadable ones are left out."""
    for file in sorted(home.peers.glob("*/*.pem"))[:MAX_KEPT]:
        with suppress(TrustError, IndexError):
            yield unquote(file.parent.name), load_certificates(file)[0]


def certificates_of(home: NodeHome, organization_id: str) -> Iterator[x509.Certificate]:
    """The certificates kept of one organisation; unreadable ones are left out."""
    for file in islice(sorted(_folder(home, organization_id).glob("*.pem")), MAX_OF_ONE):
        with suppress(TrustError, IndexError):
            yield load_certificates(file)[0]


def _file(home: NodeHome, organization_id: str, spki: str) -> Path:
    return _folder(home, organization_id) / f"{spki}.pem"


def _folder(home: NodeHome, organization_id: str) -> Path:
    # "." is safe for quote, and a name of dots alone would lead elsewhere
    name = quote(organization_id, safe="")
    return home.peers / (name if name.strip(".") else name.replace(".", "%2E"))
