"""What a provider that is wrong, or somebody between, cannot do (OpenID Connect Core 3.1.3.7)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from joserfc import jwt
from joserfc.jwk import RSAKey

from tests.console.conftest import Browser, Site, made_site
from tests.console.oidc_provider import CLIENT, over_tls
from tests.console.test_sign_on import newest_reasons, settings_for

KEY = RSAKey.generate_key(2048, {"kid": "first"}, private=True)
OTHER = RSAKey.generate_key(2048, {"kid": "first"}, private=True)

Claims = dict[str, Any]
Make = Callable[[Claims], str]


@dataclass
class BadProvider:
    """Answers what a test wants it to."""

    base: str = ""
    make: Make = lambda _claims: ""
    nonce: str = ""
    metadata: Claims = field(default_factory=dict)
    token_status: str = "200 OK"
    forms: list[dict[str, list[str]]] = field(default_factory=list)

    def claims(self) -> Claims:
        now = int(time.time())
        return {
            "iss": self.base, "sub": "1", "aud": CLIENT, "nonce": self.nonce, "iat": now,
            "exp": now + 300, "auth_time": now, "preferred_username": "anna.weiss",
            "name": "Anna Weiss", "groups": ["lake-privacy"],
        }  # fmt: skip

    def __call__(self, environ, start):
        status, path = "200 OK", environ["PATH_INFO"]
        if path == "/.well-known/openid-configuration":
            answer = {
                "issuer": self.base,
                "authorization_endpoint": f"{self.base}/authorize",
                "token_endpoint": f"{self.base}/token",
                "jwks_uri": f"{self.base}/keys",
                "response_types_supported": ["code"],
                "id_token_signing_alg_values_supported": ["RS256"],
                **self.metadata,
            }
        elif path == "/keys":
            answer = {"keys": [KEY.as_dict(private=False) | {"use": "sig"}]}
        else:
            size = int(environ["CONTENT_LENGTH"])
            self.forms.append(parse_qs(environ["wsgi.input"].read(size).decode()))
            status = self.token_status
            answer = {"token_type": "Bearer", "id_token": self.make(self.claims())}
        start(status, [("content-type", "application/json")])
        return [json.dumps(answer).encode()]


def signed(claims: Claims, key=KEY, alg: str = "RS256", **header) -> str:
    return jwt.encode({"alg": alg, "kid": "first", **header}, claims, key, algorithms=[alg])


def changed(**more) -> Make:
    return lambda claims: signed(claims | more)


def without(name: str) -> Make:
    return lambda claims: signed({n: v for n, v in claims.items() if n != name})


def _plain(algorithm: str, claims: Claims) -> bytes:
    parts = ({"alg": algorithm, "kid": "first"}, claims)
    return b".".join(_encoded(json.dumps(each).encode()) for each in parts)


def _encoded(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def unsigned(claims: Claims) -> str:
    return f"{_plain('none', claims).decode()}."


def by_public_key(claims: Claims) -> str:
    """The classic: HMAC with the public key as its secret."""
    text = _plain("HS256", claims)
    made = hmac.new(KEY.as_pem(private=False), text, hashlib.sha256).digest()
    return (text + b"." + _encoded(made)).decode()


PAST, FUTURE = 1_000_000_000, int(time.time()) + 7200
BAD: dict[str, tuple[Make, str]] = {
    "another nonce": (changed(nonce="x" * 43), "sign-on-nonce"),
    "no nonce": (without("nonce"), "sign-on-nonce"),
    "for another client": (changed(aud="somebody-else"), "sign-on-audience"),
    "for us and another, nobody says for whom": (
        changed(aud=[CLIENT, "somebody-else"]), "sign-on-audience"),
    "for us, used by another": (changed(azp="somebody-else"), "sign-on-audience"),
    "no audience": (without("aud"), "sign-on-audience"),
    "alg none": (unsigned, "sign-on-token"),
    "HMAC by the public key": (by_public_key, "sign-on-token"),
    "another key under its kid": (lambda claims: signed(claims, OTHER), "sign-on-token"),
    "a kid that is not published": (
        lambda claims: signed(claims, kid="second"), "sign-on-token"),
    "a critical header": (lambda claims: signed(claims, crit=["b64"], b64=True), "sign-on-token"),
    "expired": (changed(exp=PAST), "sign-on-expired"),
    "from the future": (changed(iat=FUTURE, exp=FUTURE + 300), "sign-on-expired"),
    "never expires": (without("exp"), "sign-on-claims"),
    "a time that is none": (changed(exp="soon"), "sign-on-claims"),
    "another issuer": (changed(iss="https://evil.example"), "sign-on-issuer"),
    "nobody": (without("sub"), "sign-on-claims"),
    "a login that is markup": (
        changed(preferred_username="<script>alert(1)</script>"), "sign-on-claims"),
    "no group": (without("groups"), "sign-on-no-role"),
    "groups of another kind": (changed(groups={"lake-privacy": True}), "sign-on-no-role"),
    "no token": (lambda _claims: "", "sign-on-token"),
    "a token that is none": (lambda _claims: "a.b.c", "sign-on-token"),
    "a huge token": (lambda claims: signed(claims | {"x": "y" * 40_000}), "sign-on-token"),
}  # fmt: skip


@pytest.fixture(scope="module")
def bad(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[BadProvider, Site]]:
    folder, made = tmp_path_factory.mktemp("bad"), BadProvider()
    with over_tls(made, folder) as (base, ca_file):
        made.base = base
        with made_site(folder, settings_for(folder, base, ca_file)) as site:
            yield made, site


def sign_in(provider: BadProvider, site: Site, make: Make, more: str = "") -> Any:
    browser = Browser(site.base)
    asked = parse_qs(urlsplit(browser.get("/sign-on").headers["location"]).query)
    provider.nonce, provider.make = asked["nonce"][0], make
    answer = browser.get(f"/sign-on/back?code=abc&state={asked['state'][0]}{more}")
    assert ("session" in browser.session.cookies) == (answer.status_code == 303)
    return answer


def test_the_table_s_provider_is_believed_when_nothing_is_wrong(bad) -> None:
    provider, site = bad
    assert sign_in(provider, site, signed).status_code == 303
    form = provider.forms[-1]
    assert form["grant_type"] == ["authorization_code"]
    assert len(form["code_verifier"][0]) == 43
    assert "client_secret" not in form  # by HTTP Basic


@pytest.mark.parametrize(("make", "code"), BAD.values(), ids=BAD)
def test_a_wrong_id_token_lets_nobody_in(bad, make: Make, code: str) -> None:
    provider, site = bad
    answer = sign_in(provider, site, make)
    assert answer.status_code == 403
    assert code in answer.text
    assert newest_reasons(site)[0] == code
    assert "<script>" not in answer.text


def test_an_answer_under_another_issuers_name_is_a_mix_up(bad) -> None:
    provider, site = bad
    answer = sign_in(provider, site, signed, "&iss=https://evil.example")
    assert answer.status_code == 403
    assert newest_reasons(site)[0] == "sign-on-issuer"
    assert sign_in(provider, site, signed, f"&iss={provider.base}").status_code == 303


def test_a_code_that_the_provider_does_not_know_is_refused(bad) -> None:
    provider, site = bad
    provider.token_status = "400 Bad Request"
    try:
        sign_in(provider, site, signed)
    finally:
        provider.token_status = "200 OK"
    assert newest_reasons(site)[0] == "sign-on-code"


WRONG_METADATA = {
    "another issuer": ({"issuer": "https://evil.example"}, "sign-on-issuer"),
    "plain http": ({"token_endpoint": "http://localhost/token"}, "sign-on-provider"),
    "no code flow": ({"response_types_supported": ["id_token"]}, "sign-on-provider"),
    "PKCE in plain alone": ({"code_challenge_methods_supported": ["plain"]}, "sign-on-provider"),
    "tokens unsigned": ({"id_token_signing_alg_values_supported": ["none"]}, "sign-on-provider"),
    "no keys": ({"jwks_uri": None}, "sign-on-provider"),
}


@pytest.fixture(scope="module")
def wrong(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[BadProvider, Site]]:
    """A console that never read a discovery document that it could use."""
    folder, made = tmp_path_factory.mktemp("wrong"), BadProvider()
    with over_tls(made, folder) as (base, ca_file):
        made.base = base
        with made_site(folder, settings_for(folder, base, ca_file)) as site:
            yield made, site


@pytest.mark.parametrize(("metadata", "code"), WRONG_METADATA.values(), ids=WRONG_METADATA)
def test_a_discovery_document_that_cannot_be_used_is_said(wrong, metadata, code: str) -> None:
    provider, site = wrong
    provider.metadata = metadata
    answer = Browser(site.base).get("/sign-on")
    assert answer.status_code == 403
    assert code in answer.text
    assert newest_reasons(site)[0] == code


def test_a_provider_that_is_away_leaves_local_accounts_in(tmp_path: Path) -> None:
    with over_tls(BadProvider(), tmp_path) as (base, ca_file):
        settings = settings_for(tmp_path, base, ca_file)
    with made_site(tmp_path, settings) as site:
        answer = Browser(site.base).get("/sign-on")
        assert answer.status_code == 403
        assert "The provider cannot be asked now" in answer.text
        assert newest_reasons(site)[0] == "sign-on-unreachable"
        assert site.browser("lead").get("/").status_code == 200
