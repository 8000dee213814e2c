"""A FHIR server over real HTTPS, a real ledger and real records; tokens come from a double."""

from __future__ import annotations

import json
import tarfile
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import aiohttp
from orjson import loads
from sqlalchemy import Engine, select
from yarl import URL

from node.clock import SystemClock
from node.exchange.fhir_audit import AuditResponder
from node.exchange.fhir_paging import Pages
from node.exchange.fhir_ports import Grant
from node.exchange.fhir_respond import FhirResponder
from node.exchange.ports import PeerEntry
from node.exchange.respond import OwnNode
from node.gateway.fhir.app import FhirLimits, fhir_app
from node.gateway.fhir.statement import StatementOfOffer
from node.gateway.server import serving
from node.ledger.audit import Site
from node.ledger.audit_records import LedgerAudit
from node.ledger.ledger import ExchangeLedger
from node.ledger.private import LedgerKey
from node.model import Code, HomeCommunityId, Principal
from node.policy.opt_out import OptOuts
from node.policy.purposes import purpose_register
from node.policy.scopes import parse_scopes
from node.records.entries import Community
from node.records.fhir.index import FhirIndex
from node.records.fhir.loader import FhirLoader
from node.records.fhir.people import FhirPeople
from node.records.fhir.source import LocalFhir
from node.records.folder import LoadReport, load_folder
from node.records.index import RecordIndex
from node.records.store import ContentStore
from node.storage.engine import migrate, open_engine
from node.storage.tables import ENTRY
from node.wire.fhir.capability import capability_statement
from node.wire.fhir.query import SearchLimits

OWN = HomeCommunityId("urn:oid:2.999.7")
COMMUNITY = Community(
    home_community_id=OWN, repository_unique_id="2.999.7.2", assigning_authority="2.999.7.1"
)
SITE = Site(name="Seven Health", home_community_id=OWN, address="https://seven.example/fhir")
PURPOSE = "T-TREAT"
EVERYTHING = ("system/*.rs",)
NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
PEER = PeerEntry(
    organization_id="north-1",
    home_community_id=HomeCommunityId("urn:oid:2.999.8"),
    name="North Clinic",
    active=True,
    initiates=frozenset([PURPOSE]),
    responds={},
    addresses={},
)


class Directory:
    """One version of a directory; nothing in it is looked up."""

    version = "1"

    def by_home_community_id(self, hcid):
        return None

    def by_organization_id(self, organization_id):
        return None

    def responders(self, transaction):
        return ()


@dataclass(slots=True)
class FakeGrants:
    """Implements ``Grants``: the tokens that a test made up."""

    tokens: dict[str, Grant] = field(default_factory=dict)

    async def grant(self, token: str) -> Grant | None:
        return self.tokens.get(token)


@dataclass(frozen=True, slots=True)
class Records:
    """Records in a database and a store."""

    engine: Engine
    index: RecordIndex
    store: ContentStore
    fhir: FhirIndex
    loader: FhirLoader

    def load(self, folder: Path, **options: Any) -> LoadReport:
        return load_folder(folder, self.index, self.store, NOW, fhir=self.loader, **options)

    def source(self) -> LocalFhir:
        return LocalFhir(self.engine, self.index, self.store)


def open_records(url: str, folder: Path) -> Records:
    engine = open_engine(url)
    migrate(engine)
    return records_in(engine, folder)


def records_in(engine: Engine, folder: Path) -> Records:
    """Records in a database that has its schema."""
    index, store = RecordIndex(engine, COMMUNITY), ContentStore(folder / "records")
    fhir = FhirIndex(engine)
    return Records(engine, index, store, fhir, FhirLoader(fhir, FhirPeople(engine), index, store))


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer as it came."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return loads(self.body)

    @property
    def ids(self) -> list[str]:
        return [f"{r['resourceType']}/{r['id']}" for r in self.resources("match")]

    def resources(self, mode: str) -> list[dict[str, Any]]:
        return [e["resource"] for e in self.json.get("entry", []) if e["search"]["mode"] == mode]

    @property
    def issue(self) -> tuple[str, str]:
        """The code of the first issue, and ours."""
        first = self.json["issue"][0]
        return first["code"], first["details"]["coding"][0]["code"]

    def link(self, relation: str) -> str | None:
        return next((k["url"] for k in self.json["link"] if k["relation"] == relation), None)


class FhirWorld:
    """A running server and a client of it."""

    def __init__(self, records: Records, http: aiohttp.ClientSession, base: str) -> None:
        self.records = records
        self.http = http
        self.base = base
        self.grants = FakeGrants()
        self.key = LedgerKey(bytes(range(32)))
        self.opt_outs = OptOuts()
        self.own = OwnNode(
            home_community_id=OWN,
            organization_name="Seven Health",
            responds=lambda: frozenset([PURPOSE]),
            repository_unique_id="2.999.7.2",
        )

    def token(
        self, *scopes: str, patient: str | None = None, client: str = "client-1", **entry: Any
    ) -> str:
        token = f"token-{len(self.grants.tokens)}"
        self.grants.tokens[token] = Grant(
            client_id=client,
            entry=replace(PEER, **entry),
            purpose=Code(code=PURPOSE, scheme=purpose_register().system),
            scopes=parse_scopes(scopes or EVERYTHING),
            patient=patient,
            token=sha256(token.encode()).digest(),
        )
        return token

    def own_token(self, *scopes: str, rights: Iterable[str], **options: Any) -> str:
        """A token of a user of ours."""
        token = self.token(*scopes, **options)
        principal = Principal(
            subject_id="Ada Lovell", user_id="alovell", organization="Seven Health",
            organization_id="seven", home_community_id=OWN,
            role=Code(code="auditor", scheme="2.999.7.9"),
            purpose=self.grants.tokens[token].purpose,
        )  # fmt: skip
        self.grants.tokens[token] = replace(
            self.grants.tokens[token], principal=principal, rights=frozenset(rights)
        )
        return token

    async def get(
        self, path: str, query: Any = None, *, token: str | None = None, **headers: str
    ) -> Answer:
        url = path if path.startswith("https:") else f"{self.base}/{path}"
        if query:
            url += "?" + urlencode(query)
        return await self._ask("GET", url, None, token, headers)

    async def post(
        self, path: str, body: bytes | str, *, token: str | None = None, **headers: str
    ) -> Answer:
        return await self._ask("POST", f"{self.base}/{path}", body, token, headers)

    async def _ask(self, method, url, body, token, headers) -> Answer:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if token:
            sent["authorization"] = f"Bearer {token}"
        async with self.http.request(
            method, URL(url, encoded=True), data=body, headers=sent
        ) as answer:
            return Answer(
                answer.status,
                {k.lower(): v for k, v in answer.headers.items()},
                await answer.read(),
            )

    async def everything(self, path: str, query: Any, *, token: str, most: int = 500) -> list[str]:
        """The matches of all pages."""
        answer = await self.get(path, query, token=token)
        found: list[str] = []
        for _ in range(most):
            assert answer.status == 200, answer.body
            found += answer.ids
            following = answer.link("next")
            if following is None:
                return found
            answer = await self.get(following, token=token)
        raise AssertionError("the pages do not end")

    def entries(self) -> list[dict[str, Any]]:
        """The leaves of the log."""
        with self.records.engine.connect() as connection:
            rows = connection.execute(select(ENTRY.c.leaf).order_by(ENTRY.c.seq)).scalars()
            return [json.loads(leaf) for leaf in rows]


@asynccontextmanager
async def fhir_world(
    records: Records,
    us: Any,
    them: Any,
    *,
    limits: SearchLimits | None = None,
    request_limits: FhirLimits | None = None,
    may_cost: Any = lambda _address: True,
    source: Any = None,
) -> AsyncIterator[FhirWorld]:
    """A server over the records (or over another ``source``), until the block ends."""
    ledger = ExchangeLedger(records.engine, LedgerKey(bytes(range(32))))
    connector = aiohttp.TCPConnector(ssl=them.client)
    async with aiohttp.ClientSession(connector=connector, auto_decompress=False) as http:
        world = FhirWorld(records, http, "")
        base = "https://localhost/fhir"

        async def app(scope, receive, send):
            await world_app[0](scope, receive, send)

        world_app: list[Any] = []
        async with serving(app, "127.0.0.1", 0, us.server) as (_, port):
            base = f"https://localhost:{port}/fhir"
            world.base = base
            responder = FhirResponder(
                own=world.own,
                records=source or records.source(),
                ledger=ledger,
                directory=Directory(),
                clock=SystemClock(),
                purposes=purpose_register(),
                opt_outs=lambda: world.opt_outs,
                pages=Pages(b"k" * 32),
                base_url=base,
                limits=limits,
            )
            audit = AuditResponder(
                responder=responder,
                audit=LedgerAudit(records.engine, world.key, SITE),
                records=records.source(),
                clock=SystemClock(),
                pages=Pages(b"k" * 32),
                base_url=base,
                limits=limits,
            )
            world_app.append(
                fhir_app(
                    responder=responder,
                    audit=audit,
                    grants=world.grants,
                    capability=StatementOfOffer(
                        responder.offer,
                        lambda types: capability_statement(
                            base_url=base, name="Seven Health", version="0", types=types
                        ),
                    ),
                    prefix="/fhir",
                    may_cost=may_cost,
                    limits=request_limits,
                )
            )
            try:
                yield world
            finally:
                ledger.close()


# --- data -----------------------------------------------------------------------------------------


def members(archive: Path, names: Iterable[str] | None = None) -> Iterator[tuple[str, bytes]]:
    """The files of an archive, all or those named."""
    wanted = None if names is None else set(names)
    with tarfile.open(archive) as tar:
        for member in tar:
            name = Path(member.name).name
            if member.isfile() and (wanted is None or name in wanted):
                stream = tar.extractfile(member)
                assert stream is not None
                yield name, stream.read()


def us_core_examples(shared: Path) -> bytes:
    """The examples of US Core as one bundle, byte for byte."""
    found = []
    for name, data in members(shared / "fhir/ig/hl7.fhir.us.core-6.1.0-examples.tar.gz"):
        if name.endswith(".json") and b'"resourceType"' in data:
            content = json.loads(data)
            if content.get("resourceType") not in (None, "Bundle") and "id" in content:
                found.append(b'{"resource":' + data.strip() + b"}")
    return b'{"resourceType":"Bundle","type":"collection","entry":[' + b",".join(found) + b"]}"


def bundle(*resources: Any, type_: str = "collection") -> bytes:
    """A bundle of resources, each bytes or a dict."""
    parts = [r if isinstance(r, bytes) else json.dumps(r).encode() for r in resources]
    entries = b",".join(b'{"resource":' + part + b"}" for part in parts)
    return b'{"resourceType":"Bundle","type":"%b","entry":[%b]}' % (type_.encode(), entries)
