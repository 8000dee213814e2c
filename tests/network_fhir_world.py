"""The network's FHIR address over real HTTPS: our own systems in front, simulated peers behind.

The ledger, the database and the TLS are real; the peers are those of ``tests/sim``.
"""

from __future__ import annotations

import json
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import aiohttp
from fhir_world import Answer, FakeGrants, Records, open_records
from sqlalchemy import select
from yarl import URL

from node.clock import SystemClock
from node.exchange.fhir_broker import FhirBroker
from node.exchange.fhir_legs import FhirLegs
from node.exchange.fhir_ports import Grant
from node.exchange.initiate import Initiator
from node.exchange.leg_runner import LegRunner, Patience
from node.exchange.legs import Legs
from node.gateway.fhir.app import FhirApp, FhirLimits
from node.gateway.network.requests import network_route
from node.gateway.server import serving
from node.ledger.ledger import ExchangeLedger
from node.ledger.private import LedgerKey, unseal
from node.model import Interaction, Step, Transaction
from node.network_serving import NetworkSite, network_desk
from node.peers.inbox import FileInbox
from node.policy.purposes import purpose_register
from node.policy.scopes import parse_scopes
from node.records.publications import LocalPublications
from node.storage.tables import ENTRY, PRIVATE
from node.wire.fhir.network_capability import network_capability
from tests.sim.fhir_peers import SimFhirPeers, SimFhirServer
from tests.sim.network import OWN, PURPOSE, SimDirectory, SimPeer, SimPeers, entry, principal

KEY = LedgerKey(bytes(range(32)))
SCOPES = ("system/*.rs",)


class NetworkFhirWorld:
    """A running address and a client of it."""

    def __init__(
        self, records: Records, peers: SimPeers, http: aiohttp.ClientSession, spool: Path
    ) -> None:
        self.records = records
        self.engine = records.engine
        self.peers = peers
        self.http = http
        self.base = ""
        self.spool = spool
        self.directory: SimDirectory
        self.grants = FakeGrants()

    def token(
        self, *scopes: str, user: str = "ada@asker.example", own: bool = True, **changes: Any
    ) -> str:
        token = f"token-{len(self.grants.tokens)}"
        self.grants.tokens[token] = Grant(
            client_id=f"client-of-{user}",
            entry=replace(entry(1), organization_id="org-asker", home_community_id=OWN),
            purpose=PURPOSE,
            scopes=parse_scopes(scopes or SCOPES),
            principal=replace(principal(), user_id=user) if own else None,
            token=sha256(token.encode()).digest(),
            **changes,
        )
        return token

    async def get(self, path: str, query: Any = None, *, token: str = "", **headers: str) -> Answer:
        url = URL(path if path.startswith("https:") else f"{self.base}/{path}", encoded=True)
        if query is not None:
            url = url.with_query(query)
        return await self._ask("GET", url, None, token, headers)

    async def post(self, path: str, body: Any, *, token: str = "", **headers: str) -> Answer:
        headers.setdefault("content_type", "application/fhir+json")
        data = body if isinstance(body, bytes | str) else json.dumps(body)
        url = f"{self.base}/{path}" if path else self.base
        return await self._ask("POST", URL(url, encoded=True), data, token, headers)

    async def _ask(self, method: str, url: URL, body: Any, token: str, headers: Any) -> Answer:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if token:
            sent["authorization"] = f"Bearer {token}"
        async with self.http.request(method, url, data=body, headers=sent) as answer:
            names = {k.lower(): v for k, v in answer.headers.items()}
            return Answer(answer.status, names, await answer.read())

    def entries(self) -> list[dict[str, Any]]:
        """The leaves of the log."""
        with self.engine.connect() as connection:
            rows = connection.execute(select(ENTRY.c.leaf).order_by(ENTRY.c.seq)).scalars()
            return [json.loads(leaf) for leaf in rows]

    def private(self, group: str) -> list[Any]:
        """A private group of every entry that has it."""
        query = select(ENTRY.c.entry_id, PRIVATE.c[group]).join(
            PRIVATE, PRIVATE.c.seq == ENTRY.c.seq
        )
        with self.engine.connect() as connection:
            rows = connection.execute(query.order_by(ENTRY.c.seq)).all()
        return [unseal(KEY, row[0], group, row[1]).value for row in rows if row[1]]


@asynccontextmanager
async def network_fhir_world(
    folder: Path,
    us: Any,
    them: Any,
    *peers: SimPeer,
    seconds: float = 5.0,
    limits: FhirLimits | None = None,
    fhir: Sequence[SimFhirServer] = (),
    server: ssl.SSLContext | None = None,
) -> AsyncIterator[NetworkFhirWorld]:
    """Serve it until the block ends.

    ``seconds`` is how long a peer is waited for; ``fhir`` are FHIR servers of some peers;
    ``server`` is the TLS context, where clients are to come without certificates.
    """
    records = open_records(f"sqlite:///{folder / 'node.db'}", folder)
    engine = records.engine
    ledger, clock = ExchangeLedger(engine, KEY), SystemClock()
    network = SimPeers(*peers)
    directory = SimDirectory(*(entry(each.number) for each in peers))
    waits: list[Step] = [*Transaction, *Interaction]
    runner = LegRunner(
        own=OWN,
        own_initiates=lambda: frozenset([PURPOSE.code]),
        ledger=ledger,
        directory=directory,
        clock=clock,
        purposes=purpose_register(),
        patience=Patience(seconds=dict.fromkeys(waits, seconds), pause=0.0),
    )
    initiator = Initiator(
        legs=Legs(runner=runner, peers=network),
        directory=directory,
        clock=clock,
        date_range_purposes=frozenset(),
    )
    servers = SimFhirPeers(*fhir)
    broker = FhirBroker(
        legs=FhirLegs(runner=runner, peers=servers),
        peers=servers,
        initiator=initiator,
        directory=directory,
        clock=clock,
    )
    connector = aiohttp.TCPConnector(ssl=them.client)
    apps: list[FhirApp] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await apps[0](scope, receive, send)

    async with (
        aiohttp.ClientSession(connector=connector, auto_decompress=False) as http,
        serving(app, "127.0.0.1", 0, server or us.server) as (_, port),
    ):
        world = NetworkFhirWorld(records, network, http, folder / "spool")
        world.directory = directory
        world.base = base = f"https://localhost:{port}/fhir/network"
        inbox = FileInbox(folder / "spool", folder / "shown")
        publications = LocalPublications(
            index=records.index,
            store=records.store,
            fhir=records.loader,
            people=records.source(),
            clock=clock,
            max_bytes=1024 * 1024,
        )
        desk = network_desk(
            NetworkSite(
                own=OWN,
                name="Asker Health",
                base_url=base,
                initiator=initiator,
                broker=broker,
                ledger=ledger,
                directory=directory,
                clock=clock,
                engine=engine,
                inbox=inbox,
                publications=publications,
                outgoing=publications,
                own_url=base.removesuffix("/network"),
                key=KEY.page_key,
                life=timedelta(hours=8),
            )
        )
        apps.append(
            FhirApp(
                desk=desk,
                grants=world.grants,
                capability=network_capability(base_url=base, name="Asker Health", version="0"),
                prefix="/fhir/network",
                may_cost=lambda _address: True,
                limits=limits,
                routes=network_route,
            )
        )
        try:
            yield world
        finally:
            ledger.close()
            engine.dispose()
