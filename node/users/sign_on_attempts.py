"""Sign-ins that are under way at the provider: each state counts once, in one browser, for a while.

The browser holds 32 random bytes in a cookie; the nonce and the PKCE verifier are made of them and
stored nowhere. The database has digests alone, so that reading it lets nobody finish a sign-in.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from sqlalchemy import Engine, delete, func, insert, select

from node.errors import OurFault
from node.ledger.leaf import milliseconds
from node.storage.engine import IMMEDIATE
from node.users.tables import SIGN_ON

LIFETIME: Final = timedelta(minutes=10)
MOST: Final = 10_000
"""Sign-ins under way; whoever wants to begin one more is told to wait."""

MAX_BACK: Final = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """A sign-in that was begun: what goes to the provider, and what the browser keeps."""

    state: str
    cookie: str = field(repr=False)

    @property
    def nonce(self) -> str:
        """What the ID Token must repeat."""
        return _derived(self.cookie, b"nonce")

    @property
    def verifier(self) -> str:
        """PKCE's secret (RFC 7636), shown to the token endpoint alone."""
        return _derived(self.cookie, b"verifier")

    @property
    def challenge(self) -> str:
        """Its digest, shown to the authorization endpoint (S256)."""
        digest = hashlib.sha256(self.verifier.encode("ascii")).digest()
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode("ascii")


@dataclass(frozen=True, slots=True, kw_only=True)
class Returned:
    """A sign-in that came back.

    Attributes:
        begun: what it began with.
        began: when.
        session: the key of the session whose person proves themselves again; empty at a sign-in.
        back: the page to go on to.
    """

    begun: Begun
    began: datetime
    session: bytes
    back: str


class SignOnAttempts:
    """The sign-ins under way at one node."""

    def __init__(self, engine: Engine, now: Callable[[], datetime]) -> None:
        self._engine = engine.execution_options(**{IMMEDIATE: True})
        self._now = now

    def begin(self, back: str, session: bytes = b"") -> Begun:
        """Begin one. Those that are over are forgotten.

        Raises:
            OurFault: ``sign-on-busy``.
        """
        made = Begun(state=secrets.token_urlsafe(32), cookie=secrets.token_urlsafe(32))
        now = self._now()
        with self._engine.begin() as connection:
            over = SIGN_ON.c.began < milliseconds(now - LIFETIME)
            connection.execute(delete(SIGN_ON).where(over))
            number = connection.execute(select(func.count()).select_from(SIGN_ON)).scalar_one()
            if number >= MOST:
                raise OurFault("sign-on-busy", f"{MOST} sign-ins are under way already.")
            connection.execute(
                insert(SIGN_ON).values(
                    state=_digest(made.state),
                    browser=_digest(made.cookie),
                    began=milliseconds(now),
                    session=session,
                    back=back[:MAX_BACK],
                )
            )
        return made

    def take(self, state: str, cookie: str) -> Returned | None:
        """The sign-in that a browser brings back, once; ``None`` for any other."""
        with self._engine.begin() as connection:
            query = select(SIGN_ON).where(SIGN_ON.c.state == _digest(state)).with_for_update()
            row = connection.execute(query).mappings().one_or_none()
            if row is None or not hmac.compare_digest(row["browser"], _digest(cookie)):
                return None
            connection.execute(delete(SIGN_ON).where(SIGN_ON.c.state == row["state"]))
        if milliseconds(self._now()) >= row["began"] + LIFETIME / timedelta(milliseconds=1):
            return None
        return Returned(
            begun=Begun(state=state, cookie=cookie),
            began=datetime.fromtimestamp(row["began"] / 1000, UTC),
            session=row["session"],
            back=row["back"],
        )


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "replace")).digest()


def _derived(cookie: str, what: bytes) -> str:
    made = hmac.new(cookie.encode("utf-8", "replace"), what, hashlib.sha256).digest()
    return base64.urlsafe_b64encode(made).rstrip(b"=").decode("ascii")
