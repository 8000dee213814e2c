"""Users in the node's database: who there is, signing in, lockout.

Whether a password was wrong, or the login is nobody's, takes the same time and is answered in the
same words, also when there were too many attempts. Attempts are counted where they are judged, in
one transaction, so that many at once do not get more of them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import Connection, Engine, RowMapping, Select, delete, insert, select, update

from node.errors import OurFault
from node.ledger.leaf import milliseconds
from node.ledger.private import LedgerKey
from node.storage.engine import IMMEDIATE
from node.users import one_time_codes
from node.users.model import (
    FHIR_ID,
    FREE_FAILURES,
    MOST_USERS,
    Refused,
    User,
    check_codes,
    check_login,
    check_password,
    check_roles,
)
from node.users.strangers import Strangers, lock
from node.users.tables import SESSION, USER


class Users:
    """The users of one node. The schema must be migrated before."""

    def __init__(
        self,
        engine: Engine,
        key: LedgerKey,
        now: Callable[[], datetime],
        *,
        hasher: PasswordHasher | None = None,
    ) -> None:
        """``hasher`` defaults to argon2id with the library's parameters (RFC 9106, low memory)."""
        self._engine = engine.execution_options(**{IMMEDIATE: True})
        self._key = key
        self._now = now
        self._hasher = hasher or PasswordHasher()
        # what an attempt for nobody's login is compared with, so that it takes as long
        self._nobody = self._hasher.hash(os.urandom(16).hex())
        self._strangers = Strangers()

    # --- who there is ---------------------------------------------------------------------------

    def add(
        self, login: str, name: str, roles: tuple[str, ...], password: str, *, own: bool = False
    ) -> User:
        """Add a person; the password must be changed at first sign-in unless it is their ``own``.

        Raises:
            OurFault: ``user-invalid``, ``user-exists``, ``password-weak``, ``user-limit``.
        """
        check_login(login)
        roles = check_roles(roles)
        if not name.strip() or len(name) > _NAME:
            raise OurFault("user-invalid", f"A user's name has 1 to {_NAME} characters.")
        hashed = self._hasher.hash(check_password(password, login))
        with self._engine.begin() as connection:
            logins = connection.execute(select(USER.c.login).limit(MOST_USERS + 1)).scalars().all()
            if login in logins:
                raise OurFault("user-exists", f"There is a user {login} already.")
            if len(logins) >= MOST_USERS:
                raise OurFault("user-limit", f"There are {MOST_USERS} users already.")
            connection.execute(
                insert(USER).values(
                    login=login,
                    name=name.strip(),
                    roles=",".join(roles),
                    password=hashed,
                    must_change=not own,
                    totp=None,
                    totp_step=0,
                    active=True,
                    failures=0,
                    locked_until=0,
                    added=milliseconds(self._now()),
                )
            )
        return User(login=login, name=name.strip(), roles=roles, must_change=not own)

    def all(self) -> tuple[User, ...]:
        """Everybody, by login."""
        with self._engine.connect() as connection:
            query = select(USER).order_by(USER.c.login).limit(MOST_USERS)
            return tuple(user_of(row) for row in connection.execute(query).mappings())

    def find(self, login: str) -> User | None:
        """The person with a login."""
        with self._engine.connect() as connection:
            row = _row(connection, login)
        return user_of(row) if row else None

    def change_roles(self, login: str, roles: tuple[str, ...]) -> User:
        """Give a person other roles; sessions end, so that nobody goes on with the former ones.

        Raises:
            OurFault: ``user-unknown``, ``user-invalid``, ``user-external``.
        """
        self._check_local(login)
        return self._change(login, {"roles": ",".join(check_roles(roles))})

    def set_active(self, login: str, *, active: bool) -> User:
        """Let a person sign in, or not any more; sessions end. Raises ``OurFault``."""
        return self._change(login, {"active": active, "failures": 0, "locked_until": 0})

    def reset(self, login: str, password: str) -> User:
        """Give a password to be changed at once, and forget one-time code, lock and sessions.

        Raises:
            OurFault: ``user-unknown``, ``user-external``, ``password-weak``.
        """
        self._check_local(login)
        hashed = self._hasher.hash(check_password(password, login))
        return self._change(
            login,
            {
                "password": hashed,
                "must_change": True,
                "totp": None,
                "totp_step": 0,
                "failures": 0,
                "locked_until": 0,
            },
        )

    def change_password(self, login: str, password: str) -> None:
        """A person's own new password.

        Raises:
            OurFault: ``user-unknown``, ``password-weak``, also for the password that is in use.
        """
        row = self._known(login)
        check_password(password, login)
        if self._right(row["password"], password):
            raise OurFault("password-weak", "The new password is the one that is in use.")
        values = {"password": self._hasher.hash(password), "must_change": False}
        with self._engine.begin() as connection:
            connection.execute(update(USER).where(USER.c.login == login).values(**values))

    def set_practitioner(self, login: str, practitioner: str | None) -> User:
        """Say which Practitioner of our FHIR server a person is; sessions end.

        Raises:
            OurFault: ``user-unknown``, ``user-invalid``.
        """
        if practitioner is not None and not FHIR_ID.fullmatch(practitioner):
            raise OurFault("user-invalid", "The id of a resource has 1 to 64 of A-Z a-z 0-9 . -")
        return self._change(login, {"practitioner": practitioner})

    def set_encounter_ids(
        self, login: str, ids: tuple[str, ...], departments: tuple[str, ...]
    ) -> User:
        """Say who a person is in the feed of encounters; sessions end.

        Raises:
            OurFault: ``user-unknown``, ``user-invalid``.
        """
        values = {
            "practitioner_ids": "\n".join(check_codes("A practitioner's id", ids)) or None,
            "departments": "\n".join(check_codes("A department", departments)) or None,
        }
        return self._change(login, values)

    def _change(self, login: str, values: Mapping[str, Any]) -> User:
        with self._engine.begin() as connection:
            done = connection.execute(update(USER).where(USER.c.login == login).values(**values))
            if not done.rowcount:
                raise _unknown(login)
            connection.execute(delete(SESSION).where(SESSION.c.login == login))
            return user_of(connection.execute(_chosen(login)).mappings().one())

    def _check_local(self, login: str) -> None:
        """Refuse what the sign-on of our organisation alone decides about its people."""
        if self._known(login)["issuer"] is not None:
            raise OurFault(
                "user-external",
                f"{login} signs in with the organisation's account, which gives roles and proof.",
            )

    def _known(self, login: str) -> RowMapping:
        with self._engine.connect() as connection:
            row = _row(connection, login)
        if row is None:
            raise _unknown(login)
        return row

    # --- signing in -----------------------------------------------------------------------------

    def prove_password(self, login: str, password: str) -> User | Refused:
        """The first step: who it is by the password, or why not."""
        with self._engine.connect() as connection:
            row = _row(connection, login)
        local = row is not None and row["issuer"] is None
        right = self._right(row["password"] if row and local else self._nobody, password)
        if row is None or not local:
            return self._strangers.refused(login, self._now())
        return self._judged(row["login"], lambda _connection, _row: right)

    def prove_code(self, login: str, code: str) -> User | Refused:
        """The second step: the one-time code; a code that was taken once is wrong."""

        def right(connection: Connection, row: RowMapping) -> bool:
            if row["totp"] is None:
                return False
            secret = one_time_codes.unseal(self._key, login, row["totp"])
            step = one_time_codes.accepted_step(secret, code, self._now(), after=row["totp_step"])
            if step is not None:
                taken = update(USER).where(USER.c.login == login).values(totp_step=step)
                connection.execute(taken)
            return step is not None

        return self._judged(login, right)

    def set_code(self, login: str, secret: str, code: str) -> bool:
        """Set one-time codes up, if the code shows that the person's app has the secret."""
        step = one_time_codes.accepted_step(secret, code, self._now(), after=0)
        if step is None:
            return False
        sealed = one_time_codes.seal(self._key, login, secret, os.urandom(12))
        with self._engine.begin() as connection:
            values = {"totp": sealed, "totp_step": step}
            done = connection.execute(
                update(USER).where(USER.c.login == login, USER.c.totp.is_(None)).values(**values)
            )
        return bool(done.rowcount)

    def _judged(
        self, login: str, judge: Callable[[Connection, RowMapping], bool]
    ) -> User | Refused:
        """Judge an attempt and count it, with the person's row locked."""
        now = self._now()
        with self._engine.begin() as connection:
            row = _row(connection, login, lock=True)
            if row is None:
                return Refused.WRONG
            if milliseconds(now) < row["locked_until"]:
                return Refused.LOCKED
            if not judge(connection, row):
                failures = row["failures"] + 1
                until = milliseconds(now + lock(failures)) if failures >= FREE_FAILURES else 0
                self._count(connection, login, failures, until)
                return Refused.LOCKED if until else Refused.WRONG
            if not row["active"]:
                return Refused.DISABLED
            self._count(connection, login, 0, 0)
            return user_of(row)

    @staticmethod
    def _count(connection: Connection, login: str, failures: int, until: int) -> None:
        values = {"failures": failures, "locked_until": until}
        connection.execute(update(USER).where(USER.c.login == login).values(**values))

    def _right(self, hashed: str, password: str) -> bool:
        try:
            return self._hasher.verify(hashed, password)
        except (VerificationError, InvalidHashError):
            return False


_NAME: Final = 128


def _chosen(login: str) -> Select[Any]:
    return select(USER).where(USER.c.login == login)


def _row(connection: Connection, login: str, *, lock: bool = False) -> RowMapping | None:
    query = _chosen(login)
    if lock:
        query = query.with_for_update()
    return connection.execute(query).mappings().one_or_none()


def user_of(row: RowMapping) -> User:
    """The person of a row."""
    return User(
        login=row["login"],
        name=row["name"],
        roles=tuple(row["roles"].split(",")),
        active=row["active"],
        must_change=row["must_change"],
        has_code=row["totp"] is not None,
        practitioner=row["practitioner"],
        practitioner_ids=tuple((row["practitioner_ids"] or "").split()),
        departments=tuple((row["departments"] or "").split()),
        external=row["issuer"] is not None,
    )


def _unknown(login: str) -> OurFault:
    return OurFault("user-unknown", f"There is no user {login}.")
