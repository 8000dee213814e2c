"""Assembles the gateway to the health system's FHIR server, where the settings name one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

import aiohttp
import structlog
from prometheus_client import Counter

from node.errors import SettingsError, TrustError
from node.identity import passphrase
from node.ops.metrics import Metrics
from node.peers.upstream.client import UpstreamClient, UpstreamLimits, upstream_client
from node.peers.upstream.credentials import (
    BackendClient,
    BackendServices,
    Credential,
    Nobody,
    TokenFile,
)
from node.peers.upstream.offer import LiveOffer
from node.peers.upstream.people import UpstreamPeople
from node.peers.upstream.source import UpstreamFhir, UpstreamParts
from node.settings import NodeHome, Settings
from node.wire.fhir.problem import FhirProblem
from trust.certificates import load_certificates
from trust.keys import load_key
from trust.tls import client_context

_DOCUMENT = 4.5
"""How much longer a document may take than anything else; all of it fits into one answer."""

_log = structlog.get_logger(__name__)


@asynccontextmanager
async def upstream_records(
    home: NodeHome, settings: Settings, metrics: Metrics
) -> AsyncIterator[UpstreamFhir]:
    """The records of the server that the settings name, until the block ends.

    A server that does not answer yet does not keep the node from starting.

    Raises:
        SettingsError: when a file of ``[upstream]`` cannot be used.
    """
    withheld = Counter(
        "tefca_fhir_upstream_withheld_total",
        "Resources that the health system's FHIR server gave and that were not shown.",
        ("reason",),
        registry=metrics.registry,
    )

    def counted(reason: str, count: int) -> None:
        withheld.labels(reason).inc(count)
        _log.warning("fhir.upstream-withheld", reason=reason, count=count)

    async with opened_upstream(home, settings) as client:
        offer = LiveOffer(client)
        records = UpstreamFhir(
            UpstreamParts(
                client=client,
                people=UpstreamPeople(client, settings.node.assigning_authority),
                offer=offer,
                spool=_spool(home),
                counted=counted,
            )
        )
        with suppress(FhirProblem):  # it is in the log
            await offer.types()
        yield records


@asynccontextmanager
async def opened_upstream(home: NodeHome, settings: Settings) -> AsyncIterator[UpstreamClient]:
    """A client of the server that the settings name.

    Raises:
        SettingsError: when a file of ``[upstream]`` cannot be used.
    """
    upstream = settings.upstream
    try:
        context = client_context(None, load_certificates(home.resolve(upstream.ca_file)))
    except (TrustError, OSError) as error:
        raise _unusable("ca_file", error) from error
    async with AsyncExitStack() as stack:
        credential: Credential = Nobody()
        if upstream.token_file:
            credential = TokenFile(home.resolve(upstream.token_file))
        elif upstream.client_id:
            client = _backend(home, settings)
            session = await stack.enter_async_context(
                aiohttp.ClientSession(
                    connector=aiohttp.TCPConnector(ssl=context, limit=2, force_close=True),
                    cookie_jar=aiohttp.DummyCookieJar(),
                    trust_env=False,
                    auto_decompress=False,
                )
            )
            credential = BackendServices(client, session)
        limits = UpstreamLimits(
            seconds=upstream.seconds,
            document_seconds=upstream.seconds * _DOCUMENT,
            document_bytes=settings.limits.document_bytes,
        )
        yield await stack.enter_async_context(
            upstream_client(upstream.url, context, credential, limits)
        )


def _backend(home: NodeHome, settings: Settings) -> BackendClient:
    upstream = settings.upstream
    try:
        key = load_key(home.resolve(upstream.key_file), passphrase=passphrase(settings))
    except TrustError as error:
        raise _unusable("key_file", error) from error
    return BackendClient(
        client_id=upstream.client_id,
        token_url=upstream.token_url,
        key=key,
        key_id=upstream.key_id,
        scope=upstream.scope,
    )


def _spool(home: NodeHome) -> Path:
    folder = home.inbox / "fhir"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsError(
            "settings-invalid", "The folder for documents on their way cannot be made.",
            where=str(folder),
        ) from error  # fmt: skip
    return folder


def _unusable(name: str, error: Exception) -> SettingsError:
    sentence = error.sentence if isinstance(error, TrustError) else "The file cannot be read."
    return SettingsError("settings-invalid", f"upstream.{name}: {sentence}")
