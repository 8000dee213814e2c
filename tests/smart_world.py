"""Clients of our own at the authorization server of ``oauth_world``: keys, tokens, requests."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from contextlib import asynccontextmanager
from datetime import UTC
from functools import cache
from urllib.parse import parse_qsl, urlsplit

import aiohttp
from argon2 import PasswordHasher
from joserfc.jwk import ECKey, RSAKey
from starlette.applications import Starlette

from node.console.apps.pages import AppPages
from node.console.apps.patients import Patients
from node.console.apps.site import AppSite
from node.console.parts import Console, OwnNode
from node.exchange.fhir_ports import FoundPage, HeldResource
from node.gateway.oauth.local_client import LOCAL, Kind, Launch, LocalClient
from node.policy.opt_out import OptOuts
from node.users.sessions import Sessions
from node.users.store import Users
from tests import udap_world as world
from tests.oauth_world import BASE, OWN, OauthWorld

NAME = "lab-feed"
ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


@cache
def client_key(name="one", kind="p-384"):
    """A key pair with a kid."""
    parameters = {"kid": f"{name}-{kind}"}
    if kind == "rsa":
        return RSAKey.generate_key(2048, parameters, private=True)
    return ECKey.generate_key(kind.upper(), parameters, private=True)


def jwks(*keys):
    """The public halves, as a key set."""
    return json.dumps({"keys": [each.as_dict(private=False) for each in keys]})


def backend(**changes):
    given = {
        "name": NAME,
        "title": "Laboratory feed",
        "kind": Kind.BACKEND,
        "purpose": world.PURPOSE,
        "scopes": ("system/Patient.rs", "system/Observation.rs"),
        "jwks": jwks(client_key(), client_key("one", "rsa")),
    } | changes
    if "jwks_uri" in changes:
        given["jwks"] = None
    return LocalClient(**given)


def app(**changes):
    given = {
        "name": "growth-chart",
        "title": "Growth chart",
        "kind": Kind.APP,
        "purpose": world.PURPOSE,
        "scopes": ("launch/patient", "patient/Patient.rs", "patient/Observation.rs",
                   "user/Practitioner.rs", "openid", "fhirUser", "offline_access",
                   "online_access", "launch"),
        "redirect_uris": ("https://app.example/back",),
        "launches": (Launch.STANDALONE, Launch.EHR),
        "public": True,
    } | changes  # fmt: skip
    return LocalClient(**given)


class SmartWorld(OauthWorld):
    """An authorization server and clients of our own."""

    def add(self, given):
        """Register a client as an administrator; its client_id."""
        store = self.server.store
        made = given.client(
            f"id-of-{given.name}",
            organization_id="hill",
            before=store.client(LOCAL, given.name),
            now=self.clock.moment,
        )
        store.save(made)
        return made.client_id

    def claims(self, client_id, **changes):
        now = world.seconds(self.clock.moment)
        claims = {
            "iss": client_id,
            "sub": client_id,
            "aud": self.server.addresses.token,
            "exp": now + 240,
            "jti": self.jti(),
        } | changes
        return {name: value for name, value in claims.items() if value is not None}

    def signed(self, claims, key=None, alg="ES384", **header):
        used = key or client_key()
        fields = {"typ": "JWT", "kid": used.kid, "x5c": None} | header
        private = used.raw_value if hasattr(used, "raw_value") else used
        return world.signed(claims, signer=private, alg=alg, header=fields)

    async def ask(self, client_id, form=None, signing=None, **changes):
        """A token request; ``form`` and ``changes`` replace parameters and claims."""
        token = self.signed(self.claims(client_id, **changes), **(signing or {}))
        return await self.post("token", data=self.form(token, **(form or {})))

    def form(self, assertion, **changes):
        return super().form(assertion, **({"udap": None} | changes))


# --- people and their browsers -----------------------------------------------------------------

PASSWORD = "several words nobody knows"
VERIFIER = "v" * 20 + "-._~" + "A1" * 20
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=")
BACK = "https://app.example/back"
FORM = re.compile(r'name="form" value="([^"]+)"')


class Folk:
    """``FhirRecords`` of a few Patients, as far as the pages ask."""

    def __init__(self):
        self.patients = {
            "ann": {"family": "Arden", "given": "Ann", "birthDate": "1980-01-02"},
            "bob": {"family": "Arden", "given": "Bob", "birthDate": "1980-01-02"},
        }

    def held(self, id_):
        values = self.patients[id_]
        name = [{"family": values["family"], "given": [values["given"]]}]
        body = {"resourceType": "Patient", "id": id_, "name": name,
                "birthDate": values["birthDate"], "gender": "female"}  # fmt: skip
        return HeldResource(type="Patient", id=id_, data=json.dumps(body).encode(), patient=id_,
                            updated=0, version="1")  # fmt: skip

    async def read(self, type_, id_, view):
        assert set(view.scopes) == {"Patient"}
        return self.held(id_) if id_ in self.patients else None

    async def search(self, query, view, after):
        assert {c.parameter.name for c in query.criteria} == {"family", "birthdate"}
        return FoundPage(matches=tuple(map(self.held, self.patients)))


class PeopleWorld(SmartWorld):
    """With people who sign in; ``browser`` gives them a browser without script."""

    def __init__(self, folder):
        super().__init__(folder)
        quick = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
        self.accounts = Users(self.engine, self.key, self.clock.now, hasher=quick)
        self.folk = Folk()
        self.accounts.add("ida", "Ida Sample, MD", ("clinician",), PASSWORD, own=True)
        self.accounts.add("rob", "Rob Reviewer", ("reviewer",), PASSWORD, own=True)
        self.facts = []

    def find(self, login):
        return self.accounts.find(login)

    def fact(self, change):
        self.facts.append(change)

    def pages(self, app, answering):
        console = Console(
            engine=self.engine,
            key=self.key,
            users=self.accounts,
            sessions=Sessions(self.engine, self.accounts, self.clock.now),
            recorder=lambda _user: self,
            peer_name=lambda _hcid: None,
            cases=None,  # no page of an app has to do with cases, denials, proofs or peers
            denials=None,
            disclosures=None,
            relationships=None,
            break_glass=None,
            contacts=None,
            duties=None,
            qhin=None,
            views=None,
            preferences=None,
            selections=None,
            lists=None,
            two_person=None,
            exports=None,
            export_writer=None,
            watching=None,
            tallier=None,
            asked_anew=None,
            looked_up=None,
            clinic=None,
            packing=None,
            head=lambda: None,
            home=None,
            directory=None,
            own=OwnNode(
                name="Hill Clinic",
                home_community_id=OWN,
                version="0",
                environment="test",
                organization_id="org-hill",
            ),
            zone=UTC,
            secure=False,
            needs_code=False,
            now=self.clock.now,
            machine=None,
            root="/fhir/authorize",
        )
        site = AppSite(
            server=self.server,
            answering=answering,
            console=console,
            patients=Patients(self.folk, OptOuts),
        )
        return Starlette(routes=[*AppPages(site).routes(), *app.routes])

    def asked(self, app_id, **changes):
        """The parameters of an app's request; ``None`` takes one out."""
        given = {
            "response_type": "code",
            "client_id": app_id,
            "redirect_uri": BACK,
            "scope": "launch/patient patient/Patient.rs patient/Observation.rs",
            "state": "a-state-that-nobody-guesses",
            "aud": BASE,
            "code_challenge": CHALLENGE.decode(),
            "code_challenge_method": "S256",
        } | changes
        return {name: value for name, value in given.items() if value is not None}

    @asynccontextmanager
    async def browser(self):
        here = self.session._base_url
        jar = aiohttp.CookieJar(unsafe=True, treat_as_secure_origin=here)
        async with aiohttp.ClientSession(here, cookie_jar=jar) as session:
            yield Person(session)

    async def exchange(self, client_id, code, **changes):
        form = {
            "grant_type": "authorization_code",
            "client_id": client_id,
            "code": code,
            "redirect_uri": BACK,
            "code_verifier": VERIFIER,
        } | changes
        given = {name: value for name, value in form.items() if value is not None}
        return await self.post("token", data=given)

    async def approved(self, client_id, patient="ann", login="ida", **changes):
        """The code of an app that a person opened."""
        async with self.browser() as person:
            await person.ask(self.asked(client_id, **changes))
            await person.sign_in(login)
            if "Choose a patient" in person.text:
                await person.choose(patient)
            await person.do("approve")
            return person.said["code"]

    async def opened(self, client_id, **changes):
        """The body of the token response of an app that a person opened."""
        response, body = await self.exchange(client_id, await self.approved(client_id, **changes))
        assert response.status == 200, body
        return body


class Person:
    """A person at a browser: where they are, what they read, and what an app was told."""

    def __init__(self, session):
        self.session = session
        self.at = ""
        self.text = ""
        self.status = 0
        self.headers = {}
        self.said = None

    async def go(self, method, address, **more):
        """Follow redirects until a page is there, or the app."""
        for _ in range(6):
            async with self.session.request(
                method, address, allow_redirects=False, **more
            ) as answer:
                self.status, self.headers = answer.status, answer.headers
                self.text = await answer.text()
                self.at = address
            if answer.status != 303:
                return self
            address, method, more = answer.headers["location"], "GET", {}
            if not address.startswith("/"):
                self.said = dict(parse_qsl(urlsplit(address).query)) | {"to": address}
                return self
        raise AssertionError("redirects do not end")

    async def ask(self, parameters, method="GET"):
        where = {"params": parameters} if method == "GET" else {"data": parameters}
        return await self.go(method, "/fhir/authorize", **where)

    async def post(self, **fields):
        form = {"form": FORM.search(self.text)[1]} | fields
        return await self.go("POST", self.at, data=form)

    async def sign_in(self, login="ida", password=PASSWORD):
        return await self.go("POST", self.at, data={"login": login, "password": password})

    async def choose(self, patient):
        await self.post(do="find", family="Ard", born="1980-01-02")
        return await self.post(do="choose", patient=patient)

    async def do(self, what):
        return await self.post(do=what)
