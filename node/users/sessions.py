"""Sessions: who a cookie belongs to, for how long, and how far signing in has come.

The browser holds 32 random bytes; the database holds their SHA-256, so that reading it gives nobody
a session. A session ends after 15 minutes without a request, and after 12 hours anyhow.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from sqlalchemy import Engine, delete, insert, select, update

from node.ledger.leaf import milliseconds
from node.storage.engine import IMMEDIATE
from node.users.model import User
from node.users.store import Users
from node.users.tables import SESSION

IDLE: Final = timedelta(minutes=15)
LONGEST: Final = timedelta(hours=12)
PROVED: Final = timedelta(minutes=5)
"""How long a step-up counts, unless the settings say otherwise."""

_NOTED: Final = timedelta(seconds=30)
"""A request is written down only when the last one that was is older."""

_TOKEN: Final = 32


class Stage(StrEnum):
    """How far signing in has come; only ``WHOLE`` opens pages."""

    CODE = "code"
    """The password was right; the one-time code is asked for."""
    SET_UP = "set-up"
    """The password was right; a one-time code is to be set up."""
    CHANGE = "change"
    """A new password is to be chosen."""
    WHOLE = "whole"


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A session that counts now.

    Attributes:
        user: whose.
        stage: how far signing in has come.
        form: what every form of it must bring back (against requests forged on other sites).
        proved: whether the person proved themselves again a short while ago.
        ends: when it ends without a further request.
    """

    key: bytes
    user: User
    stage: Stage
    form: str
    proved: bool
    ends: datetime


class Sessions:
    """The sessions of one node."""

    def __init__(
        self,
        engine: Engine,
        users: Users,
        now: Callable[[], datetime],
        *,
        proved_for: timedelta = PROVED,
    ) -> None:
        """``proved_for`` is how long a step-up counts."""
        self._engine = engine.execution_options(**{IMMEDIATE: True})
        self._users = users
        self._now = now
        self._proved_for = proved_for

    def begin(self, login: str, stage: Stage) -> str:
        """Begin a session; the token for the cookie. Those that are over are forgotten."""
        token = secrets.token_urlsafe(_TOKEN)
        now = milliseconds(self._now())
        with self._engine.begin() as connection:
            connection.execute(delete(SESSION).where(SESSION.c.began < now - _ms(LONGEST)))
            connection.execute(
                insert(SESSION).values(
                    token=_key(token),
                    login=login,
                    stage=stage.value,
                    form=secrets.token_urlsafe(_TOKEN),
                    began=now,
                    seen=now,
                    proved=now if stage is Stage.WHOLE else 0,
                )
            )
        return token

    def find(self, token: str) -> Session | None:
        """The session of a cookie, if it counts now; being found keeps it from going idle."""
        key, now = _key(token), self._now()
        with self._engine.connect() as connection:
            query = select(SESSION).where(SESSION.c.token == key)
            row = connection.execute(query).mappings().one_or_none()
        if row is None:
            return None
        at = milliseconds(now)
        user = self._users.find(row["login"])
        over = at >= row["seen"] + _ms(IDLE) or at >= row["began"] + _ms(LONGEST)
        if over or user is None or not user.active:
            self.end(key)
            return None
        if at >= row["seen"] + _ms(_NOTED):
            with self._engine.begin() as connection:
                connection.execute(update(SESSION).where(SESSION.c.token == key).values(seen=at))
        longest = timedelta(milliseconds=row["began"] + _ms(LONGEST) - at)
        return Session(
            key=key,
            user=user,
            stage=Stage(row["stage"]),
            form=row["form"],
            proved=at < row["proved"] + _ms(self._proved_for),
            ends=now + min(IDLE, longest),
        )

    def advance(self, session: Session, stage: Stage) -> str:
        """Go on to the next stage under a new token (against fixation); the token."""
        self.end(session.key)
        return self.begin(session.user.login, stage)

    def prove(self, session: Session) -> None:
        """The person has just proved themselves again."""
        values = {"proved": milliseconds(self._now())}
        with self._engine.begin() as connection:
            connection.execute(update(SESSION).where(SESSION.c.token == session.key).values(values))

    def end(self, key: bytes) -> None:
        """End a session."""
        with self._engine.begin() as connection:
            connection.execute(delete(SESSION).where(SESSION.c.token == key))


def form_holds(session: Session, brought: str) -> bool:
    """Whether a form was one of this session's pages."""
    return hmac.compare_digest(session.form.encode(), brought.encode("utf-8", "replace"))


def _key(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "replace")).digest()


def _ms(span: timedelta) -> int:
    return int(span / timedelta(milliseconds=1))
