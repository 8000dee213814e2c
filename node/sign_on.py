"""The sign-on of our organisation over the network: OpenID Connect, authorization code with PKCE.

Whom we ask is what the provider's discovery document says, read again every hour at the latest; its
keys by the rules of ``jwks_addresses``, so that a key it changed is known within seconds. Addresses
are https with the system's CAs and those of the settings, and may be inside.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote_plus, urlencode, urlsplit

from cryptography import x509

from node.console.provider import Answered
from node.errors import NetworkFault, NodeError, OurFault, SettingsError, TheirFault
from node.jwks_addresses import JwksAddresses
from node.opened import OpenedHome
from node.outbound_fetch import Fetched, FetchRules, fetch, open_fetching
from node.settings_sign_on import SignOnSection
from node.users.roles import role_table
from node.users.sign_on import Asked, Identity, RoleRules, identity, key_id_of, proved_claims
from node.users.sign_on_attempts import Begun
from trust.certificates import load_certificates
from trust.errors import TrustError
from trust.udap.jwt import ALGORITHMS
from trust.udap.strict_json import JsonObject, read_object

SECONDS: Final = 5.0
MAX_BYTES: Final = 256 * 1024
KEPT: Final = 3600.0
"""Seconds that a discovery document counts."""

RULES: Final = FetchRules(allow_private=True, seconds=SECONDS)
_METADATA: Final = "/.well-known/openid-configuration"
_MOST_SECRET: Final = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoints:
    """What a provider's discovery document says (OpenID Connect Discovery 1.0), checked."""

    authorization: str
    token: str
    keys: str
    end_session: str | None
    says_issuer: bool
    by_basic: bool


class SignOn:
    """Implements ``node.console.provider.Provider``."""

    def __init__(
        self,
        settings: SignOnSection,
        *,
        secret: Callable[[], str | None],
        anchors: Iterable[x509.Certificate] = (),
        now: Callable[[], datetime],
        monotonic: Callable[[], float],
    ) -> None:
        """``secret`` reads the client's secret; ``anchors`` are CAs beside the system's."""
        self.words = settings.words
        self._settings = settings
        self._secret = secret
        self._anchors = tuple(anchors)
        self._now = now
        self._monotonic = monotonic
        self._keys = JwksAddresses(self._get, monotonic)
        self._known: tuple[float, Endpoints] | None = None
        self._lock = asyncio.Lock()

    @property
    def back(self) -> str:
        """The address that is registered at the provider for the way back."""
        return f"{self._settings.console_url}/sign-on/back"

    async def address(self, begun: Begun, *, anew: bool) -> str:
        """See ``Provider``."""
        endpoints = await self._endpoints()
        asked = {
            "response_type": "code",
            "client_id": self._settings.client_id,
            "redirect_uri": self.back,
            "scope": self._settings.scope,
            "state": begun.state,
            "nonce": begun.nonce,
            "code_challenge": begun.challenge,
            "code_challenge_method": "S256",
        }
        if anew:
            # both: providers that know only one of them must not let an old sign-in count
            asked |= {"prompt": "login", "max_age": "0"}
        return _with_query(endpoints.authorization, asked)

    async def identity(
        self, answered: Answered, begun: Begun, *, anew: datetime | None
    ) -> Identity:
        """See ``Provider``."""
        endpoints = await self._endpoints()
        if answered.issuer != self._settings.issuer and (
            answered.issuer is not None or endpoints.says_issuer
        ):
            raise TheirFault("sign-on-issuer", "The answer is of another issuer.")
        token = await self._exchange(endpoints, answered.code, begun)
        keys = await self._keys.keys(endpoints.keys, key_id_of(token))
        if not keys:
            raise TheirFault("sign-on-unreachable", "The provider's keys cannot be read.")
        asked = Asked(
            issuer=self._settings.issuer,
            client_id=self._settings.client_id,
            nonce=begun.nonce,
            anew=anew,
            skew=timedelta(seconds=self._settings.clock_skew_seconds),
        )
        claims = proved_claims(token, asked, keys, now=self._now())
        rules = RoleRules(
            roles_claim=self._settings.roles_claim,
            roles=self._settings.roles,
            login_claim=self._settings.login_claim,
            logins=self._settings.logins,
        )
        return identity(claims, rules)

    async def leaving(self) -> str | None:
        """See ``Provider``."""
        endpoints = await self._endpoints()
        if endpoints.end_session is None:
            return None
        # by the client's id and without the ID Token: an address is no place for claims of a person
        return _with_query(
            endpoints.end_session,
            {
                "client_id": self._settings.client_id,
                "post_logout_redirect_uri": f"{self._settings.console_url}/sign-in",
            },
        )

    # --- over the network -----------------------------------------------------------------------

    async def _endpoints(self) -> Endpoints:
        async with self._lock:
            now = self._monotonic()
            if self._known is None or now >= self._known[0] + KEPT:
                fetched = await self._get(self._settings.issuer.rstrip("/") + _METADATA)
                self._known = now, endpoints_of(fetched.body or b"", self._settings.issuer)
            return self._known[1]

    async def _exchange(self, endpoints: Endpoints, code: str, begun: Begun) -> str:
        """The ID Token for a code."""
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self.back,
            "code_verifier": begun.verifier,
        }
        headers = {
            "content-type": "application/x-www-form-urlencoded",
            "accept": "application/json",
        }
        secret = await asyncio.to_thread(self._secret)
        if secret is not None and endpoints.by_basic:
            pair = f"{quote_plus(self._settings.client_id)}:{quote_plus(secret)}"
            headers["authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
        else:
            form["client_id"] = self._settings.client_id
            if secret is not None:
                form["client_secret"] = secret
        fetched = await self._get(endpoints.token, headers, urlencode(form).encode("ascii"))
        try:
            token = read_object(fetched.body or b"").get("id_token")
        except TrustError as error:
            raise _unlike("the answer of the token endpoint") from error
        if not isinstance(token, str):
            raise _unlike("the answer of the token endpoint, which has no id_token")
        return token

    async def _get(
        self, address: str, headers: Mapping[str, str] | None = None, data: bytes | None = None
    ) -> Fetched:
        try:
            async with open_fetching(RULES, self._anchors) as session:
                return await fetch(
                    session, address, RULES, max_bytes=MAX_BYTES, headers=headers, data=data
                )
        except NodeError as error:
            if data is not None and error.code == "fetch-status":
                raise TheirFault(
                    "sign-on-code", "The provider did not take the code that the browser brought."
                ) from error
            raise NetworkFault(
                "sign-on-unreachable", "The provider cannot be asked now.",
                detail=error.code, where=urlsplit(address).hostname,
            ) from error  # fmt: skip


def endpoints_of(document: bytes, issuer: str) -> Endpoints:
    """What a discovery document says.

    Raises:
        TheirFault: ``sign-on-issuer`` when it is of another issuer (Discovery 4.3);
            ``sign-on-provider`` for one that we cannot sign in with.
    """
    try:
        read = read_object(document)
    except TrustError as error:
        raise _unlike("its discovery document") from error
    if read.get("issuer") != issuer:
        raise TheirFault("sign-on-issuer", "The discovery document is of another issuer.")
    if "code" not in _list(read, "response_types_supported", ["code"]):
        raise _unlike("its discovery document, which lacks the code flow")
    if "S256" not in _list(read, "code_challenge_methods_supported", ["S256"]):
        raise _unlike("its discovery document, which lacks PKCE with S256")
    signed = _list(read, "id_token_signing_alg_values_supported", ["RS256"])
    if not set(signed) & set(ALGORITHMS):
        raise _unlike(f"its discovery document: none of {', '.join(ALGORITHMS)} signs ID Tokens")
    methods = _list(read, "token_endpoint_auth_methods_supported", ["client_secret_basic"])
    has_end = read.get("end_session_endpoint") is not None
    return Endpoints(
        authorization=_address(read, "authorization_endpoint"),
        token=_address(read, "token_endpoint"),
        keys=_address(read, "jwks_uri"),
        end_session=_address(read, "end_session_endpoint") if has_end else None,
        says_issuer=read.get("authorization_response_iss_parameter_supported") is True,
        by_basic="client_secret_basic" in methods,
    )


def sign_on(opened: OpenedHome) -> SignOn | None:
    """The provider of a node home; ``None`` where the settings name none.

    Raises:
        SettingsError: ``settings-invalid`` for a role that there is not, or a file that cannot be
            read.
        TrustError: when the CAs in ``ca_file`` cannot be read.
    """
    settings = opened.settings.sign_on
    if not settings.issuer:
        return None
    if unknown := sorted(set(settings.roles.values()) - set(role_table().roles)):
        raise SettingsError(
            "settings-invalid",
            f"sign_on.roles: there is no role {', '.join(unknown)};"
            f" there are {', '.join(role_table().roles)}.",
        )
    file = opened.home.resolve(settings.client_secret_file) if settings.client_secret_file else None
    if file is not None:
        _secret_of(file)  # a wrong setting is told at the start
    return SignOn(
        settings,
        secret=lambda: None if file is None else _secret_of(file),
        anchors=load_certificates(opened.home.resolve(settings.ca_file))
        if settings.ca_file
        else (),
        now=opened.clock.now,
        monotonic=opened.clock.monotonic,
    )


def _secret_of(file: Path) -> str:
    """The secret in a file, read each time, so that a new one counts at once."""
    try:
        with file.open(encoding="utf-8") as read:
            secret = read.read(_MOST_SECRET).strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(
            "settings-invalid", "sign_on.client_secret_file cannot be read."
        ) from error
    if not secret:
        raise OurFault("settings-invalid", "sign_on.client_secret_file is empty.")
    return secret


def _list(read: JsonObject, name: str, unsaid: list[str]) -> list[Any]:
    value = read.get(name, unsaid)
    return value if isinstance(value, list) else []


def _address(read: JsonObject, name: str) -> str:
    value = read.get(name)
    if not isinstance(value, str) or not value.startswith("https://") or len(value) > _LONGEST:
        raise _unlike(f"its discovery document, whose {name} is no https address")
    return value


_LONGEST: Final = 2048


def _with_query(address: str, pairs: Mapping[str, str]) -> str:
    return f"{address}{'&' if urlsplit(address).query else '?'}{urlencode(pairs)}"


def _unlike(what: str) -> TheirFault:
    return TheirFault("sign-on-provider", f"The provider cannot be used by {what}.")
