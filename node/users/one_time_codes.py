"""One-time codes by an authenticator app: TOTP (RFC 6238), six digits, 30 seconds, SHA-1.

A code counts once: the time step of the last one that was taken is remembered, and only a later
one is taken again. The neighbouring steps are accepted for clocks that differ.
"""

from __future__ import annotations

import io
from datetime import datetime
from typing import Final

import pyotp
import segno
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from node.errors import OurFault
from node.ledger.private import LedgerKey

STEP_SECONDS: Final = 30
_NEIGHBOURS: Final = (0, -1, 1)
_NONCE: Final = 12


def new_secret() -> str:
    """A fresh secret in base32, 160 bits (RFC 4226 R6)."""
    return pyotp.random_base32()


def accepted_step(secret: str, code: str, now: datetime, *, after: int) -> int | None:
    """The time step of a right code that is later than ``after``; ``None`` for a wrong one."""
    typed = code.replace(" ", "")
    totp = pyotp.TOTP(secret)
    here = int(now.timestamp()) // STEP_SECONDS
    for step in sorted(here + neighbour for neighbour in _NEIGHBOURS):
        if step > after and pyotp.utils.strings_equal(totp.generate_otp(step), typed):
            return step
    return None


def address(secret: str, login: str, issuer: str) -> str:
    """The ``otpauth`` address that an app takes."""
    return pyotp.TOTP(secret).provisioning_uri(name=login, issuer_name=issuer)


def picture(secret: str, login: str, issuer: str) -> str:
    """The address as a QR code: SVG markup without style, to stand in a page."""
    out = io.BytesIO()
    segno.make(address(secret, login, issuer), error="m").save(
        out, kind="svg", scale=4, xmldecl=False, svgns=True, omitsize=False, nl=False
    )
    return out.getvalue().decode("ascii")


def seal(key: LedgerKey, login: str, secret: str, nonce: bytes) -> bytes:
    """The secret as it is stored; ``nonce`` is 12 fresh random bytes."""
    return nonce + _cipher(key, login).encrypt(nonce, secret.encode("ascii"), login.encode())


def unseal(key: LedgerKey, login: str, sealed: bytes) -> str:
    """The secret.

    Raises:
        OurFault: ``user-secret-unreadable``: the home has another ledger key than it had.
    """
    nonce, text = sealed[:_NONCE], sealed[_NONCE:]
    try:
        return _cipher(key, login).decrypt(nonce, text, login.encode()).decode("ascii")
    except InvalidTag as error:
        raise OurFault(
            "user-secret-unreadable", "The secret of a user's one-time code does not open."
        ) from error


def _cipher(key: LedgerKey, login: str) -> AESGCM:
    return key.wrapping(f"console one-time code\x00{login}")
