"""How the node proves to the health system's FHIR server who it is."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

import aiohttp
from cryptography.hazmat.primitives.asymmetric import rsa
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

from node.wire.fhir.problem import FhirProblem
from trust.errors import TrustError
from trust.keys import PrivateKey, read_private_file
from trust.udap.strict_json import read_object

_ASSERTION: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_ASSERTION_LIFE: Final = 240
"""Seconds; SMART allows 300."""
_EARLY: Final = 30
"""Seconds before its end at which a token is asked for anew."""
_LONGEST_LIFE: Final = 3600
_UNSTATED_LIFE: Final = 60
_MAX_ANSWER: Final = 64 * 1024
_MAX_TOKEN: Final = 16 * 1024
_PIECE: Final = 16 * 1024
_CURVES: Final = {"P-256": "ES256", "P-384": "ES384", "P-521": "ES512"}


class Credential(Protocol):
    """Who we are, for the header ``Authorization``."""

    async def header(self) -> str | None:
        """Its value, or ``None`` where the server wants none. Raises ``FhirProblem``."""
        ...

    def refused(self) -> None:
        """Say that the server did not take the last one."""
        ...


class Nobody:
    """For a server that admits whoever reaches it."""

    async def header(self) -> str | None:
        """None."""
        return None

    def refused(self) -> None:
        """Nothing is remembered."""


class TokenFile:
    """A bearer token from a file, read anew for every call: whoever renews it only writes it."""

    def __init__(self, path: Path) -> None:
        """``path`` must be readable by its owner alone."""
        self._path = path

    async def header(self) -> str | None:
        """The token that is in the file now."""
        return f"Bearer {await asyncio.to_thread(self.read)}"

    def read(self) -> str:
        """The token. Raises ``FhirProblem`` (``fhir-upstream-refused``)."""
        try:
            token = read_private_file(self._path).decode("ascii").strip()
        except (OSError, TrustError, UnicodeDecodeError) as error:
            raise _no_token("The file with the token for it cannot be read.", error) from None
        if not token or len(token) > _MAX_TOKEN or not token.isprintable() or " " in token:
            raise _no_token("The file with the token for it holds no bearer token.")
        return token

    def refused(self) -> None:
        """Nothing is remembered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BackendClient:
    """Our registration at a server's authorization server (SMART Backend Services).

    Attributes:
        client_id: as registered.
        token_url: of the token endpoint, letter by letter: it is the audience of what we sign.
        key: ours; its public half is registered under ``key_id``.
        scope: what is asked for.
    """

    client_id: str
    token_url: str
    key: PrivateKey = field(repr=False)
    key_id: str
    scope: str

    def assertion(self, now: int) -> str:
        """A signed statement of who we are (facts fhir-and-udap 2.2), good once."""
        if isinstance(self.key, rsa.RSAPrivateKey):
            key: RSAKey | ECKey = RSAKey.import_key(self.key)
            algorithm = "RS384"
        else:
            key = ECKey.import_key(self.key)
            algorithm = _CURVES[key.curve_name]
        claims = {
            "iss": self.client_id,
            "sub": self.client_id,
            "aud": self.token_url,
            "iat": now,
            "exp": now + _ASSERTION_LIFE,
            "jti": secrets.token_urlsafe(24),
        }
        header = {"alg": algorithm, "typ": "JWT", "kid": self.key_id}
        return jwt.encode(header, claims, key, algorithms=[algorithm])


class BackendServices:
    """Tokens of SMART Backend Services, each used until shortly before its end."""

    def __init__(
        self,
        client: BackendClient,
        session: aiohttp.ClientSession,
        now: Callable[[], float] = time.time,
    ) -> None:
        """``session`` reaches the token endpoint; ``now`` is in seconds since 1970."""
        self._client = client
        self._session = session
        self._now = now
        self._token = ""
        self._until = 0.0
        self._asking = asyncio.Lock()

    async def header(self) -> str | None:
        """A token that is good for some time yet."""
        async with self._asking:
            if self._now() >= self._until:
                await self._renew()
            return f"Bearer {self._token}"

    def refused(self) -> None:
        """The next call asks for another token."""
        self._until = 0.0

    async def _renew(self) -> None:
        form = {
            "grant_type": "client_credentials",
            "scope": self._client.scope,
            "client_assertion_type": _ASSERTION,
            "client_assertion": self._client.assertion(int(self._now())),
        }
        async with self._session.post(
            self._client.token_url,
            data=form,
            headers={"accept": "application/json", "accept-encoding": "identity"},
            allow_redirects=False,
        ) as answer:
            body = bytearray()
            async for piece in answer.content.iter_chunked(_PIECE):
                body += piece
                if len(body) > _MAX_ANSWER:
                    raise _no_token("Its authorization server answers with too much.")
            status = answer.status
        self._take(status, bytes(body))

    def _take(self, status: int, body: bytes) -> None:
        if status != 200:  # noqa: PLR2004 - HTTP
            raise _no_token("Its authorization server gives this node no token.", status)
        try:
            found = read_object(body)
        except TrustError as error:
            raise _no_token("Its authorization server answers with no token.", error) from None
        token, kind, life = (found.get(n) for n in ("access_token", "token_type", "expires_in"))
        is_bearer = isinstance(kind, str) and kind.lower() == "bearer"
        is_text = isinstance(token, str) and token.isascii() and token.isprintable()
        if not is_bearer or not is_text or not token or len(str(token)) > _MAX_TOKEN:
            raise _no_token("Its authorization server answers with no bearer token.")
        is_number = isinstance(life, int) and not isinstance(life, bool) and life > 0
        seconds = min(int(str(life)), _LONGEST_LIFE) if is_number else _UNSTATED_LIFE
        self._token = str(token)
        self._until = self._now() + max(1, seconds - _EARLY)


def _no_token(what: str, why: BaseException | int | None = None) -> FhirProblem:
    detail = f"status {why}" if isinstance(why, int) else type(why).__name__ if why else None
    return FhirProblem(
        "fhir-upstream-refused",
        f"The health system's FHIR server cannot be asked. {what}",
        detail=detail,
    )
