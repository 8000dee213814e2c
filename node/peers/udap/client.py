"""The UDAP client: metadata believed by its signature, one registration, tokens kept by context.

A peer's metadata counts only when its signed part holds: a chain to the community, a certificate
with the base address in its SAN, tied to the organisation that the directory entry is. We register
once for each community, registration endpoint and client URI, which is once for each purpose; again
when our certificate has become another, and when the server says that it does not know us.

A token is kept under everything it was asked with (server, client, scopes, extension objects), so
that no user and no purpose ever gets another's (1.5). It is asked for anew shortly before it ends.
Tokens are held in memory alone.
"""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from node.errors import AnswerError
from node.model import Authorization
from node.peers.udap.answers import AccessToken, expect, read_token
from node.peers.udap.calls import AuthorizationCalls
from node.peers.udap.discovery import Discovery
from node.peers.udap.locks import Locks
from node.peers.udap.log import ClientLog
from node.peers.udap.own import FhirServerAt, OwnSide
from node.peers.udap.registrar import Registrar, evidence_of
from node.peers.udap.registrations import Registration, RegistrationStore
from node.peers.udap.statements import authentication_token
from trust.udap.b2b import KEY as B2B
from trust.udap.jwt import sign_jwt
from trust.udap.statement import CLIENT_CREDENTIALS

RENEW_BEFORE = timedelta(minutes=2)
MAX_KEPT = 10_000

_ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_OK = 200


class UdapClient:
    """Usable by many tasks of one event loop at once.

    Attributes:
        discovery: the metadata of peers' servers.
        registrar: our registrations there.
    """

    def __init__(
        self, own: OwnSide, calls: AuthorizationCalls, store: RegistrationStore, log: ClientLog
    ) -> None:
        """``log`` enters every registration and token request before its result is used."""
        self.discovery = Discovery(own, calls)
        self.registrar = Registrar(own, self.discovery, calls, store, log)
        self._own = own
        self._calls = calls
        self._log = log
        self._tokens: OrderedDict[bytes, AccessToken] = OrderedDict()
        self._locks = Locks()

    async def token(
        self,
        server: FhirServerAt,
        purpose: str,
        scope: Sequence[str],
        extensions: Mapping[str, Any],
    ) -> AccessToken:
        """A token for a purpose and the extension objects; registers first where needed.

        Raises:
            AnswerError: when the server refuses, by its error code.
            NodeError, TrustError: as ``register``.
        """
        registration = await self.registrar.register(server, purpose, scope)
        key = _context(registration, scope, extensions)
        async with self._locks.of(key):
            kept = self._tokens.get(key)
            if kept is not None and self._own.clock.now() < kept.expires - RENEW_BEFORE:
                return replace(kept, reused=True)
            try:
                made = await self._ask(server, registration, scope, extensions)
            except AnswerError as error:
                if error.fault != "invalid_client":
                    raise
                # the server lost us, or our operator cancelled: once more from the start
                registration = await self.registrar.register(server, purpose, scope, again=True)
                key = _context(registration, scope, extensions)
                made = await self._ask(server, registration, scope, extensions)
            self._tokens[key] = made
            while len(self._tokens) > MAX_KEPT:
                self._tokens.popitem(last=False)
            return made

    def forget(self, token: AccessToken) -> None:
        """Ask for a new token next time: the server does not take this one any more."""
        for key in [key for key, kept in self._tokens.items() if kept.value == token.value]:
            del self._tokens[key]

    async def _ask(
        self,
        server: FhirServerAt,
        registration: Registration,
        scope: Sequence[str],
        extensions: Mapping[str, Any],
    ) -> AccessToken:
        found = await self.discovery.discover(server)
        signer = self._own.signer(registration.purpose)
        endpoint = found.metadata.token_endpoint
        now = self._own.clock.now()
        claims = authentication_token(
            registration.client_id,
            endpoint,
            dict(extensions),
            jti=self._own.clock.new_id(),
            now=now,
        )
        assertion = sign_jwt(claims, signer, signer.chain)
        form = {
            "grant_type": CLIENT_CREDENTIALS,
            "client_assertion_type": _ASSERTION_TYPE,
            "client_assertion": assertion,
            "scope": " ".join(scope),
            "udap": "1",
        }
        sent = self._log.begin(
            Authorization.TOKEN, server.entry, registration.purpose, evidence_of(found)
        )
        sent.request = hashlib.sha256(assertion.encode()).digest()
        sent.asked |= {"client_id": registration.client_id, "asked": form["scope"]}
        sent.who |= _who(extensions)
        async with self._log.sending(sent):
            answer = await self._calls.post_form(endpoint, server.judge, form)
            sent.answered(answer)
            expect(answer, (_OK,))
            made = read_token(answer, registration.client_id, form["scope"], now, sent)
            sent.asked["granted"] = made.scope
        return made


def _who(extensions: Mapping[str, Any]) -> dict[str, object]:
    """Under the names that a principal has in the log; a system user goes by its name."""
    b2b = extensions.get(B2B, {})
    found = {
        "subject_id": b2b.get("subject_name"),
        "user_id": b2b.get("subject_id") or b2b.get("subject_name"),
        "subject_role": b2b.get("subject_role"),
        "organization": b2b.get("organization_name"),
    }
    return {name: value for name, value in found.items() if value}


def _context(
    registration: Registration, scope: Sequence[str], extensions: Mapping[str, Any]
) -> bytes:
    parts = [
        registration.base_url,
        registration.community,
        registration.client_id,
        registration.certificate,
        sorted(scope),
        extensions,
    ]
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).digest()
