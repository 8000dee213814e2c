"""An app's request for an approval, read and checked before a person sees anything (2.3).

What is wrong with the client or its redirect URI is told to the person alone, since nobody else can
be told safely; everything else goes back to the app.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from typing import Any, Final

from node.gateway.oauth.asking_app import AskingApp
from node.gateway.oauth.attempt import Attempt
from node.gateway.oauth.local_client import APP_SCOPES, Launch
from node.gateway.oauth.refusal import Refused
from node.gateway.oauth.server import AuthorizationServer
from node.gateway.oauth.token import digest_of
from node.policy.scopes import MAX_SCOPES, app_offer, for_ours, negotiate, parse_scope

WAITS: Final = timedelta(minutes=10)
"""How long a request waits for the person."""

MAX_STATE: Final = 1024
MAX_SCOPE: Final = 8192
_CHALLENGE: Final = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)
_VISIBLE: Final = re.compile(r"[ -~]+", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class AppRequest:
    """What an app asks for.

    Attributes:
        scope: what can be granted of what it asked.
        audience: the base address that it will ask with the token.
        login: the user for whom an EHR opened it, where it said so.
        patient, encounter: what it was opened for, or what the person chose.
        launched: whether an EHR opened it.
        named: whether it named its redirect URI, so that it must name it again for the code.
    """

    client_id: str
    redirect_uri: str
    named: bool
    state: str
    scope: tuple[str, ...]
    challenge: str
    audience: str
    nonce: str | None = None
    login: str | None = None
    patient: str | None = None
    encounter: str | None = None
    launched: bool = False

    @property
    def needs_patient(self) -> bool:
        """Whether a patient is still to be chosen."""
        bound = any(each.startswith("patient/") for each in self.scope)
        return self.patient is None and (bound or "launch/patient" in self.scope)

    def for_patient(self, patient: str) -> AppRequest:
        """The request with the patient whom the person chose."""
        return replace(self, patient=patient)

    def as_json(self) -> dict[str, Any]:
        """As it is kept."""
        return asdict(self)


def from_json(value: Mapping[str, Any]) -> AppRequest:
    """A request that was kept."""
    return AppRequest(**{**value, "scope": tuple(value["scope"])})


def asked_back(app: AskingApp, given: Mapping[str, str]) -> str:
    """Where the app is to be answered: one of its own redirect URIs.

    A peer's app that has one alone may leave it out (1.5); one of our own always names it (2.3).

    Raises:
        Refused: ``oauth-redirect``, which only the person may be told.
    """
    uri = given.get("redirect_uri")
    if uri is None and not app.is_ours and len(app.redirect_uris) == 1:
        return app.redirect_uris[0]
    if uri is None or uri not in app.redirect_uris:
        raise Refused("oauth-redirect", "The redirect_uri is none that the app registered.")
    return uri


def read_request(
    server: AuthorizationServer,
    app: AskingApp,
    given: Mapping[str, str],
    attempt: Attempt,
) -> AppRequest:
    """The request of an app. Uses the database: a launch is taken.

    Raises:
        Refused: what the app is told.
    """
    if {"request", "request_uri"} & given.keys():
        raise Refused("oauth-object", "This server takes the parameters themselves alone.")
    if given.get("response_type") != "code":
        raise Refused("oauth-response-type", "The response_type is not code.")
    if not 0 < len(given.get("state", "")) <= MAX_STATE or not _VISIBLE.fullmatch(given["state"]):
        raise Refused("oauth-state", "The request has no state, or one that is no plain text.")
    audiences = server.addresses.audiences if app.is_ours else (server.addresses.base_url,)
    # UDAP has no aud; SMART demands it, so that no token goes to a server that only looks like us
    unsaid = None if app.is_ours else server.addresses.base_url
    audience = given.get("aud", given.get("resource", unsaid))
    if audience not in audiences:
        raise Refused("oauth-audience", "The aud is not the address of this FHIR server.")
    challenge = given.get("code_challenge", "")
    if given.get("code_challenge_method") != "S256" or not _CHALLENGE.fullmatch(challenge):
        raise Refused("oauth-challenge", "The request has no code_challenge by S256.")
    if given.get("prompt") == "none":
        raise Refused("oauth-interaction", "Nothing is approved here without a person.")
    nonce = given.get("nonce")
    if nonce is not None and (len(nonce) > 256 or not _VISIBLE.fullmatch(nonce)):  # noqa: PLR2004
        raise Refused("oauth-state", "The nonce is too long, or no plain text.")
    asked = AppRequest(
        client_id=app.client.client_id,
        redirect_uri=asked_back(app, given),
        named="redirect_uri" in given,
        state=given["state"],
        scope=grantable(server, app, given.get("scope", ""), attempt),
        challenge=challenge,
        audience=str(audience),
        nonce=nonce,
    )
    asked = _opened(server, asked, app, given)
    return _at_network(asked) if audience == server.addresses.network else asked


def _at_network(asked: AppRequest) -> AppRequest:
    """A request for the network's base address: its patients are others than those of our records.

    Raises:
        Refused: ``scope-none`` when nothing is left.
    """
    scope = tuple(s for s in asked.scope if not s.startswith("patient/") and s != "launch/patient")
    if not any(parse_scope(each) for each in scope):
        raise Refused("scope-none", "At the network's address an app has a user's scopes alone.")
    return replace(asked, scope=scope, patient=None, encounter=None)


def grantable(
    server: AuthorizationServer, app: AskingApp, text: str, attempt: Attempt
) -> tuple[str, ...]:
    """What an app may be granted of what it asks, in its order.

    Raises:
        Refused: ``scope-wildcard``, ``scope-none``.
    """
    asked = text.split()[:MAX_SCOPES] if len(text) <= MAX_SCOPE else []
    attempt.asked["asked"] = " ".join(asked)
    offer = for_ours(app_offer()) if app.is_ours else app_offer()
    found = negotiate(asked, offer, within=app.client.scopes)
    if found.refused_wildcard is not None:
        raise Refused("scope-wildcard", "A wildcard scope is not one that this server lists.")
    registered = set(app.client.scope.split()) & set(server.app_scopes())
    others = [s for s in asked if parse_scope(s) is None and s in APP_SCOPES and s in registered]
    if "fhirUser" in others and "openid" not in others:
        others.remove("fhirUser")
    granted = tuple(dict.fromkeys([*others, *map(str, found.granted)]))
    if not found.granted and "openid" not in granted:
        raise Refused("scope-none", "None of the scopes can be granted to this app.")
    return granted


def _opened(
    server: AuthorizationServer,
    asked: AppRequest,
    app: AskingApp,
    given: Mapping[str, str],
) -> AppRequest:
    """The request with what the EHR said that opened the app, if one did."""
    handle = given.get("launch")
    if handle is None:
        if Launch.STANDALONE not in app.launches:
            raise Refused("client-kind", "The app is opened from an EHR alone.")
        return replace(asked, scope=tuple(s for s in asked.scope if s != "launch"))
    if Launch.EHR not in app.launches or "launch" not in asked.scope:
        raise Refused("launch-unknown", "The app was opened from an EHR without asking for launch.")
    found = server.approvals.take_launch(digest_of(handle), asked.client_id, now=server.clock.now())
    if found is None:
        raise Refused("launch-unknown", "The launch is unknown, too old, used, or another app's.")
    return replace(
        asked,
        login=found.login,
        patient=found.patient,
        encounter=found.encounter,
        launched=True,
    )
