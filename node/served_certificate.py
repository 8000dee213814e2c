"""Which certificate our own port serves, seen from outside as a peer sees it (facts pki A4).

A file that was switched but is not served is the commonest way in which renewed certificates fail;
nothing inside the process can be trusted to notice.
"""

from __future__ import annotations

import asyncio
import hashlib
import ssl

from node.identity import Role, identity_files, tls_identity
from node.settings import NodeHome, Settings
from trust.certificates import fingerprint, load_certificates
from trust.errors import TrustError
from trust.tls import observer_context

_SECONDS = 5.0
_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104  not bound here


def local_address(host: str) -> str:
    """Where a listener on ``host`` is reached from this machine."""
    return _EVERYWHERE.get(host, host)


def fingerprint_in_use(home: NodeHome, role: Role) -> str | None:
    """SHA-256 of the certificate that the files say; ``None`` when there is none to read."""
    try:
        return fingerprint(load_certificates(identity_files(home, role).certificate)[0])
    except TrustError:
        return None


async def served_fingerprint(
    home: NodeHome, settings: Settings, host: str, port: int
) -> str | None:
    """SHA-256 of the certificate that a port serves; ``None`` when no handshake came about.

    Our own client certificate is shown, so that the listener sees nothing odd. Nothing is sent.
    """
    try:
        context = observer_context(tls_identity(home, settings, Role.CLIENT))
        async with asyncio.timeout(_SECONDS):
            _, writer = await asyncio.open_connection(host, port, ssl=context)
    except (TrustError, OSError, TimeoutError):
        return None
    try:
        end: ssl.SSLObject | None = writer.get_extra_info("ssl_object")
        shown = end.getpeercert(binary_form=True) if end is not None else None
        return hashlib.sha256(shown).hexdigest() if shown else None
    finally:
        writer.transport.abort()
