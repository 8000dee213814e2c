"""A CA's web site on loopback: its CRLs and its OCSP responder, over real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

from trust.ca import CertificateAuthority, Profile, issue
from trust.ca_crl import issue_crl
from trust.csr import RequestedNames, build_csr
from trust.keys import KeyKind, generate_key


def moment() -> datetime:
    return datetime.now(UTC)


@dataclass
class CaSite:
    """What is served, and what was asked.

    ``answer`` replaces the answer of the next requests; ``status`` is what OCSP says.
    """

    authority: CertificateAuthority
    url: str = ""
    number: int = 0
    revoked: dict[int, datetime] = field(default_factory=dict)
    served: bytes = b""
    answer: Any = None
    status: ocsp.OCSPCertStatus = ocsp.OCSPCertStatus.GOOD
    asked: list[str] = field(default_factory=list)

    def publish(self, *, number: int | None = None, **options) -> bytes:
        """Sign and serve a CRL."""
        self.number = self.number + 1 if number is None else number
        crl = issue_crl(self.authority, self.revoked, number=self.number, now=moment(), **options)
        self.served = crl.public_bytes(Encoding.DER)
        return self.served

    def issue(self, name: str = "peer.example", *, crl: bool = True, responder: bool = False):
        """A certificate that points here."""
        key = generate_key(KeyKind.P_256)
        names = RequestedNames(common_name=name, dns_names=(name,))
        return issue(
            self.authority,
            build_csr(key, names, usages=Profile.TLS.usages),
            profile=Profile.TLS,
            now=moment(),
            lifetime=timedelta(days=30),
            crl_urls=(f"{self.url}/ca.crl",) if crl else (),
            ocsp_url=f"{self.url}/ocsp" if responder else None,
        )

    async def _crl(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request.headers.get("If-None-Match", ""))
        if self.answer is not None:
            return await self.answer(request)
        tag = f'"{hashlib.sha256(self.served).hexdigest()[:16]}"'
        if request.headers.get("If-None-Match") == tag:
            return web.Response(status=304, headers={"ETag": tag})
        return web.Response(body=self.served, headers={"ETag": tag})

    async def _ocsp(self, request: web.Request) -> web.StreamResponse:
        self.asked.append("ocsp")
        if self.answer is not None:
            return await self.answer(request)
        asked = ocsp.load_der_ocsp_request(await request.read())
        now = moment()
        gone = self.status is ocsp.OCSPCertStatus.REVOKED
        root = self.authority.certificate
        nonce = asked.extensions.get_extension_for_class(x509.OCSPNonce)
        response = (
            ocsp.OCSPResponseBuilder()
            .add_response_by_hash(
                issuer_name_hash=asked.issuer_name_hash,
                issuer_key_hash=asked.issuer_key_hash,
                serial_number=asked.serial_number,
                algorithm=asked.hash_algorithm,
                cert_status=self.status,
                this_update=now - timedelta(minutes=1),
                next_update=now + timedelta(hours=1),
                revocation_time=now - timedelta(hours=1) if gone else None,
                revocation_reason=None,
            )
            .responder_id(ocsp.OCSPResponderEncoding.HASH, root)
            .add_extension(nonce.value, critical=False)
            .sign(self.authority.key, hashes.SHA256())
        )
        return web.Response(body=response.public_bytes(Encoding.DER))


@contextlib.asynccontextmanager
async def ca_site(authority: CertificateAuthority) -> AsyncIterator[CaSite]:
    """A running site; its URL names ``localhost``."""
    site = CaSite(authority)
    app = web.Application()
    app.router.add_get("/{name}.crl", site._crl)
    app.router.add_post("/ocsp", site._ocsp)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    listener = web.TCPSite(runner, "127.0.0.1", 0)
    await listener.start()
    port = runner.addresses[0][1]
    site.url = f"http://localhost:{port}"
    try:
        yield site
    finally:
        await runner.cleanup()


async def endless(request: web.Request) -> web.StreamResponse:
    """Bytes without end."""
    response = web.StreamResponse()
    await response.prepare(request)
    with contextlib.suppress(ConnectionError):
        while True:
            await response.write(b"x" * 65536)
    return response


async def silent(_request: web.Request) -> web.StreamResponse:
    """No answer."""
    await asyncio.sleep(30)
    return web.Response()
