"""How the gateway proves who it is: a token from a file, or SMART Backend Services; and doctor."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import aiohttp
import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey
from orjson import dumps
from pydantic import ValidationError
from tls_network import network_ca
from upstream_world import Asked, BadServer, bad_server, gateway, reply, token_file

from node.examined_upstream import examine_upstream
from node.fhir_upstream import opened_upstream
from node.ops.health import Status
from node.peers.upstream.credentials import BackendClient, BackendServices, TokenFile
from node.settings import NodeHome, Settings, parse_settings
from node.settings_upstream import UpstreamSection
from node.wire.fhir.capability import capability_statement
from trust.keys import KeyKind, generate_key, save_key
from trust.tls import TlsIdentity, browser_context

CANARY = "canary-bearer-7f3a"
NODE = """
[node]
name = "Lake"
home_community_id = "urn:oid:2.999.1"
organization_id = "lake-1"
assigning_authority = "2.999.1.1"
repository_unique_id = "2.999.1.2"
"""


@dataclass(slots=True)
class Guarded:
    """A FHIR server that wants a token of its own authorization server."""

    server: BadServer
    tokens: list[str] = field(default_factory=list)
    forms: list[dict[str, list[str]]] = field(default_factory=list)
    token_answer: Any = None
    lifetime: int = 300

    def __post_init__(self) -> None:
        self.server.answer = self.answer

    def answer(self, asked: Asked) -> bytes:
        path = asked.target.removeprefix("/fhir/")
        if path == "metadata":
            base = self.server.base
            return reply(200, capability_statement(base_url=base, name="x", version="0"))
        if path == "token":
            return self.token(asked)
        if asked.headers.get("authorization", "") not in {f"Bearer {t}" for t in self.tokens[-1:]}:
            return reply(401, b"")
        if path == "Patient/ann":
            return reply(200, dumps({"resourceType": "Patient", "id": "ann"}))
        return reply(404, b"")

    def token(self, asked: Asked) -> bytes:
        self.forms.append(parse_qs(asked.body.decode()))
        if self.token_answer is not None:
            return self.token_answer
        self.tokens.append(f"{CANARY}-{len(self.tokens)}")
        return reply(200, dumps({
            "access_token": self.tokens[-1], "token_type": "Bearer", "expires_in": self.lifetime,
        }), kind="application/json")  # fmt: skip


@pytest.fixture
async def guarded(us) -> AsyncIterator[Guarded]:
    async with bad_server(us) as server:
        yield Guarded(server)


@pytest.fixture
async def session(them) -> AsyncIterator[aiohttp.ClientSession]:
    connector = aiohttp.TCPConnector(ssl=them.client)
    async with aiohttp.ClientSession(connector=connector) as made:
        yield made


def client_of(guarded: Guarded, kind: KeyKind) -> BackendClient:
    return BackendClient(
        client_id="lake-client",
        token_url=f"{guarded.server.base}/token",
        key=generate_key(kind),
        key_id="key-1",
        scope="system/*.rs",
    )


@pytest.mark.parametrize(
    ("kind", "algorithm"), [(KeyKind.RSA_2048, "RS384"), (KeyKind.P_384, "ES384")]
)
async def test_a_token_is_asked_for_with_a_statement_that_smart_wants(
    kind, algorithm, guarded: Guarded, session, us, them, tmp_path: Path
):
    client = client_of(guarded, kind)
    credential = BackendServices(client, session)
    async with gateway(guarded.server.base, credential, us, them, tmp_path) as here:
        for _ in range(3):
            answer = await here.world.get("Patient/ann", token=here.world.token())
            assert answer.status == 200
    (form,) = guarded.forms
    assert form["grant_type"] == ["client_credentials"]
    assert form["scope"] == ["system/*.rs"]
    public = client.key.public_key()
    key = RSAKey.import_key(public) if algorithm == "RS384" else ECKey.import_key(public)
    found = jwt.decode(form["client_assertion"][0], key, algorithms=[algorithm])
    assert found.header == {"alg": algorithm, "typ": "JWT", "kid": "key-1"}
    claims = found.claims
    assert claims["iss"] == claims["sub"] == "lake-client"
    assert claims["aud"] == client.token_url
    assert 0 < claims["exp"] - claims["iat"] <= 300


async def test_a_token_is_renewed_before_its_end_and_after_it_was_refused(
    guarded: Guarded, session, us, them, tmp_path: Path
):
    now = 1000.0
    credential = BackendServices(client_of(guarded, KeyKind.P_384), session, lambda: now)
    async with gateway(guarded.server.base, credential, us, them, tmp_path) as here:

        async def status() -> int:
            return (await here.world.get("Patient/ann", token=here.world.token())).status

        assert await status() == 200
        now += 271  # thirty seconds before its end
        assert await status() == 200
        assert len(guarded.forms) == 2
        guarded.tokens.append("taken back")
        assert await status() == 502
        assert await status() == 200
        ids = {jwt_id(form["client_assertion"][0]) for form in guarded.forms}
        assert len(ids) == len(guarded.forms) == 3


def jwt_id(token: str) -> str:
    return token.split(".")[1]


@pytest.mark.parametrize(
    "answer",
    [
        reply(400, dumps({"error": "invalid_client", "error_description": CANARY})),
        reply(302, b"", location="https://elsewhere.example/"),
        reply(200, b"<html>"),
        reply(200, dumps({"access_token": "x"})),
        reply(200, dumps({"access_token": "x\r\ny", "token_type": "bearer"})),
        reply(200, dumps({"access_token": "x" * 20_000, "token_type": "bearer"})),
        reply(200, b"x" * 100_000),
    ],
)
async def test_without_a_token_nothing_is_asked_and_no_word_is_passed_on(
    answer: bytes, guarded: Guarded, session, us, them, tmp_path: Path
):
    guarded.token_answer = answer
    credential = BackendServices(client_of(guarded, KeyKind.P_384), session)
    async with gateway(guarded.server.base, credential, us, them, tmp_path) as here:
        got = await here.world.get("Patient/ann", token=here.world.token())
        assert (got.status, got.issue[1]) == (502, "fhir-upstream-refused")
        assert CANARY.encode() not in got.body
    assert not any(asked.target == "/fhir/Patient/ann" for asked in guarded.server.asked)


async def test_a_token_file_is_read_anew_and_must_be_ours_alone(
    guarded: Guarded, us, them, tmp_path: Path
):
    path = token_file(tmp_path, "first")
    guarded.tokens.append("first")
    async with gateway(guarded.server.base, TokenFile(path), us, them, tmp_path) as here:

        async def got() -> Any:
            return await here.world.get("Patient/ann", token=here.world.token())

        assert (await got()).status == 200
        guarded.tokens.append("second")
        assert (await got()).issue[1] == "fhir-upstream-refused"
        path.write_text("second")
        assert (await got()).status == 200
        path.chmod(0o644)
        assert (await got()).issue[1] == "fhir-upstream-refused"


# --- settings and doctor ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "section",
    [
        {"url": "http://x.example/fhir", "ca_file": "ca.pem"},
        {"url": "https://x.example/fhir/", "ca_file": "ca.pem"},
        {"url": "https://x.example/fhir"},
        {"client_id": "x"},
        {"token_file": "t", "client_id": "x", "token_url": "https://x/t", "key_file": "k",
         "key_id": "1"},
        {"seconds": 60},
    ],
)  # fmt: skip
def test_settings_that_do_not_fit_together_are_refused(section):
    with pytest.raises(ValidationError):
        UpstreamSection(**section)


def settings_for(base: str, folder: Path, **more: str) -> Settings:
    (folder / "ca.pem").write_bytes(network_ca().certificate.public_bytes(Encoding.PEM))
    lines = {"url": base, "ca_file": "ca.pem", **more}
    text = "".join(f'{name} = "{value}"\n' for name, value in lines.items())
    return parse_settings(f"{NODE}\n[upstream]\n{text}")


async def test_doctor_says_whether_the_server_can_be_used(us, tmp_path: Path):
    home = NodeHome(tmp_path)
    assert await examine_upstream(home, parse_settings(NODE)) == []
    context = browser_context(TlsIdentity(certificate_file=us.path, key_file=us.path))
    async with bad_server(us, context) as server:
        guarded = Guarded(server)
        save_key(tmp_path / "up.key", generate_key(KeyKind.P_384))
        settings = settings_for(
            server.base, tmp_path, client_id="c", token_url=f"{server.base}/token",
            key_file="up.key", key_id="1",
        )  # fmt: skip
        (good,) = await examine_upstream(home, settings)
        assert good.status is Status.OK, good
        async with opened_upstream(home, settings) as client:
            assert await client.read("Patient", "ann") is not None
        guarded.token_answer = reply(400, b"{}")
        (refused,) = await examine_upstream(home, settings)
        assert refused.status is Status.FAIL
        assert refused.next_step
        (lost,) = await examine_upstream(
            home, settings_for(server.base, tmp_path, token_file="none")
        )
        assert lost.status is Status.FAIL
    (gone,) = await examine_upstream(home, settings)
    assert gone.status is Status.FAIL
    assert "cannot be reached" in gone.sentence
