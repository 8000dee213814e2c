"""An authorization server for tests: real store, real ledger, real sockets, a clock that is set."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
from dataclasses import replace
from functools import cache
from pathlib import Path

import aiohttp

from node.exchange.ports import PeerEntry
from node.gateway.oauth.answering import Answering
from node.gateway.oauth.app import OauthEndpoints, oauth_app
from node.gateway.oauth.approvals import Approvals
from node.gateway.oauth.attempt import AuthorizationLog
from node.gateway.oauth.client_keys import ClientKeys
from node.gateway.oauth.id_token import OwnIdTokens
from node.gateway.oauth.metadata import MetadataSigner
from node.gateway.oauth.own import OwnParty
from node.gateway.oauth.patience import Patience
from node.gateway.oauth.proof import ClientRules
from node.gateway.oauth.server import Addresses, AuthorizationServer
from node.gateway.oauth.smart_app import SmartEndpoints
from node.gateway.oauth.store import OauthStore
from node.gateway.server import serving
from node.ledger.filter import LedgerFilter
from node.ledger.find import find
from node.ledger.ledger import ExchangeLedger
from node.ledger.private import LedgerKey
from node.ledger.show import show
from node.model import Code, HomeCommunityId
from node.policy.purposes import purpose_register
from node.policy.scopes import own_offer
from node.storage.engine import migrate, open_engine
from tests import udap_world as world
from trust.binding import OrganizationTrust
from trust.signer import KeySigner

BASE = "https://hill.example/fhir"
OWN = HomeCommunityId("urn:oid:2.999.2")
CERTIFICATION = "https://rce.sequoiaproject.org/udap/profiles/basic-app-certification"


def entry(organization_id="lake", hcid=world.HCID, **fields):
    given = {
        "organization_id": organization_id,
        "home_community_id": HomeCommunityId(hcid),
        "name": organization_id.title(),
        "active": True,
        "initiates": frozenset({world.PURPOSE}),
        "responds": {},
        "addresses": {},
    }
    return PeerEntry(**{**given, **fields})


class Directory:
    """A directory of a few entries; ``parents`` says what lies below what."""

    version = "1"

    def __init__(self):
        self.entries = {
            "lake": entry(),
            "lake-clinic": entry("lake-clinic", "urn:oid:2.999.1.7"),
            "elsewhere": entry("elsewhere", "urn:oid:2.999.9"),
        }
        self.parents = {"lake-clinic": "lake"}
        self.trust = {}

    def by_home_community_id(self, hcid):
        return next((e for e in self.entries.values() if e.home_community_id == hcid), None)

    def by_organization_id(self, organization_id):
        return self.entries.get(organization_id)

    def lies_under(self, organization_id, ancestor_id):
        return ancestor_id in (organization_id, self.parents.get(organization_id))

    def organization_trust(self, found):
        return self.trust.get(
            found.organization_id, OrganizationTrust(organization_id=found.organization_id)
        )

    def change(self, organization_id, **fields):
        self.entries[organization_id] = replace(self.entries[organization_id], **fields)


class Clock:
    def __init__(self):
        self.moment = world.NOW
        self.number = 0

    def now(self):
        return self.moment

    def monotonic(self):
        return self.moment.timestamp()

    def new_id(self):
        self.number += 1
        return f"0190a000-0000-7000-8000-{self.number:012d}"


def server_certificate(uri=BASE):
    return world.certificate("Server", "Intermediate", uris=(uri,))


@cache
def _migrated():
    """A database that was migrated once, to be copied."""
    file = Path(tempfile.mkdtemp()) / "node.db"
    engine = open_engine(f"sqlite:///{file}")
    migrate(engine)
    engine.dispose()
    return file


class OauthWorld:
    """``post`` and ``get`` speak HTTP with the running server."""

    def __init__(self, folder):
        self.clock = Clock()
        self.peers = Directory()
        shutil.copy(_migrated(), folder / "node.db")
        self.engine = open_engine(f"sqlite:///{folder / 'node.db'}")
        self.key = LedgerKey(os.urandom(32))
        self.ledger = ExchangeLedger(self.engine, self.key)
        self.knowledge = world.knowledge()
        self.responds = frozenset(purpose_register().purposes)
        self.signer = KeySigner(
            key=world.key("Server"),
            certificate=server_certificate(),
            chain=(world.intermediate(),),
        )
        self.server = AuthorizationServer(
            addresses=Addresses(base_url=BASE),
            own=OwnParty(
                entry=lambda: entry("hill", OWN),
                name="Hill Clinic",
                organization_id="hill",
                home_community_id=OWN,
                role=Code(code="224608005", scheme="2.16.840.1.113883.6.96"),
            ),
            rules=ClientRules(
                knowledge=lambda: self.knowledge,
                only_listed=frozenset,
                organization_trust=self.peers.organization_trust,
                allow_unpinned=True,
                responds=lambda: self.responds,
                register=purpose_register(),
            ),
            peers=self.peers,
            store=OauthStore(self.engine),
            approvals=Approvals(self.engine),
            people=self,
            id_tokens=OwnIdTokens(lambda: self.signer, BASE),
            log=AuthorizationLog(own=OWN, ledger=self.ledger, clock=self.clock),
            clock=self.clock,
            random=os.urandom,
            offer=own_offer(),
            certifications=(CERTIFICATION,),
        )
        self.count = 0
        self.published = {}
        self.users = {}
        self.fetched = []

    def find(self, login):
        """The user with a login, as ``server.People``."""
        return self.users.get(login)

    def pages(self, app, _answering):
        """The application with what people see, where a test has that."""
        return app

    async def fetch(self, address):
        """The key set at an address, as bytes with headers, or an error that a test put there."""
        self.fetched.append(address)
        found = self.published[address]
        if isinstance(found, Exception):
            raise found
        return found

    @contextlib.asynccontextmanager
    async def running(self, patience=None):
        answering = Answering(self.server, patience or Patience())
        smart = SmartEndpoints(self.server, answering, ClientKeys(self.fetch, self.clock.monotonic))
        endpoints = OauthEndpoints(
            self.server, MetadataSigner(lambda: self.signer), answering, smart
        )
        app = self.pages(oauth_app(endpoints, "/fhir"), answering)
        async with (
            serving(app, "127.0.0.1", 0, None) as (host, port),
            aiohttp.ClientSession(f"http://{host}:{port}") as self.session,
        ):
            yield self
        self.ledger.close()
        self.engine.dispose()

    # --- what a client does -----------------------------------------------------------------------

    async def get(self, path, **options):
        async with self.session.get(f"/fhir/{path}", **options) as response:
            return response, await response.read()

    async def post(self, path, **options):
        async with self.session.post(f"/fhir/{path}", **options) as response:
            return response, json.loads(await response.read())

    def jti(self):
        self.count += 1
        return f"jti-{self.count}"

    def statement(self, **changes):
        given = {"jti": self.jti()} | changes
        return world.statement(self.server.addresses.registration, now=self.clock.moment, **given)

    def certification(self, **changes):
        now = world.seconds(self.clock.moment)
        claims = {
            "iss": world.CLIENT_URI,
            "sub": world.CLIENT_URI,
            "iat": now - 100,
            "exp": now + 1000 * 86400,
            "jti": self.jti(),
            "certification_name": "TEFCA Basic App Certification",
            "certification_uris": [CERTIFICATION],
            "exchange_purposes": [world.PURPOSE],
            "home_community_id": world.HCID,
        } | changes
        return {name: value for name, value in claims.items() if value is not None}

    def registration(self, statement=None, certifications=None, **changes):
        """The body of a registration; tokens as bytes, or claims to be signed."""
        if certifications is None:
            certifications = [world.signed(self.certification())]
        given = statement if isinstance(statement, bytes) else None
        return {
            "udap": "1",
            "software_statement": (given or world.signed(statement or self.statement())).decode(),
            "certifications": [each.decode() for each in certifications],
        } | changes

    async def register(self, statement=None, certifications=None, **changes):
        return await self.post(
            "register", json=self.registration(statement, certifications, **changes)
        )

    async def registered(self, **changes):
        """The ``client_id`` of a client that is registered."""
        response, body = await self.register(self.statement(**changes))
        assert response.status in (200, 201), body
        return body["client_id"]

    def assertion(self, client_id, b2b=None, **changes):
        now = world.seconds(self.clock.moment)
        claims = {
            "iss": client_id,
            "sub": client_id,
            "aud": self.server.addresses.token,
            "iat": now,
            "exp": now + 300,
            "jti": self.jti(),
            "extensions": {"hl7-b2b": world.b2b() if b2b is None else b2b},
        } | changes
        return {name: value for name, value in claims.items() if value is not None}

    def form(self, assertion, **changes):
        fields = {
            "grant_type": "client_credentials",
            "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            "client_assertion": assertion.decode(),
            "scope": "system/Patient.rs",
            "udap": "1",
        } | changes
        return {name: value for name, value in fields.items() if value is not None}

    async def ask(self, client_id, b2b=None, form=None, signing=None, **changes):
        """A token request; ``form`` and ``changes`` replace parameters and claims."""
        token = world.signed(self.assertion(client_id, b2b, **changes), **(signing or {}))
        return await self.post("token", data=self.form(token, **(form or {})))

    async def token(self):
        _, body = await self.ask(await self.registered())
        return body["access_token"]

    # --- what the log says ------------------------------------------------------------------------

    def entries(self):
        """The leaves, oldest first."""
        found = find(self.engine, LedgerFilter(), key=self.key, limit=200).entries
        return [each.fields for each in reversed(found)]

    def shown(self, number=-1):
        """One entry with its private groups opened, none of which disagrees with the leaf."""
        found = show(self.engine, self.entries()[number]["seq"], self.key)
        assert not found.findings
        return found
