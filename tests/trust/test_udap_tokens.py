"""UDAP tokens, each rule of the guide's table by itself (facts: fhir-and-udap 1.1, 1.2, 1.9)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from joserfc import jws
from joserfc.jwk import RSAKey

from tests import udap_world as world
from tests.udap_world import DAY, NOW
from trust.errors import TrustError
from trust.signer import KeySigner
from trust.udap.claims import Expected, check_envelope
from trust.udap.jwt import MAX_JWT_BYTES, _Registry, proved, read_jwt, sign_jwt
from trust.udap.signers import judge_signer

AUDIENCE = "https://hill.example/fhir/register"
EXPECTED = Expected(issuers=[world.CLIENT_URI], audience=AUDIENCE)


def verdict_of(token, knowledge=None, now=NOW):
    sealed = read_jwt(token)
    return judge_signer(sealed.leaf, sealed.intermediates, knowledge or world.knowledge(), now=now)


def refusal(token, now=NOW, knowledge=None, expected=EXPECTED):
    """The code with which a token is refused, by the order of the guide; ``None`` accepts it."""
    try:
        sealed = read_jwt(token)
        verdict = judge_signer(
            sealed.leaf, sealed.intermediates, knowledge or world.knowledge(), now=now
        )
        if not verdict.ok:
            return verdict.reason_code
        check_envelope(proved(sealed), expected, now=now)
    except TrustError as error:
        return error.code
    return None


def good(**changes):
    return world.signed(world.statement(AUDIENCE, **changes))


def test_a_right_token_is_accepted_and_its_community_known():
    assert refusal(good()) is None
    verdict = verdict_of(good())
    assert verdict.community == world.COMMUNITY
    assert verdict.uris == (world.CLIENT_URI,)
    evidence = json.loads(verdict.decision.body)
    assert evidence["chains"][0]["role"] == "jwt-signer"
    assert len(evidence["chains"][0]["path"]) == 3


@pytest.mark.parametrize(
    ("alg", "kind"), [("RS256", "rsa"), ("RS384", "rsa"), ("ES256", "p-256"), ("ES384", "p-384")]
)
def test_the_four_algorithms_are_accepted(alg, kind):
    certificates = [world.client(kind=kind), world.intermediate()]
    token = world.signed(
        world.statement(AUDIENCE),
        alg=alg,
        certificates=certificates,
        signer=world.key("Client", kind),
    )
    assert refusal(token) is None


def _unsigned(header):
    return b".".join((world.part(header), world.part(world.statement(AUDIENCE)), b"AAAA"))


def _public_key_as_secret():
    pem = (
        world.key("Client")
        .public_key()
        .public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )
    header = {"alg": "HS256", "x5c": world.x5c(world.chain())}
    text = world.part(header) + b"." + world.part(world.statement(AUDIENCE))
    return text + b"." + world.part(hmac.new(pem, text, hashlib.sha256).digest())


def _tampered():
    head, _, signature = good().split(b".")
    return b".".join(
        (head, world.part(world.statement(AUDIENCE, scope="system/*.cruds")), signature)
    )


def _noncanonical():
    """A signature that Python's decoder reads like the right one: two unused bits are set."""
    head, body, signature = good().split(b".")
    table = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    last = table.index(signature[-1:])
    return b".".join((head, body, signature[:-1] + table[last + 1 : last + 2]))


ENVELOPES = {
    "alg none": (
        "jwt-algorithm",
        lambda: _unsigned({"alg": "none", "x5c": world.x5c(world.chain())}),
    ),
    "alg none without signature": (
        "jwt-malformed",
        lambda: _unsigned({"alg": "none"}).rpartition(b".")[0] + b".",
    ),
    "alg HS256 with the public key as secret": ("jwt-algorithm", _public_key_as_secret),
    "alg PS256": ("jwt-algorithm", lambda: world.signed({}, alg="PS256")),
    "alg missing": ("jwt-algorithm", lambda: _unsigned({"x5c": world.x5c(world.chain())})),
    "alg is no text": ("jwt-algorithm", lambda: _unsigned({"alg": ["RS256"]})),
    "ES256 over an RSA key": (
        "jwt-key-unfit",
        lambda: _unsigned({"alg": "ES256", "x5c": world.x5c(world.chain())}),
    ),
    "ES256 over a P-384 key": (
        "jwt-key-unfit",
        lambda: _unsigned({"alg": "ES256", "x5c": world.x5c([world.client(kind="p-384")])}),
    ),
    "typ other than JWT": ("jwt-type", lambda: world.signed({}, header={"typ": "at+jwt"})),
    "critical header": (
        "jwt-critical",
        lambda: _unsigned({"alg": "RS256", "crit": ["b64"], "b64": False}),
    ),
    "x5c missing": ("jwt-certificates", lambda: _unsigned({"alg": "RS256"})),
    "x5c empty": ("jwt-certificates", lambda: _unsigned({"alg": "RS256", "x5c": []})),
    "x5c no certificate": (
        "jwt-certificates",
        lambda: _unsigned({"alg": "RS256", "x5c": ["AAAA"]}),
    ),
    "x5c in base64url": (
        "jwt-certificates",
        lambda: _unsigned(
            {
                "alg": "RS256",
                "x5c": [
                    base64.urlsafe_b64encode(b"\xff\xfe" + bytes(range(256))).decode().rstrip("=")
                ],
            }
        ),
    ),
    "x5c of seven": (
        "jwt-certificates",
        lambda: world.signed({}, certificates=[*world.chain(), *[world.root()] * 5]),
    ),
    "x5c in the wrong order": (
        "certificate-is-ca",
        lambda: world.signed(
            world.statement(AUDIENCE),
            certificates=[world.intermediate(), world.client()],
            signer=world.key("Intermediate"),
        ),
    ),
    "too large": ("jwt-too-large", lambda: b"a" * (MAX_JWT_BYTES + 1)),
    "JSON serialization": (
        "jwt-malformed",
        lambda: json.dumps({"payload": "", "signatures": []}).encode(),
    ),
    "encrypted (five parts)": ("jwt-malformed", lambda: b"a.b.c.d.e"),
    "header no JSON": ("jwt-malformed", lambda: b".".join((world.part(b"{"), b"e30", b"AAAA"))),
    "header with a name twice": (
        "jwt-name-twice",
        lambda: b".".join((world.part(b'{"alg":"RS256","alg":"none"}'), b"e30", b"AAAA")),
    ),
    "header nested too deep": (
        "jwt-malformed",
        lambda: b".".join((world.part(b'{"a":' + b"[" * 9000 + b"]" * 9000 + b"}"), b"e30", b"AA")),
    ),
    "payload no object": ("jwt-malformed", lambda: world.signed({}, raw=b'["iss"]')),
    "payload with a name twice": (
        "jwt-name-twice",
        lambda: world.signed({}, raw=b'{"iss":"a","iss":"b"}'),
    ),
    "payload with a number without end": (
        "jwt-malformed",
        lambda: world.signed({}, raw=b'{"exp":1e999}'),
    ),
    "payload with half a character": (
        "jwt-malformed",
        lambda: world.signed({}, raw=b'{"iss":"\\ud800"}'),
    ),
    "payload with half a character in a name": (
        "jwt-malformed",
        lambda: world.signed({}, raw=b'{"\\udc00":1}'),
    ),
    "payload with NaN": ("jwt-malformed", lambda: world.signed({}, raw=b'{"exp":NaN}')),
    "payload changed after signing": ("jwt-signature", _tampered),
    "signed with another key": (
        "jwt-signature",
        lambda: world.signed(world.statement(AUDIENCE), signer=world.key("Other")),
    ),
    "base64url with stray bits": ("jwt-malformed", _noncanonical),
}


@pytest.mark.parametrize("row", ENVELOPES)
def test_a_token_with_a_wrong_envelope_is_refused(row):
    code, make = ENVELOPES[row]
    assert refusal(make()) == code


CLAIMS = {
    "iss missing": ("jwt-claim-missing", {"iss": None}),
    "sub missing": ("jwt-claim-missing", {"sub": None}),
    "aud missing": ("jwt-claim-missing", {"aud": None}),
    "iat missing": ("jwt-claim-missing", {"iat": None}),
    "exp missing": ("jwt-claim-missing", {"exp": None}),
    "jti missing": ("jwt-claim-missing", {"jti": None}),
    "jti empty": ("jwt-claim-form", {"jti": ""}),
    "jti of 257 characters": ("jwt-claim-form", {"jti": "x" * 257}),
    "exp a fraction": ("jwt-claim-form", {"exp": NOW.timestamp() + 10.5}),
    "exp as text": ("jwt-claim-form", {"exp": "2041"}),
    "exp a boolean": ("jwt-claim-form", {"exp": True}),
    "iss of another": ("jwt-issuer", {"iss": "urn:oid:2.999.2#T-TRTMNT"}),
    "iss with another case": ("jwt-issuer", {"iss": world.CLIENT_URI.upper()}),
    "iss a prefix of the SAN": ("jwt-issuer", {"iss": world.CLIENT_URI[:-1]}),
    "sub other than iss": ("jwt-subject", {"sub": "urn:oid:2.999.2"}),
    "aud with a trailing slash": ("jwt-audience", {"aud": AUDIENCE + "/"}),
    "aud with the default port": (
        "jwt-audience",
        {"aud": AUDIENCE.replace("hill.example", "hill.example:443")},
    ),
    "aud in another case": ("jwt-audience", {"aud": AUDIENCE.replace("hill", "Hill")}),
    "aud with one more": ("jwt-audience", {"aud": [AUDIENCE, "https://other.example"]}),
    "lifetime of 301 s": ("jwt-lifetime", {"exp": world.seconds(NOW) + 301}),
    "exp before iat": ("jwt-lifetime", {"exp": world.seconds(NOW) - 1}),
    "expired": (
        "jwt-expired",
        {"iat": world.seconds(NOW) - 300, "exp": world.seconds(NOW)},
    ),
    "issued in the future": (
        "jwt-not-yet-valid",
        {"iat": world.seconds(NOW) + 61, "exp": world.seconds(NOW) + 200},
    ),
}


@pytest.mark.parametrize("row", CLAIMS)
def test_a_token_with_a_wrong_claim_is_refused(row):
    code, changes = CLAIMS[row]
    assert refusal(good(**changes)) == code


def test_an_audience_in_an_array_of_one_is_tolerated_and_counted():
    claims = proved(read_jwt(good(aud=[AUDIENCE])))
    assert check_envelope(claims, EXPECTED, now=NOW).deviations == ("audience-array",)


def test_no_value_of_a_claim_is_in_the_error():
    secret = "Zebulon-Secret"
    claims = proved(read_jwt(good(sub=secret)))
    with pytest.raises(TrustError) as caught:
        check_envelope(claims, EXPECTED, now=NOW)
    assert secret not in f"{caught.value} {caught.value.detail}"


SIGNERS = {
    "anchor unknown": ("chain-incomplete", {"knowledge": lambda: world.knowledge(world.client())}),
    "intermediate left out": ("chain-incomplete", {"certificates": lambda: [world.client()]}),
    "expired leaf": (
        "certificate-expired",
        {"certificates": lambda: [world.client(ends=NOW - DAY), world.intermediate()]},
    ),
    "leaf not yet valid": (
        "certificate-not-yet-valid",
        {"certificates": lambda: [world.client(begins=NOW + DAY), world.intermediate()]},
    ),
    "expired intermediate": (
        "intermediate-expired",
        {
            "certificates": lambda: [
                world.client(),
                world.certificate("Intermediate", "Root", ca=True, ends=NOW - DAY),
            ]
        },
    ),
    "key that may not sign": (
        "certificate-usage-wrong",
        {"certificates": lambda: [world.client(usage=False), world.intermediate()]},
    ),
}


@pytest.mark.parametrize("row", SIGNERS)
def test_a_signer_outside_the_community_is_refused(row):
    code, made = SIGNERS[row]
    certificates = made.get("certificates", world.chain)()
    knowledge = made.get("knowledge", world.knowledge)()
    token = world.signed(world.statement(AUDIENCE), certificates=certificates)
    assert refusal(token, knowledge=knowledge) == code


def test_the_chain_decides_the_community_not_the_claims():
    other = world.certificate("Other root", ca=True)
    knowledge = world.knowledge(other, uri="urn:oid:2.999.6")
    both = world.SignerKnowledge(
        communities=(*knowledge.communities, *world.knowledge().communities)
    )
    assert verdict_of(good(), both).community == world.COMMUNITY
    assert not verdict_of(good(), knowledge).ok


def test_a_clock_behind_what_was_signed_trusts_nobody():
    verdict = verdict_of(good(), world.knowledge(trusted=NOW + timedelta(days=2)))
    assert verdict.reason_code == "clock-behind"


def test_the_san_is_compared_whole_not_as_a_part_of_text():
    """A kit of others accepts a SAN of https://h/fhir/r4 for the issuer https://h/fhir (1.9)."""
    long = world.client(uri="https://h.example/fhir/r4")
    token = world.signed(
        world.statement(AUDIENCE, iss="https://h.example/fhir", sub="https://h.example/fhir"),
        certificates=[long, world.intermediate()],
    )
    uris = verdict_of(token).uris
    assert refusal(token, expected=Expected(issuers=uris, audience=AUDIENCE)) == "jwt-issuer"


def test_our_tokens_are_read_by_another_library():
    signer = KeySigner(
        key=world.key("Client"), certificate=world.client(), chain=(world.intermediate(),)
    )
    token = sign_jwt(world.statement(AUDIENCE), signer, signer.chain)
    found = jws.deserialize_compact(
        token,
        RSAKey.import_key(world.key("Client").public_key()),
        registry=_Registry(algorithms=["RS256"]),
    )
    assert json.loads(found.payload)["aud"] == AUDIENCE
    assert refusal(token.encode()) is None


def test_the_replay_key_cannot_be_shifted_between_issuer_and_id():
    one = check_envelope(
        {**world.statement("x"), "iss": "ab", "sub": "ab", "jti": "c"},
        Expected(issuers=["ab"], audience="x"),
        now=NOW,
    )
    other = check_envelope(
        {**world.statement("x"), "iss": "a", "sub": "a", "jti": "bc"},
        Expected(issuers=["a"], audience="x"),
        now=NOW,
    )
    assert one.replay_key != other.replay_key
