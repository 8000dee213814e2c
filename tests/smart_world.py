"""Clients of our own at the authorization server of ``oauth_world``: keys, tokens, requests."""

from __future__ import annotations

import json
from functools import cache

from joserfc.jwk import ECKey, RSAKey

from node.gateway.oauth.local_client import LOCAL, Kind, Launch, LocalClient
from tests import udap_world as world
from tests.oauth_world import OauthWorld

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
