"""People whom the sign-on of our organisation proves: they have no password here.

The provider's pair of issuer and subject is the person; the login is how pages and the log name
them, and never leads from one person's account to another's. Roles are those of the last sign-in.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, Engine, RowMapping, delete, func, insert, select, update

from node.errors import OurFault, TheirFault
from node.ledger.leaf import milliseconds
from node.storage.engine import IMMEDIATE
from node.users.model import MOST_USERS, User, check_roles
from node.users.sign_on import Identity
from node.users.store import user_of
from node.users.tables import SESSION, USER

NO_PASSWORD: Final = "!"  # noqa: S105 - no hash of any password


class Welcome:
    """Lets people in whom the provider proved."""

    def __init__(self, engine: Engine, now: Callable[[], datetime]) -> None:
        self._engine = engine.execution_options(**{IMMEDIATE: True})
        self._now = now

    def known(self, identity: Identity) -> str | None:
        """The login of a person who was here before."""
        with self._engine.connect() as connection:
            row = _row(connection, identity)
        return str(row["login"]) if row else None

    def enter(self, identity: Identity) -> User:
        """The person's account, made or brought up to date; with other roles, sessions end.

        Raises:
            TheirFault: ``sign-on-login-taken``: a local account, or another person's, has the
                login; ``sign-in-disabled``: the account is locked.
            OurFault: ``user-limit``; ``user-invalid`` for a role that there is not.
        """
        roles = ",".join(check_roles(identity.roles))
        with self._engine.begin() as connection:
            row = _row(connection, identity)
            if row is None:
                self._add(connection, identity, roles)
            elif not row["active"]:
                raise TheirFault(
                    "sign-in-disabled", "This account is locked. Your administrator can unlock it."
                )
            else:
                _follow(connection, row, identity, roles)
            found = _row(connection, identity)
        if found is None:  # pragma: no cover - it was written a moment ago
            raise OurFault("user-unknown", "An account is gone.")
        return user_of(found)

    def _add(self, connection: Connection, identity: Identity, roles: str) -> None:
        number = connection.execute(select(func.count()).select_from(USER)).scalar_one()
        if number >= MOST_USERS:
            raise OurFault("user-limit", f"There are {MOST_USERS} users already.")
        _check_free(connection, identity.login)
        connection.execute(
            insert(USER).values(
                login=identity.login,
                name=identity.name,
                roles=roles,
                password=NO_PASSWORD,
                must_change=False,
                totp=None,
                totp_step=0,
                active=True,
                failures=0,
                locked_until=0,
                added=milliseconds(self._now()),
                issuer=identity.issuer,
                subject=identity.subject,
            )
        )


def _follow(connection: Connection, row: RowMapping, identity: Identity, roles: str) -> None:
    """What the provider says now; the login stays the one that the log knows the person by."""
    if row["roles"] != roles:
        connection.execute(delete(SESSION).where(SESSION.c.login == row["login"]))
    values = {"name": identity.name, "roles": roles}
    connection.execute(update(USER).where(USER.c.login == row["login"]).values(**values))


def _check_free(connection: Connection, login: str) -> None:
    if connection.execute(select(USER.c.login).where(USER.c.login == login)).first():
        raise TheirFault(
            "sign-on-login-taken", "Another account of this console has your login already."
        )


def _row(connection: Connection, identity: Identity) -> RowMapping | None:
    query = select(USER).where(USER.c.issuer == identity.issuer, USER.c.subject == identity.subject)
    return connection.execute(query).mappings().one_or_none()
