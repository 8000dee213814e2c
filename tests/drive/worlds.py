"""The servers that are driven: real sockets in a thread of their own, for a driver that waits."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import requests
from cryptography.hazmat.primitives.serialization import Encoding
from fhir_world import FhirWorld, bundle, fhir_world, open_records
from network_fhir_world import network_fhir_world
from tls_network import NodeIdentity, identity, network_ca
from upstream_world import through_a_gateway

from node.gateway.oauth.patience import Patience
from tests.drive.description import describe_fhir, describe_oauth
from tests.drive.driver import Check, check_fhir, check_oauth
from tests.oauth_world import OauthWorld
from tests.sim.network import SimPeer
from trust.tls import TlsIdentity, browser_context

PATIENTS = [
    {
        "resourceType": "Patient",
        "id": id_,
        "identifier": [{"system": "urn:oid:2.999.5", "value": f"MRN-{id_}"}],
        "name": [{"family": id_.title(), "given": ["Pat"]}],
        "birthDate": "1980-01-02",
        "gender": "female",
    }
    for id_ in ("ann", "ben")
]
OTHERS = [
    {
        "resourceType": "Observation",
        "id": "o1",
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "1234-5"}]},
        "subject": {"reference": "Patient/ann"},
        "effectiveDateTime": "2026-01-02",
    },
    {
        "resourceType": "DocumentReference",
        "id": "doc",
        "status": "current",
        "subject": {"reference": "Patient/ann"},
        "content": [{"attachment": {"contentType": "text/plain", "url": "Binary/bin"}}],
    },
    {"resourceType": "Binary", "id": "bin", "contentType": "text/plain", "data": "QW5u"},
]


@dataclass(frozen=True, slots=True)
class Target:
    """A running server with its description."""

    name: str
    base: str
    description: dict[str, Any]
    session: requests.Session
    check: Check


@contextmanager
def in_a_thread(
    make: Callable[[], AbstractAsyncContextManager[Any]],
) -> Iterator[Any]:
    """What an asynchronous context gives, while it runs on a loop in another thread."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    def run(work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, loop).result(120)

    context = make()
    try:
        made = run(context.__aenter__())
        try:
            yield made
        finally:
            run(context.__aexit__(None, None, None))
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@contextmanager
def fhir_target(
    folder: Path, *, patient: str | None = None, is_gateway: bool = False
) -> Iterator[Target]:
    """A FHIR server over TLS, asked with a token.

    ``patient`` binds the token; ``is_gateway``: asked is a gateway in front of the server.
    """
    us, them = _identities(folder)
    records = open_records(f"sqlite:///{folder / 'node.db'}", folder)
    (folder / "in").mkdir()
    (folder / "in" / "all.json").write_bytes(bundle(*PATIENTS, *OTHERS))
    assert records.load(folder / "in").failures == ()

    @asynccontextmanager
    async def running() -> AsyncIterator[FhirWorld]:
        async with fhir_world(records, us, them) as world:
            if is_gateway:
                async with through_a_gateway(world, us, them, folder) as gateway:
                    yield gateway.world
            else:
                yield world

    try:
        with in_a_thread(running) as world, _asking(folder, world.token(patient=patient)) as asks:
            yield _target("fhir", world.base, asks)
    finally:
        records.engine.dispose()


@contextmanager
def network_target(folder: Path) -> Iterator[Target]:
    """The FHIR address of the network, with peers that know everybody, nobody, or fail."""
    us, them = _identities(folder)
    peers = (
        SimPeer(2, documents={"2.999.1": b"text"}),
        SimPeer(3, knows=False),
        SimPeer(4, declines=True),
    )
    make = lambda: network_fhir_world(folder, us, them, *peers)  # noqa: E731
    with in_a_thread(make) as world, _asking(folder, world.token()) as asks:
        yield _target("network", world.base, asks)


def _identities(folder: Path) -> tuple[NodeIdentity, NodeIdentity]:
    """A server that wants no certificate, and a client."""
    made = identity("drive.example", folder)
    files = TlsIdentity(certificate_file=made.path, key_file=made.path)
    return replace(made, server=browser_context(files)), made


@contextmanager
def _asking(folder: Path, token: str) -> Iterator[requests.Session]:
    ca = folder / "ca.pem"
    ca.write_bytes(network_ca().certificate.public_bytes(Encoding.PEM))
    with requests.Session() as session:
        session.trust_env, session.verify = False, str(ca)
        session.headers["authorization"] = f"Bearer {token}"
        session.headers["accept"] = "application/fhir+json"
        yield session


def _target(name: str, base: str, session: requests.Session) -> Target:
    stated = session.get(f"{base}/metadata", timeout=60).json()
    return Target(name, base, describe_fhir(stated), session, check_fhir)


@asynccontextmanager
async def _oauth(folder: Path) -> AsyncIterator[str]:
    world = OauthWorld(folder)
    async with world.running(Patience(each=10**9)):  # none of it is to be waved away
        yield str(world.session._base_url)


@contextmanager
def oauth_target(folder: Path) -> Iterator[Target]:
    """An authorization server."""
    with in_a_thread(lambda: _oauth(folder)) as address, requests.Session() as session:
        session.trust_env = False
        base = f"{address.rstrip('/')}/fhir"
        udap, smart = (
            session.get(f"{base}/.well-known/{name}", timeout=60).json()
            for name in ("udap", "smart-configuration")
        )
        yield Target("oauth", base, describe_oauth(udap, smart), session, check_oauth)
