"""The credential service providers of the settings, and the id_tokens that they sign.

A provider's keys are a file in the node home, read again when it changes, or an https address, read
by the rules of ``jwks_addresses``. Issuers of another environment than ours do not count.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from node.errors import OurFault, SettingsError
from node.exchange.individual import IdTokens
from node.jwks_addresses import Fetch, JwksAddresses, reading
from node.opened import OpenedHome
from trust.certificates import load_certificates
from trust.udap.id_token import IdToken, IdTokenRules, read_id_token
from trust.udap.jwks import MAX_JWKS_BYTES, PublishedKey, read_jwks
from trust.udap.jwt import read_header, unproved_claim


class ProviderTokens:
    """Implements ``exchange.individual.IdTokens``."""

    def __init__(
        self,
        sources: dict[str, str | Path],
        addresses: JwksAddresses,
        *,
        now: Callable[[], datetime],
        lifetime: timedelta,
        skew: timedelta,
    ) -> None:
        """``sources`` has the address or the file of each issuer's keys."""
        self._sources = sources
        self._addresses = addresses
        self._now = now
        self._lifetime = lifetime
        self._skew = skew

    async def verify(self, token: str, *, audience: str) -> IdToken:
        """A token that holds. Raises ``TrustError``, and ``OurFault`` (``id-token-keys``)."""
        data = token.encode("utf-8", "surrogateescape")
        header, issuer = read_header(data), unproved_claim(data, "iss")
        keys = await self._keys(issuer, str(header.get("kid", "")))
        rules = IdTokenRules(
            keys=lambda _issuer, _key_id: keys, lifetime=self._lifetime, skew=self._skew
        )
        return read_id_token(token, rules, audience=audience, now=self._now())

    async def _keys(self, issuer: str, key_id: str) -> Sequence[PublishedKey] | None:
        source = self._sources.get(issuer)
        if source is None:
            return None
        if isinstance(source, Path):
            return _of_file(source)
        found = await self._addresses.keys(source, key_id)
        if not found:
            raise _unreadable()
        return found


def provider_tokens(opened: OpenedHome) -> IdTokens | None:
    """The providers of a node home; ``None`` where the settings trust none.

    Raises:
        SettingsError: ``settings-invalid``: an issuer twice, mode ``endpoint`` without an id, an
            address that is not https.
        TrustError, OurFault: when the keys or CAs in a file cannot be read.
    """
    ias = opened.settings.ias
    if ias.mode == "endpoint" and not ias.endpoint_id:
        raise SettingsError("settings-invalid", "ias.mode is endpoint: set ias.endpoint_id.")
    sources: dict[str, str | Path] = {}
    for provider in ias.providers:
        if provider.environment != ias.environment:
            continue
        if provider.issuer in sources:
            raise SettingsError("settings-invalid", "ias.providers has an issuer twice.")
        sources[provider.issuer] = _source(opened, provider.jwks)
    if not sources:
        return None
    return ProviderTokens(
        sources,
        JwksAddresses(_fetch(opened), opened.clock.monotonic),
        now=opened.clock.now,
        lifetime=timedelta(minutes=ias.token_minutes),
        skew=timedelta(seconds=opened.settings.trust.clock_skew_seconds),
    )


def individual_endpoint(opened: OpenedHome) -> str | None:
    """The directory id of our endpoint for individuals, where mode 1 is set."""
    ias = opened.settings.ias
    return ias.endpoint_id if ias.mode == "endpoint" else None


def _source(opened: OpenedHome, given: str) -> str | Path:
    if "://" not in given:
        file = opened.home.resolve(given)
        _of_file(file)  # a wrong setting is told at the start
        return file
    if not given.startswith("https://"):
        raise SettingsError("settings-invalid", "ias.providers: an address of keys is https.")
    return given


def _of_file(file: Path) -> tuple[PublishedKey, ...]:
    try:
        with file.open("rb") as opened_file:
            data = opened_file.read(MAX_JWKS_BYTES + 1)
    except OSError as error:
        raise _unreadable() from error
    return read_jwks(data)


def _unreadable() -> OurFault:
    return OurFault("id-token-keys", "The keys of the id_token's issuer cannot be read.")


def _fetch(opened: OpenedHome) -> Fetch:
    file = opened.settings.ias.jwks_ca_file
    return reading(load_certificates(opened.home.resolve(file)) if file else ())
