"""Our registrations at peers' servers: made once, and again when our certificate is another."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from typing import Any

from node.errors import TheirFault
from node.model import Authorization
from node.peers.udap.answers import expect
from node.peers.udap.calls import AuthorizationCalls
from node.peers.udap.discovery import Discovery, Found
from node.peers.udap.locks import Locks
from node.peers.udap.log import ClientLog, Evidence, Sent
from node.peers.udap.own import FhirServerAt, OwnSide
from node.peers.udap.registrations import Registration, RegistrationStore
from node.peers.udap.statements import OwnClient, app_certification, software_statement
from node.policy.scopes import parse_scopes
from node.storage.oauth_tables import MAX_URI
from trust.certificates import fingerprint
from trust.signer import KeySigner
from trust.udap.jwt import sign_jwt

_OK, _CREATED = 200, 201


class Registrar:
    """Registers us; one registration for a community, registration endpoint and client URI."""

    def __init__(
        self,
        own: OwnSide,
        discovery: Discovery,
        calls: AuthorizationCalls,
        store: RegistrationStore,
        log: ClientLog,
    ) -> None:
        """``log`` enters every registration before its result is used."""
        self._own = own
        self._discovery = discovery
        self._calls = calls
        self._store = store
        self._log = log
        self._locks = Locks()

    async def register(
        self, server: FhirServerAt, purpose: str, scope: Sequence[str], *, again: bool = False
    ) -> Registration:
        """Our registration for a purpose, made where there is none that holds.

        Args:
            server: whose.
            purpose: what for; each has a client of its own.
            scope: the scopes wanted.
            again: register again also where a registration holds.

        Raises:
            AnswerError: when the server refuses, by its error code.
            NodeError, TrustError: as ``discover``, and when our identity cannot be opened.
        """
        found = await self._discovery.discover(server)
        signer = self._own.signer(purpose)
        client = self._own.client(purpose, signer)
        endpoint = found.metadata.registration_endpoint
        async with self._locks.of((found.community, endpoint, client.uri)):
            kept = await asyncio.to_thread(self._store.get, found.community, endpoint, client.uri)
            certificate = fingerprint(signer.certificate)
            wanted = set(map(str, parse_scopes(scope)))
            if kept is not None and not again and kept.certificate == certificate:
                return kept
            if not again and kept is not None:
                wanted |= set(kept.scope.split())
            return await self._register(
                server, found, client, signer, tuple(sorted(wanted)) or tuple(scope)
            )

    async def cancel(self, server: FhirServerAt, purpose: str) -> bool:
        """End our registration for a purpose; ``False`` when we had none there.

        Raises:
            AnswerError, NodeError, TrustError: as ``register``.
        """
        found = await self._discovery.discover(server)
        signer = self._own.signer(purpose)
        client = self._own.client(purpose, signer)
        endpoint = found.metadata.registration_endpoint
        kept = await asyncio.to_thread(self._store.get, found.community, endpoint, client.uri)
        if kept is None:
            return False
        sent = self._begin(server, purpose, found)
        claims = software_statement(
            client,
            endpoint,
            scope=kept.scope.split(),
            jti=self._own.clock.new_id(),
            now=self._own.clock.now(),
            cancels=True,
        )
        body = {"udap": "1", "software_statement": sign_jwt(claims, signer, signer.chain)}
        async with self._log.sending(sent):
            answer = await self._calls.post_json(endpoint, server.judge, body)
            sent.answered(answer)
            expect(answer, (_OK, _CREATED))
        await asyncio.to_thread(self._store.drop, kept)
        return True

    async def _register(
        self,
        server: FhirServerAt,
        found: Found,
        client: OwnClient,
        signer: KeySigner,
        scope: Sequence[str],
    ) -> Registration:
        now, endpoint = self._own.clock.now(), found.metadata.registration_endpoint
        claims = software_statement(
            client, endpoint, scope=scope, jti=self._own.clock.new_id(), now=now
        )
        statement = sign_jwt(claims, signer, signer.chain)
        body: dict[str, Any] = {"udap": "1", "software_statement": statement}
        plain = found.metadata.plain
        wanted = plain.certifications_required or plain.certifications
        if wanted:
            ends = signer.certificate.not_valid_after_utc
            body["certifications"] = [
                sign_jwt(
                    app_certification(
                        client, uri, jti=self._own.clock.new_id(), now=now, ends=ends
                    ),
                    signer,
                    signer.chain,
                )
                for uri in wanted
            ]
        sent = self._begin(server, client.purpose, found)
        sent.request = hashlib.sha256(statement.encode()).digest()
        sent.asked |= {"client_uri": client.uri, "asked": " ".join(scope)}
        async with self._log.sending(sent):
            answer = await self._calls.post_json(endpoint, server.judge, body)
            sent.answered(answer)
            expect(answer, (_OK, _CREATED))
            client_id = answer.document.get("client_id")
            if not isinstance(client_id, str) or not 0 < len(client_id) <= MAX_URI:
                raise TheirFault(
                    "oauth-answer-invalid", "The peer registered us without a client_id."
                )
            granted = answer.document.get("scope")
            granted = granted if isinstance(granted, str) else " ".join(scope)
            sent.asked |= {"client_id": client_id, "granted": granted}
        registration = Registration(
            community=found.community,
            registration_endpoint=endpoint,
            uri=client.uri,
            base_url=server.base_url,
            purpose=client.purpose,
            client_id=client_id,
            scope=granted,
            certificate=fingerprint(signer.certificate),
            registered=now,
        )
        await asyncio.to_thread(self._store.put, registration)
        return registration

    def _begin(self, server: FhirServerAt, purpose: str, found: Found) -> Sent:
        evidence = evidence_of(found)
        return self._log.begin(Authorization.REGISTRATION, server.entry, purpose, evidence)


def evidence_of(found: Found) -> Evidence:
    """Why a server's metadata was believed, for the log."""
    return Evidence(
        verdict=found.verdict,
        binding=found.binding,
        deviations=found.metadata.plain.deviations,
    )
