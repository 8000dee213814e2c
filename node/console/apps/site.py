"""The parts behind the pages for apps, and the two ways out: a page for the person, or the app."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

from starlette.responses import RedirectResponse, Response

from node.console.apps.patients import Patients
from node.console.parts import Console
from node.console.rendering import SECURITY_HEADERS, plain_page
from node.gateway.oauth.answering import Answering
from node.gateway.oauth.refusal import Endpoint, Refused, wire_error
from node.gateway.oauth.server import AuthorizationServer

_BAD = 400
_POLICY = "content-security-policy"


@dataclass(frozen=True, slots=True, kw_only=True)
class AppSite:
    """The parts.

    Attributes:
        console: whose people, sessions and look these are; the pages are below its ``root``.
    """

    server: AuthorizationServer
    answering: Answering
    console: Console
    patients: Patients

    def page(self, template: str, target: str, /, **context: Any) -> Response:
        """A page whose forms may lead on to an app: browsers judge where a form's answer leads."""
        response = plain_page(self.console, template, **context)
        policy = SECURITY_HEADERS[_POLICY]
        response.headers[_POLICY] = policy.replace(
            "form-action 'self'", f"form-action 'self' {origin(target)}"
        )
        return response

    def problem(self, sentence: str, *, code: str = "", status: int = _BAD) -> Response:
        """A page that only the person sees."""
        return plain_page(
            self.console,
            "app-problem.html",
            title="The app cannot be opened",
            status=status,
            sentence=sentence,
            code=code,
        )

    def back(self, target: str, state: str | None, refused: Refused) -> Response:
        """The app learns what is wrong with its request."""
        error = wire_error(refused.code, Endpoint.AUTHORIZATION).error
        description = f"{refused.sentence} [{refused.code}]"
        return self.to_app(target, state, {"error": error, "error_description": description})

    def to_app(self, target: str, state: str | None, said: Mapping[str, str]) -> Response:
        """Back to the app, under the issuer's name (RFC 9207)."""
        pairs = {**said, "iss": self.server.addresses.base_url}
        if state:
            pairs["state"] = state
        query = "&".join(f"{quote(n, safe='')}={quote(v, safe='')}" for n, v in pairs.items())
        address = f"{target}{'&' if urlsplit(target).query else '?'}{query}"
        headers = {**SECURITY_HEADERS, "cache-control": "no-store"}
        return RedirectResponse(address, status_code=303, headers=headers)


def origin(target: str) -> str:
    """Where an app is, as a person reads it and a browser's policy names it."""
    parts = urlsplit(target)
    is_web = parts.scheme in ("http", "https")
    return f"{parts.scheme}://{parts.netloc}" if is_web else f"{parts.scheme}:"
