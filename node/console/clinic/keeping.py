"""Clinicians' requests and what they opened, in the database: sealed, and deleted in time."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import msgspec
from cryptography.exceptions import InvalidTag
from sqlalchemy import Engine, Table, delete, insert, select

from node.console.clinic.document_list import Key
from node.console.clinic.stored import StoredRequest, decoded, encoded
from node.errors import OurFault
from node.ledger.leaf import milliseconds
from node.ledger.private import LedgerKey
from node.model import PatientId
from node.storage.clinic_tables import CLINIC_REQUEST, CLINIC_SEEN

_NONCE: Final = 12
_MOST_LOADED: Final = 500
_AT_ONCE: Final = 500
_MOST_SEEN: Final = 20_000
"""Documents of one person that are remembered as opened; the newest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Concerned:
    """A request that an erasure is about, and what the documents are called that it names."""

    token: str
    documents: tuple[Key, ...]


class ClinicStore:
    """Usable from several threads. The schema must be migrated before."""

    def __init__(self, engine: Engine, key: LedgerKey) -> None:
        """``key`` seals, and makes the tokens by which rows are found."""
        self._engine = engine
        self._key = key

    def save(self, requests: Iterable[StoredRequest], *, until: datetime) -> None:
        """Store requests in the place of what was stored of them; deleted after ``until``."""
        rows = []
        for stored in requests:
            token = self._request(stored.token)
            sealed = self._sealed(token, encoded(stored))
            rows.append(_row(token, stored.login, until, sealed))
        self._put(CLINIC_REQUEST, rows)

    def forget(self, tokens: Iterable[str]) -> None:
        """Delete requests."""
        gone = [self._request(token) for token in tokens]
        with self._engine.begin() as connection:
            connection.execute(delete(CLINIC_REQUEST).where(CLINIC_REQUEST.c.token.in_(gone)))

    def there(self, tokens: Collection[str]) -> frozenset[str]:
        """Those of some requests that are stored."""
        by_row = {self._request(token): token for token in tokens}
        query = select(CLINIC_REQUEST.c.token).where(CLINIC_REQUEST.c.token.in_(by_row))
        with self._engine.connect() as connection:
            rows = connection.execute(query).scalars().all()
        return frozenset(by_row[bytes(row)] for row in rows)

    def about(self, patient: PatientId | None, legs: Collection[str]) -> Sequence[Concerned]:
        """The requests, of anybody, about a person or with one of some legs."""
        query = select(CLINIC_REQUEST.c.token)
        with self._engine.connect() as connection:
            tokens = connection.execute(query).scalars().all()
            found = []
            for token in tokens:  # one at a time: each may be of megabytes
                one = select(CLINIC_REQUEST.c.sealed).where(CLINIC_REQUEST.c.token == token)
                sealed = connection.execute(one).scalar()
                try:
                    stored = decoded(self._unsealed(bytes(token), sealed or b""))
                except OurFault:  # of another key: nobody can read it
                    continue
                if stored.is_about(patient, legs):
                    found.append(Concerned(token=stored.token, documents=stored.keys))
        return found

    def erase(self, requests: Iterable[Concerned]) -> None:
        """Delete requests, and whose documents anybody opened of those that they name.

        A console that serves forgets them within seconds (``Requests.flush``).
        """
        gone = list(requests)
        self.forget(each.token for each in gone)
        keys = {key for each in gone for key in each.documents}
        texts = [msgspec.json.encode(key).decode() for key in keys]
        # apart: a transaction that reads before it writes is refused by SQLite when others wrote
        with self._engine.connect() as connection:
            logins = connection.execute(select(CLINIC_SEEN.c.login).distinct()).scalars().all()
        with self._engine.begin() as connection:
            for login in logins:
                tokens = [self._key.token("clinic-seen", f"{login}\x00{text}") for text in texts]
                for start in range(0, len(tokens), _AT_ONCE):
                    some = CLINIC_SEEN.c.token.in_(tokens[start : start + _AT_ONCE])
                    connection.execute(delete(CLINIC_SEEN).where(some))

    def requests(self, now: datetime) -> Sequence[StoredRequest]:
        """All requests whose time is not over; one that does not open is deleted."""
        query = (
            select(CLINIC_REQUEST)
            .where(CLINIC_REQUEST.c.until > milliseconds(now))
            .order_by(CLINIC_REQUEST.c.until.desc())
            .limit(_MOST_LOADED)
        )
        with self._engine.connect() as connection:
            rows = connection.execute(query).all()
        found: list[StoredRequest] = []
        broken: list[bytes] = []
        for row in rows:
            try:
                found.append(decoded(self._unsealed(bytes(row.token), row.sealed)))
            except OurFault:  # of another key, or of a version that stored otherwise
                broken.append(bytes(row.token))
        if broken:
            with self._engine.begin() as connection:
                gone = CLINIC_REQUEST.c.token.in_(broken)
                connection.execute(delete(CLINIC_REQUEST).where(gone))
        return sorted(found, key=lambda each: each.began)

    def opened(self, login: str, document: Key, *, until: datetime) -> None:
        """Remember that a person opened a document."""
        text = msgspec.json.encode(document)
        token = self._key.token("clinic-seen", f"{login}\x00{text.decode()}")
        self._put(CLINIC_SEEN, [_row(token, login, until, self._sealed(token, text))])

    def seen(self, login: str, now: datetime) -> frozenset[Key]:
        """What a person opened."""
        query = (
            select(CLINIC_SEEN.c.token, CLINIC_SEEN.c.sealed)
            .where(CLINIC_SEEN.c.login == login, CLINIC_SEEN.c.until > milliseconds(now))
            .order_by(CLINIC_SEEN.c.until.desc())
            .limit(_MOST_SEEN)
        )
        with self._engine.connect() as connection:
            rows = connection.execute(query).all()
        found: set[Key] = set()
        for row in rows:
            try:
                found.add(
                    msgspec.json.decode(self._unsealed(bytes(row.token), row.sealed), type=Key)
                )
            except (OurFault, msgspec.MsgspecError):
                continue  # new to them again
        return frozenset(found)

    def sweep(self, now: datetime) -> None:
        """Delete what has been here long enough."""
        with self._engine.begin() as connection:
            for table in (CLINIC_REQUEST, CLINIC_SEEN):
                connection.execute(delete(table).where(table.c.until <= milliseconds(now)))

    def _put(self, table: Table, rows: list[dict[str, object]]) -> None:
        if not rows:
            return
        with self._engine.begin() as connection:
            tokens = [row["token"] for row in rows]
            connection.execute(delete(table).where(table.c.token.in_(tokens)))
            connection.execute(insert(table), rows)

    def _request(self, token: str) -> bytes:
        return self._key.token("clinic-request", token)

    def _sealed(self, token: bytes, text: bytes) -> bytes:
        nonce = os.urandom(_NONCE)
        cipher = self._key.wrapping(f"clinic\x00{token.hex()}")
        return nonce + cipher.encrypt(nonce, text, _SEALED)

    def _unsealed(self, token: bytes, sealed: bytes) -> bytes:
        cipher = self._key.wrapping(f"clinic\x00{token.hex()}")
        try:
            return cipher.decrypt(sealed[:_NONCE], sealed[_NONCE:], _SEALED)
        except InvalidTag as error:
            raise OurFault(
                "clinic-request-unreadable", "A stored request of a clinician cannot be read."
            ) from error


_SEALED: Final = b"clinic v1"


def _row(token: bytes, login: str, until: datetime, sealed: bytes) -> dict[str, object]:
    return {"token": token, "login": login, "until": milliseconds(until), "sealed": sealed}
