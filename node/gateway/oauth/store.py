"""Clients, tokens and what was seen, in the node's database; for all its processes alike.

Calls are synchronous and short; the endpoints make them in a thread.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Engine, RowMapping, delete, func, select, update
from sqlalchemy.dialects import postgresql, sqlite

from node.policy.scopes import Scope, parse_scopes
from node.storage.approval_tables import APPROVAL, LAUNCH, REQUEST, TICKET
from node.storage.engine import IMMEDIATE
from node.storage.oauth_tables import CLIENT, ISSUED, SEEN


class ClientState(StrEnum):
    """Whether a client may ask for tokens."""

    ACTIVE = "active"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """A registered client.

    Attributes:
        community: the trust community it registered in; ``local`` for an app of our own operator.
        uri: its URI there.
        client_id: what it goes by.
        purpose: its one exchange purpose.
        organization_id: directory id of its organisation.
        scope: what it was granted.
        body: its registered parameters.
        jwks: its keys, where it registered them itself.
        key: SPKI SHA-256 of the key that it registered with.
        statement: SHA-256 of the statement in force.
    """

    community: str
    uri: str
    client_id: str
    state: ClientState
    purpose: str
    organization_id: str
    scope: str
    body: Mapping[str, Any] = field(default_factory=dict)
    jwks: str | None = None
    key: str | None = None
    statement: bytes | None = None
    registered: datetime
    changed: datetime

    @property
    def scopes(self) -> tuple[Scope, ...]:
        """The scopes, read."""
        return parse_scopes(self.scope.split())


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuedToken:
    """A token that was given out, by its digest.

    ``approval`` where a person approved it, ``patient`` where an individual asks for their own.
    """

    digest: bytes
    client_id: str
    purpose: str
    organization_id: str
    scope: str
    context: bytes
    entry_id: str
    issued: datetime
    expires: datetime
    approval: str | None = None
    patient: str | None = None


class OauthStore:
    """Implements the endpoints' memory over a database that was migrated."""

    def __init__(self, engine: Engine) -> None:
        """``engine`` is the node's."""
        self._engine = engine
        self._insert = postgresql.insert if engine.dialect.name == "postgresql" else sqlite.insert

    def client(self, community: str, uri: str) -> Client | None:
        """The client with a URI in a community, active or not."""
        with self._engine.connect() as connection:
            row = (
                connection.execute(
                    select(CLIENT).where(CLIENT.c.community == community, CLIENT.c.uri == uri)
                )
                .mappings()
                .one_or_none()
            )
        return _client(row) if row else None

    def client_by_id(self, client_id: str) -> Client | None:
        """The client with a ``client_id``, active or not."""
        with self._engine.connect() as connection:
            row = (
                connection.execute(select(CLIENT).where(CLIENT.c.client_id == client_id))
                .mappings()
                .one_or_none()
            )
        return _client(row) if row else None

    def clients(self, limit: int = 1000, *, community: str | None = None) -> list[Client]:
        """All clients, or those of one community, the newest change first."""
        query = select(CLIENT).order_by(CLIENT.c.changed.desc(), CLIENT.c.client_id).limit(limit)
        if community is not None:
            query = query.where(CLIENT.c.community == community)
        with self._engine.connect() as connection:
            return [_client(row) for row in connection.execute(query).mappings()]

    def save(self, client: Client) -> None:
        """Write a client in place of what its community had under its URI; its tokens end."""
        values = {
            "community": client.community,
            "uri": client.uri,
            "client_id": client.client_id,
            "state": client.state.value,
            "purpose": client.purpose,
            "organization_id": client.organization_id,
            "scope": client.scope,
            "body": json.dumps(dict(client.body), sort_keys=True),
            "jwks": client.jwks,
            "key": client.key,
            "statement": client.statement,
            "registered": _milliseconds(client.registered),
            "changed": _milliseconds(client.changed),
        }
        with self._writing() as connection:
            statement = self._insert(CLIENT).values(**values)
            connection.execute(
                statement.on_conflict_do_update(
                    index_elements=["community", "uri"],
                    set_={n: v for n, v in values.items() if n not in ("community", "uri")},
                )
            )
            _end_all(connection, client.client_id)

    def forget(self, client: Client) -> None:
        """Take back a registration that nobody was told of."""
        with self._writing() as connection:
            connection.execute(delete(CLIENT).where(CLIENT.c.client_id == client.client_id))

    def accept_once(self, key: bytes, *, until: datetime, now: datetime) -> bool:
        """Remember a token of a client until it expires; ``False`` when it was there already.

        It is forgotten at exactly that moment: the same id may come again then (1.1).
        """
        moment, end = _milliseconds(now), _milliseconds(until)
        with self._writing() as connection:
            connection.execute(delete(SEEN).where(SEEN.c.until <= moment))
            done = connection.execute(
                self._insert(SEEN).values(key=key, until=end).on_conflict_do_nothing()
            )
            return bool(done.rowcount == 1)

    def live_tokens(self, client_id: str, *, now: datetime) -> int:
        """How many tokens of a client are alive."""
        with self._engine.connect() as connection:
            return connection.execute(
                select(func.count()).where(
                    ISSUED.c.client_id == client_id, ISSUED.c.expires > _milliseconds(now)
                )
            ).scalar_one()

    def add_token(self, token: IssuedToken) -> None:
        """Keep a token; those that have expired go."""
        with self._writing() as connection:
            connection.execute(
                delete(ISSUED).where(ISSUED.c.expires <= _milliseconds(token.issued))
            )
            connection.execute(
                ISSUED.insert().values(
                    digest=token.digest,
                    client_id=token.client_id,
                    purpose=token.purpose,
                    organization_id=token.organization_id,
                    scope=token.scope,
                    context=token.context,
                    entry_id=token.entry_id,
                    issued=_milliseconds(token.issued),
                    expires=_milliseconds(token.expires),
                    approval=token.approval,
                    patient=token.patient,
                )
            )

    def drop_token(self, digest: bytes) -> None:
        """Forget a token that nobody was given."""
        with self._writing() as connection:
            connection.execute(delete(ISSUED).where(ISSUED.c.digest == digest))

    def token(self, digest: bytes, *, now: datetime) -> IssuedToken | None:
        """A token that is alive, of a client that is active."""
        query = (
            select(ISSUED)
            .join(CLIENT, CLIENT.c.client_id == ISSUED.c.client_id)
            .where(
                ISSUED.c.digest == digest,
                ISSUED.c.expires > _milliseconds(now),
                CLIENT.c.state == ClientState.ACTIVE.value,
            )
        )
        with self._engine.connect() as connection:
            row = connection.execute(query).mappings().one_or_none()
        if row is None:
            return None
        values: dict[str, Any] = dict(row)
        values |= {name: _moment(values[name]) for name in ("issued", "expires")}
        return IssuedToken(**values)

    def end(self, client_id: str, *, now: datetime) -> bool:
        """Cancel a client, as its operator or ours decides; ``False`` when it was not active."""
        with self._writing() as connection:
            done = connection.execute(
                update(CLIENT)
                .where(CLIENT.c.client_id == client_id, CLIENT.c.state == ClientState.ACTIVE.value)
                .values(state=ClientState.CANCELLED.value, changed=_milliseconds(now))
            )
            _end_all(connection, client_id)
            return bool(done.rowcount == 1)

    def _writing(self) -> Any:
        return self._engine.execution_options(**{IMMEDIATE: True}).begin()


def _end_all(connection: Connection, client_id: str) -> None:
    """End every token of a client, and whatever it could get further ones with."""
    own = select(APPROVAL.c.id).where(APPROVAL.c.client_id == client_id)
    connection.execute(delete(TICKET).where(TICKET.c.approval.in_(own)))
    for table in (APPROVAL, REQUEST, LAUNCH, ISSUED):
        connection.execute(delete(table).where(table.c.client_id == client_id))


def _client(values: RowMapping) -> Client:
    fields: dict[str, Any] = dict(values)
    fields["state"] = ClientState(fields["state"])
    fields["body"] = json.loads(fields["body"])
    fields |= {name: _moment(fields[name]) for name in ("registered", "changed")}
    return Client(**fields)


def _milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


def _moment(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
