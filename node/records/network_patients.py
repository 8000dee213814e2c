"""The network patients in the node's database (``exchange.network_ports.NetworkPatients``)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import msgspec

from node.exchange.network_ports import KnownAt, NetworkPatient
from node.exchange.ports import Clock
from node.model import Demographics, Principal
from node.records.network_store import KeptRow, NetworkStore
from node.wire.fhir.references import is_id


@dataclass(frozen=True, slots=True, kw_only=True)
class _Person:
    asked: Demographics
    known: tuple[KnownAt, ...]


class StoredNetworkPatients:
    """Implements ``NetworkPatients``."""

    def __init__(self, store: NetworkStore, clock: Clock, life: timedelta) -> None:
        """``life``: how long a person is remembered after they were last asked for."""
        self._store = store
        self._clock = clock
        self._life = life

    async def keep(
        self,
        principal: Principal,
        asked: Demographics,
        known: Sequence[KnownAt],
        *,
        alone: bool = False,
    ) -> NetworkPatient:
        """Remember a person; what a community said before gives way to what it says now."""
        return await asyncio.to_thread(self._keep, principal, asked, tuple(known), alone=alone)

    async def get(self, principal: Principal, id_: str) -> NetworkPatient | None:
        """A person, or ``None`` when unknown, expired or another user's."""
        return await asyncio.to_thread(self._get, principal, id_)

    def _keep(
        self, principal: Principal, asked: Demographics, known: tuple[KnownAt, ...], *, alone: bool
    ) -> NetworkPatient:
        now = self._clock.now()
        about = [msgspec.json.encode(asked)]
        if alone:
            about += [msgspec.json.encode((k.home_community_id, k.patient_id)) for k in known]
        answered = {each.home_community_id for each in known}

        def change(before: bytes | None) -> bytes:
            held = msgspec.json.decode(before, type=_Person).known if before else ()
            others = tuple(each for each in held if each.home_community_id not in answered)
            return msgspec.json.encode(_Person(asked=asked, known=(*others, *known)))

        row = self._store.put(
            holder_of(self._store, principal),
            self._store.digest(b"patient", *about),
            change,
            expires=now + self._life,
            now=now,
        )
        return _patient(row)

    def _get(self, principal: Principal, id_: str) -> NetworkPatient | None:
        if not is_id(id_):
            return None
        row = self._store.get(holder_of(self._store, principal), id_, now=self._clock.now())
        return _patient(row) if row else None


def holder_of(store: NetworkStore, principal: Principal) -> bytes:
    """Who may see what was kept for a principal: the same user, asking for the same purpose."""
    return store.digest(
        principal.organization_id.encode(),
        principal.user_id.encode(),
        principal.purpose.code.encode(),
    )


def _patient(row: KeptRow) -> NetworkPatient:
    person = msgspec.json.decode(row.content, type=_Person)
    return NetworkPatient(id=row.id, asked=person.asked, known=person.known, expires=row.expires)
