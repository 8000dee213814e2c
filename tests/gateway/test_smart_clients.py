"""What an administrator may register as an app or a system of our own, by rule."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from node.errors import SettingsError
from node.gateway.oauth.local_client import local_client
from tests.smart_world import app, backend, client_key, jwks
from tests.udap_world import NOW
from trust.errors import TrustError

KEYS = jwks(client_key())


def saved(given):
    return given.client("id", organization_id="hill", before=None, now=NOW)


@pytest.mark.parametrize("given", [app(), backend(), backend(jwks_uri="https://a.example/k")])
def test_what_was_said_of_a_client_is_kept(given):
    assert local_client(saved(given)) == given


BAD_KEYS = {
    json.dumps({"keys": [client_key().as_dict(private=True)]}): "jwks-private",
    "-----BEGIN PUBLIC KEY-----": "jwks-malformed",
    "[]": "jwks-malformed",
    '{"keys":{}}': "jwks-malformed",
    '{"keys":[1]}': "jwks-malformed",
    '{"keys":[],"keys":[]}': "jwks-malformed",
    '{"keys":[{"kty":"EC","kid":"1","crv":"P-256","x":"AA"}]}': "jwks-malformed",
    '{"keys":[{"kty":"oct","kid":"1"}]}': "jwks-empty",
    KEYS.replace('"kid"', '"other"'): "jwks-empty",
}


@pytest.mark.parametrize("text", BAD_KEYS)
def test_keys_that_can_prove_nothing_are_refused(text):
    with pytest.raises(TrustError) as caught:
        saved(backend(jwks=text))
    assert caught.value.code == BAD_KEYS[text]


APP, BACKEND = app(), backend()
REFUSED = {
    "a name with capitals": replace(BACKEND, name="Lab"),
    "a title of two lines": replace(BACKEND, title="Lab\nfeed"),
    "no title": replace(BACKEND, title=" "),
    "a backend without keys": replace(BACKEND, jwks=None),
    "a backend that is public": replace(BACKEND, jwks=None, public=True),
    "keys and no keys": replace(APP, jwks=KEYS),
    "keys of two kinds": replace(BACKEND, jwks_uri="https://a.example/k"),
    "keys over http": replace(BACKEND, jwks=None, jwks_uri="http://a.example/k"),
    "a backend with a redirect URI": replace(BACKEND, redirect_uris=("https://a.example/b",)),
    "an app without a redirect URI": replace(APP, redirect_uris=()),
    "an app that is never started": replace(APP, launches=()),
    "a user's scope for a backend": replace(BACKEND, scopes=("user/*.rs",)),
    "openid for a backend": replace(BACKEND, scopes=("system/*.rs", "openid")),
    "a system's scope for an app": replace(APP, scopes=("system/*.rs",)),
    "a scope that is none": replace(APP, scopes=("everything",)),
    "no scope": replace(APP, scopes=()),
    "writing": replace(APP, scopes=("patient/Patient.cud",)),
    "a type that is not held": replace(APP, scopes=("patient/Basic.rs",)),
}


@pytest.mark.parametrize("row", REFUSED)
def test_what_is_no_client_is_refused_with_a_reason(row):
    with pytest.raises(SettingsError) as caught:
        saved(REFUSED[row])
    assert caught.value.code == "app-invalid"


@pytest.mark.parametrize(
    "uri",
    ["http://app.example/back", "javascript:alert(1)", "https://a.example/#a", "/back", "",
     "https://a@b.example/", "myapp:/back", "https:///back", "https://a.example/\n",
     "https://a.example:99999/", "https://a.example/\u00e9", "http://127.0.0.1.a.example/back",
     "https://a.example/;script-src", "https://a.example/" + "x" * 512],
)  # fmt: skip
def test_other_redirect_uris_are_refused(uri):
    with pytest.raises(SettingsError):
        saved(replace(APP, redirect_uris=(uri,)))


@pytest.mark.parametrize(
    "uri",
    ["https://a.example/back?x=1", "http://127.0.0.1:4321/back", "http://[::1]/back",
     "org.example.app:/back"],
)  # fmt: skip
def test_redirect_uris_of_web_and_native_apps_are_taken(uri):
    assert saved(replace(APP, redirect_uris=(uri,))).body["redirect_uris"] == [uri]
