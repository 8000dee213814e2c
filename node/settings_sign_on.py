"""``[sign_on]``: the sign-on of our organisation (OpenID Connect), for people at the console."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field, model_validator

from node.settings_section import Section

_HTTPS = r"^(https://[!-~]*[!-.0-~])?$"
_CONSOLE = r"^(https://[A-Za-z0-9.:-]+|http://(localhost|127\.0\.0\.1)(:[0-9]+)?)?$"
_CLAIM = r"^[!-~]+$"


class SignOnSection(Section):
    """``[sign_on]``: who may sign in with the account of our organisation.

    ``issuer`` is the provider's issuer, exactly as its tokens say it; empty: none. We are its
    client ``client_id``, with the secret in ``client_secret_file`` (none for a public client);
    ``console_url`` + ``/sign-on/back`` is registered there. ``ca_file`` has the CAs (PEM), beside
    those of the system, of the provider's addresses. ``words`` stand on the button.

    ``roles`` says which role a value of the claim ``roles_claim`` gives (a dot leads into an
    object); who has none is not let in. ``login_claim`` names the person on pages and in the log;
    ``logins`` are patterns (``*@lake.example``) of which one must fit, empty for all.
    ``local_accounts = false`` lets nobody in by a password of the node's own.
    """

    issuer: Annotated[str, Field(pattern=_HTTPS, max_length=256)] = ""
    client_id: Annotated[str, Field(pattern="^[!-~]*$", max_length=256)] = ""
    client_secret_file: str = ""
    ca_file: str = ""
    console_url: Annotated[str, Field(pattern=_CONSOLE, max_length=256)] = ""
    words: Annotated[str, Field(min_length=1, max_length=64)] = "our organisation's account"
    scope: Annotated[str, Field(pattern="^[ -~]*$", max_length=512)] = "openid profile"
    roles_claim: Annotated[str, Field(pattern=_CLAIM, max_length=128)] = "groups"
    roles: Mapping[str, str] = Field(default={})
    login_claim: Annotated[str, Field(pattern=_CLAIM, max_length=128)] = "preferred_username"
    logins: tuple[str, ...] = ()
    clock_skew_seconds: Annotated[float, Field(ge=0, le=300)] = 60
    local_accounts: bool = True

    @model_validator(mode="after")
    def _fit(self) -> SignOnSection:
        """Settings that need each other."""
        if self.issuer and not (self.client_id and self.console_url and self.roles):
            raise ValueError("issuer needs client_id, console_url and roles")
        if "openid" not in self.scope.split():
            raise ValueError("scope needs openid")
        if not self.local_accounts and not self.issuer:
            raise ValueError("without issuer nobody could sign in: local_accounts must be true")
        return self
