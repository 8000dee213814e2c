"""Wrong tokens of every kind at both endpoints that take one, and requests that are none.

Facts fhir-and-udap 1.1 to 1.5. Each is refused with its code, entered where it was read, leaves
nothing behind, and no word of it (a canary stands in each) is repeated, logged or kept in a leaf.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from node.gateway.oauth.patience import Patience
from tests import udap_world as world
from tests.oauth_world import OauthWorld
from tests.udap_world import NOW, part, seconds, signed

CANARY = "CanaryArden"
FORM = "application/x-www-form-urlencoded"
Claims = dict[str, Any]


@pytest.fixture
async def oauth(tmp_path):
    async with OauthWorld(tmp_path).running(Patience(each=1000)) as made:
        yield made


def header(**changes: Any) -> dict[str, Any]:
    fields = {"alg": "RS256", "x5c": world.x5c(world.chain())} | changes
    return {name: value for name, value in fields.items() if value is not None}


def unsigned(head: Any, claims: Any, signature: bytes = b"AAAA") -> bytes:
    return b".".join((part(head), part(claims), signature))


def with_hmac(claims: Claims) -> bytes:
    """Signed with the public key as if it were a shared secret."""
    key = world.key("Client").public_key()
    secret = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    text = b".".join((part(header(alg="HS256")), part(claims)))
    return b".".join((text, part(hmac.digest(secret, text, "sha256"))))


def cut(claims: Claims) -> bytes:
    """Half of a signature."""
    head, body, _ = signed(claims).split(b".")
    return b".".join((head, body, part(b"\0" * 128)))


def changed(claims: Claims) -> bytes:
    head, _, signature = signed(claims).split(b".")
    return b".".join((head, part(claims | {"scope": "system/*.rs"}), signature))


def stray_bits(claims: Claims) -> bytes:
    """Another spelling of the same signature: its last letter has bits that nobody reads."""
    letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    token = signed(claims)
    return token[:-1] + bytes([letters[letters.index(token[-1]) ^ 1]])


def raw(text: str) -> Callable[[Claims], bytes]:
    return lambda claims: signed(
        claims, raw=text.replace("CLAIMS", json.dumps(claims)[1:-1]).encode()
    )


def claim(**changes: Any) -> Callable[[Claims], bytes]:
    return lambda claims: signed({k: v for k, v in (claims | changes).items() if v is not None})


AT = seconds(NOW)
TOKENS: dict[str, tuple[str, Callable[[Claims], bytes]]] = {
    # --- no signed token in compact form
    "empty signature": ("jwt-malformed", lambda c: unsigned({"alg": "none"}, c, b"")),
    "two parts": ("jwt-malformed", lambda c: part(header()) + b"." + part(c)),
    "five parts, as if encrypted": ("jwt-malformed", lambda c: signed(c) + b".AAAA.AAAA"),
    "json serialization": (
        "jwt-malformed",
        lambda c: json.dumps({"payload": part(c).decode(), "signatures": []}).encode(),
    ),
    "white space around": ("jwt-malformed", lambda c: b" " + signed(c)),
    "padding": ("jwt-malformed", lambda c: signed(c) + b"=="),
    "base64 of the other alphabet": ("jwt-malformed", lambda c: signed(c)[:-2] + b"+/"),
    "header no json": ("jwt-malformed", lambda c: unsigned(CANARY.encode(), c)),
    "header a list": ("jwt-malformed", lambda c: unsigned([CANARY], c)),
    "header not utf-8": ("jwt-malformed", lambda c: unsigned(b'{"alg":"\xff"}', c)),
    "header with a name twice": (
        "jwt-name-twice", lambda c: unsigned(b'{"alg":"RS256","alg":"none"}', c),
    ),
    "too large": ("jwt-too-large", lambda c: signed(c | {"note": "x" * 70_000})),
    # --- algorithms and keys
    "alg none": ("jwt-algorithm", lambda c: unsigned(header(alg="none"), c)),
    "alg missing": ("jwt-algorithm", lambda c: unsigned(header(alg=None), c)),
    "alg a list": ("jwt-algorithm", lambda c: unsigned(header(alg=["RS256"]), c)),
    "alg in small letters": ("jwt-algorithm", lambda c: unsigned(header(alg="rs256"), c)),
    "alg PS256": ("jwt-algorithm", lambda c: unsigned(header(alg="PS256"), c)),
    "HMAC with the public key": ("jwt-algorithm", with_hmac),
    "alg of another kind than the key": (
        "jwt-key-unfit", lambda c: unsigned(header(alg="ES256"), c),
    ),
    "crit": ("jwt-critical", lambda c: unsigned(header(crit=["exp"], exp=1), c)),
    "typ of another token": ("jwt-type", lambda c: signed(c, header={"typ": "at+jwt"})),
    "signature cut": ("jwt-signature", cut),
    "signature in another spelling": ("jwt-malformed", stray_bits),
    "claims changed": ("jwt-signature", changed),
    "another key": ("jwt-signature", lambda c: signed(c, signer=world.key("Thief"))),
    # --- certificates
    "x5c missing": ("jwt-certificates", lambda c: unsigned(header(x5c=None), c)),
    "x5c empty": ("jwt-certificates", lambda c: unsigned(header(x5c=[]), c)),
    "x5c a text": ("jwt-certificates", lambda c: unsigned(header(x5c=CANARY), c)),
    "x5c no certificate": ("jwt-certificates", lambda c: unsigned(header(x5c=["QUJD"]), c)),
    "x5c too long": ("jwt-certificates", lambda c: signed(c, header={"x5c": header()["x5c"] * 7})),
    "a key by address instead": (
        "jwt-certificates",
        lambda c: unsigned(header(x5c=None, jku=f"https://evil.example/{CANARY}", kid="1"), c),
    ),
    "a key in the header instead": (
        "jwt-certificates", lambda c: unsigned(header(x5c=None, jwk={"kty": "RSA"}), c),
    ),
    # --- claims
    "claims no json": ("jwt-malformed", lambda c: signed(c, raw=CANARY.encode())),
    "claims a list": ("jwt-malformed", lambda c: signed(c, raw=b"[1]")),
    "a claim twice": ("jwt-name-twice", raw('{CLAIMS,"iss":"x"}')),
    "no number": ("jwt-malformed", raw('{CLAIMS,"x":NaN}')),
    "a number without end": ("jwt-malformed", raw('{CLAIMS,"x":1e999}')),
    "half a character": ("jwt-malformed", raw('{CLAIMS,"x":"\\ud800"}')),
    "deep": ("jwt-malformed", raw('{CLAIMS,"x":' + "[" * 300 + "]" * 300 + "}")),
    "iss missing": ("jwt-claim-missing", claim(iss=None)),
    "iss a number": ("jwt-claim-form", claim(iss=7)),
    "aud missing": ("jwt-claim-missing", claim(aud=None)),
    "aud in capitals": ("jwt-audience", lambda c: signed(c | {"aud": c["aud"].upper()})),
    "aud with a slash": ("jwt-audience", lambda c: signed(c | {"aud": c["aud"] + "/"})),
    "iat missing": ("jwt-claim-missing", claim(iat=None)),
    "iat in the future": ("jwt-not-yet-valid", claim(iat=AT + 3600, exp=AT + 3700)),
    "exp before iat": ("jwt-lifetime", claim(exp=AT - 1)),
    "exp as text": ("jwt-claim-form", claim(exp=str(AT + 300))),
    "exp with a fraction": ("jwt-claim-form", claim(exp=AT + 0.5)),
    "exp true": ("jwt-claim-form", claim(exp=True)),
    "exp beyond all time": ("jwt-claim-form", claim(exp=10**30)),
    "expired": ("jwt-expired", claim(iat=AT - 700, exp=AT - 400)),
    "lives too long": ("jwt-lifetime", claim(exp=AT + 301)),
    "jti empty": ("jwt-claim-form", claim(jti="")),
    "jti a list": ("jwt-claim-form", claim(jti=["x"])),
}  # fmt: skip


@pytest.mark.parametrize("endpoint", ["register", "token"])
@pytest.mark.parametrize("name", TOKENS)
async def test_a_wrong_token_is_refused_by_its_code_and_entered(
    name: str, endpoint: str, oauth: OauthWorld, capsys: pytest.CaptureFixture[str]
):
    code, make = TOKENS[name]
    client_id = await oauth.registered()
    before = len(oauth.entries())
    if endpoint == "register":
        token = make(oauth.statement() | {"note": CANARY, "client_name": CANARY})
        response, body = await oauth.register(token)
        errors = {"invalid_software_statement", "unapproved_software_statement"}
    else:
        token = make(oauth.assertion(client_id) | {"note": CANARY})
        response, body = await oauth.post("token", data=oauth.form(token))
        errors = {"invalid_client"}
    assert response.status in {400, 401}
    assert set(body) == {"error", "error_description"}
    assert body["error"] in errors
    assert body["error_description"].endswith(f"[{code}]")
    assert response.headers["cache-control"] == "no-store"
    (leaf,) = oauth.entries()[before:]
    assert (leaf["outcome"], leaf["reason"]) == ("declined", code)
    assert len(oauth.server.store.clients()) == 1
    printed = capsys.readouterr()
    kept = json.dumps(leaf)
    assert CANARY not in json.dumps(body) + kept + printed.out + printed.err
    assert token.decode()[:60] not in json.dumps(body) + kept + printed.out + printed.err


def big() -> str:
    return "x=" + CANARY * 30_000


REQUESTS: dict[str, tuple[str, str, dict[str, Any], int]] = {
    "token by GET": ("GET", f"token?client_assertion={CANARY}", {}, 405),
    "registration by PUT": ("PUT", "register", {"data": CANARY}, 405),
    "introspection by GET": ("GET", f"introspect?token={CANARY}", {}, 405),
    "revocation by DELETE": ("DELETE", f"revoke?token={CANARY}", {}, 405),
    "token in the address": (
        "POST", f"token?grant_type=client_credentials&client_assertion={CANARY}",
        {"data": "", "headers": {"content-type": FORM}}, 400,
    ),
    "form too large": ("POST", "token", {"data": big(), "headers": {"content-type": FORM}}, 413),
    "too many fields": (
        "POST", "token",
        {"data": "&".join(f"a{n}={CANARY}" for n in range(100)), "headers": {"content-type": FORM}},
        400,
    ),
    "form not utf-8": (
        "POST", "token", {"data": b"scope=%ff&x=" + CANARY.encode(),
                          "headers": {"content-type": FORM}}, 400,
    ),
    "form with raw bytes": (
        "POST", "token", {"data": b"scope=\xff", "headers": {"content-type": FORM}}, 400,
    ),
    "form without signs": (
        "POST", "token", {"data": CANARY, "headers": {"content-type": FORM}}, 400,
    ),
    "form packed": (
        "POST", "token",
        {"data": "x=1", "headers": {"content-type": FORM, "content-encoding": "gzip"}}, 415,
    ),
    "form in parts": (
        "POST", "token",
        {"data": CANARY, "headers": {"content-type": "multipart/form-data; boundary=x"}}, 415,
    ),
    "registration as a form": (
        "POST", "register", {"data": f"software_statement={CANARY}",
                             "headers": {"content-type": FORM}}, 415,
    ),
    "registration that is no object": ("POST", "register", {"json": [CANARY]}, 400),
    "registration of lists": (
        "POST", "register", {"json": {"software_statement": [CANARY], "udap": "1"}}, 400,
    ),
    "certifications that are no list": (
        "POST", "register",
        {"json": {"software_statement": "a.b.c", "certifications": CANARY, "udap": "1"}}, 400,
    ),
    "a thousand certifications": (
        "POST", "register",
        {"json": {"software_statement": "a.b.c", "certifications": ["a.b.c"] * 1000, "udap": "1"}},
        400,
    ),
    "registration that is deep": (
        "POST", "register",
        {"data": '{"a":' * 20_000, "headers": {"content-type": "application/json"}}, 400,
    ),
    "introspection without a token": (
        "POST", "introspect", {"data": f"token={CANARY}", "headers": {"content-type": FORM}}, 401,
    ),
    "introspection with a token nobody gave": (
        "POST", "introspect",
        {"data": f"token={CANARY}",
         "headers": {"content-type": FORM, "authorization": f"Bearer {CANARY}"}}, 401,
    ),
    "a community nobody knows": ("GET", f".well-known/udap?community={CANARY}", {}, 204),
    "a long community": ("GET", ".well-known/udap?community=" + "x" * 9000, {}, 204),
}  # fmt: skip


@pytest.mark.parametrize("name", REQUESTS)
async def test_a_request_that_is_none_is_refused_and_nothing_of_it_repeated(
    name: str, oauth: OauthWorld, capsys: pytest.CaptureFixture[str]
):
    method, path, options, status = REQUESTS[name]
    async with oauth.session.request(method, f"/fhir/{path}", **options) as response:
        body = await response.read()
    assert response.status == status, body
    if status == 405:
        assert response.headers["allow"]
    elif status != 204:
        assert json.loads(body)["error"]
        assert response.headers["cache-control"] == "no-store"
    printed = capsys.readouterr()
    kept = json.dumps(oauth.entries())
    assert CANARY not in body.decode() + kept + printed.out + printed.err
