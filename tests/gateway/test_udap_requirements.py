"""Requirements behind Inferno's UDAP tests, in our own words (facts fhir-and-udap 9.2).

``udap_requirements.toml`` is the table of all of them with the tests of each; here are those that
no other test had, and the check that the table is true.
"""

from __future__ import annotations

import ast
import tomllib
from datetime import timedelta
from functools import cache
from pathlib import Path

import pytest

from tests import udap_world as world
from tests.oauth_world import BASE, OauthWorld
from trust.udap.jwt import proved, read_jwt

TESTS = Path(__file__).resolve().parents[1]
ROWS = tomllib.loads(Path(__file__).with_name("udap_requirements.toml").read_text("utf-8"))[
    "requirement"
]


@pytest.fixture
async def oauth(tmp_path):
    async with OauthWorld(tmp_path).running() as made:
        yield made


async def published(oauth):
    async with oauth.session.get("/fhir/.well-known/udap") as answer:
        plain = await answer.json()
    return plain, proved(read_jwt(plain["signed_metadata"].encode()))


async def test_signed_metadata_says_iss_sub_and_exp(oauth):
    """1.3."""
    _, signed = await published(oauth)
    assert signed["iss"] == signed["sub"] == BASE
    assert 0 < signed["exp"] - signed["iat"] <= timedelta(days=365).total_seconds()
    assert signed["jti"]
    assert "aud" not in signed


async def test_signed_metadata_repeats_the_endpoints_of_the_plain_part(oauth):
    """1.3: the signed values win, so they must be there and the same."""
    plain, signed = await published(oauth)
    for name in ("token_endpoint", "registration_endpoint", "authorization_endpoint"):
        assert plain[name] == signed[name]
        assert signed[name].startswith(f"{BASE}/")


async def test_registrations_tokens_and_refusals_are_not_to_be_stored(oauth):
    """1.4, 1.5; RFC 6749 5.1."""
    registered, body = await oauth.register(world.signed(oauth.statement()))
    given, _ = await oauth.ask(body["client_id"])
    refused, _ = await oauth.ask("nobody")
    assert [registered.status, given.status] == [201, 200]
    assert refused.status >= 400
    for response in (registered, given, refused):
        assert "no-store" in response.headers["cache-control"]
        assert response.headers["pragma"] == "no-cache"


@pytest.mark.parametrize(
    "spelt",
    [
        BASE.replace("hill", "HILL") + "/token",
        BASE.replace("hill.example", "hill.example:443") + "/token",
        f"{BASE}/token/",
        BASE.removeprefix("https://") + "/token",
    ],
)
async def test_an_address_that_is_spelt_otherwise_is_another_audience(oauth, spelt):
    """1.1: compared byte for byte; a known server folds case and drops the scheme (1.9)."""
    response, body = await oauth.ask(await oauth.registered(), aud=spelt)
    assert (response.status // 100, body["error"]) == (4, "invalid_client")
    assert oauth.entries()[-1]["reason"] == "jwt-audience"


# --- the table ------------------------------------------------------------------------------------


@cache
def functions_of(module: str) -> frozenset[str]:
    path = TESTS / module
    if not path.is_file():
        return frozenset()
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    tree = ast.parse(path.read_text("utf-8"))
    return frozenset(node.name for node in tree.body if isinstance(node, functions))


def test_the_table_has_every_group_and_no_requirement_twice():
    assert {row["group"] for row in ROWS} == {"server", "client", "attestation", "nobody"}
    assert len({row["rule"] for row in ROWS}) == len(ROWS)
    assert all(row["source"] for row in ROWS)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["rule"][:60])
def test_each_requirement_has_tests_that_exist(row):
    assert row["tests"]
    for test in row["tests"]:
        module, _, name = test.partition("::")
        assert name.startswith("test_")
        assert name in functions_of(module), test
